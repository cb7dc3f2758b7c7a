# TrackStack. `make` alone lists what there is.
SHELL := /bin/sh
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed

export PORT ?= 8000

.DEFAULT_GOAL := help
.PHONY: help setup run test chaos lint bench screenshots lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## Prepare .venv (nothing happens when it is up to date)

# The lock file decides whether the environment is current: the stamp holds its checksum, so that a fresh checkout with
# an old .venv is noticed and a touched file is not.
$(STAMP): requirements-dev.lock
	@PYTHON="$(PYTHON)" sh .ci/setup "$(VENV)"

run: setup ## Bring up everything: web, worker, beat, PostgreSQL, Valkey, sandbox, demo data (PORT, TRACKSTACK_HOME)
	@exec $(RUN) manage.py up

test: setup ## Run every test
	@sh .ci/browser
	@sh .ci/tests $(RUN)

chaos: setup ## Kill everything at random under load, then check the books to the event (MINUTES=2, SEED=…)
	@CHAOS_SECONDS=$$(( $${MINUTES:-2} * 60 )) CHAOS_SEED=$${SEED:-0} $(RUN) -m pytest -q -s tests/pipeline/test_chaos.py

lint: setup ## ruff, mypy, import rules, missing migrations, current platform pages
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports
	@$(RUN) manage.py makemigrations --check --dry-run
	@$(RUN) manage.py check
	@$(RUN) manage.py platform_docs --check

bench: setup ## Measure everything beside the machine's limits (ONLY=ingest,build; QUICK=1; PUBLISH=1 draws the chart)
	@$(RUN) -m bench $(if $(ONLY),--only $(ONLY)) $(if $(QUICK),--quick) $(if $(PUBLISH),--publish)

screenshots: setup ## Every screen of a running `make run` into docs/images: light, dark, narrow
	@$(RUN) -m tests.screenshots

lock: setup ## Pin every dependency again, with hashes
	@sh .ci/lock "$(RUN)"

clean: ## Remove the environment and the data of this checkout
	rm -rf $(VENV) var

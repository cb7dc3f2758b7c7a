"""The processes of an installation as data: `manage.py up` runs them all, an operator runs the same lines elsewhere."""

from __future__ import annotations

import configparser
import os
import shlex
import sys
from pathlib import Path

from django.conf import settings

PYTHON = shlex.quote(sys.executable)
CELERY = f"{PYTHON} -m celery -A trackstack_site"


def commands(port: int, sandbox_port: int | None = None) -> dict[str, str]:
    """Process name → command line."""
    found = {
        "web": f"{PYTHON} -m granian --interface wsgi --host {settings.WEB_HOST} --port {port}"
        f" --workers {settings.WEB_WORKERS} --blocking-threads {settings.WEB_THREADS} --backlog 1024"
        " --no-ws --log-level warning --respawn-failed-workers trackstack_site.wsgi:application",
        "worker": f"{CELERY} worker --pool threads --concurrency {settings.DELIVER_THREADS}"
        " --queues route,deliver,replay,upkeep --loglevel warning --without-gossip --without-mingle"
        " --hostname worker@%%h",
        "beat": f"{CELERY} beat --scheduler celery.beat:Scheduler --loglevel warning --pidfile=",
    }
    if sandbox_port is not None:
        found["sandbox"] = f"{PYTHON} manage.py sandbox --port {sandbox_port}"
        if settings.DEMO_TRICKLE:
            found["demo"] = f"{PYTHON} manage.py demo_trickle --url http://127.0.0.1:{port}"
    return found


def write_supervisor_config(path: Path, processes: dict[str, str], environment: dict[str, str]) -> None:
    """A supervisord configuration that restarts whatever dies and logs each process to its own rotated file."""
    log = settings.TRACKSTACK_HOME / "log"
    log.mkdir(parents=True, exist_ok=True)
    config = configparser.RawConfigParser()
    config["supervisord"] = {
        "nodaemon": "true",
        "silent": "true",
        "logfile": str(log / "supervisord.log"),
        "pidfile": str(path.with_suffix(".pid")),
        "minfds": "1024",
        **({"user": "root"} if os.geteuid() == 0 else {}),
    }
    variables = ",".join(f'{name}="{value.replace("%", "%%")}"' for name, value in environment.items())
    for name, command in processes.items():
        config[f"program:{name}"] = {
            "command": command,
            "directory": str(settings.BASE_DIR),
            "environment": variables,
            "autorestart": "true",
            "startsecs": "1",
            "startretries": "20",
            "stopsignal": "TERM",
            # A worker may finish the request under way; its rows are leased, so longer waiting gains nothing.
            "stopwaitsecs": "8",
            "stopasgroup": "true",
            "killasgroup": "true",
            "redirect_stderr": "true",
            "stdout_logfile": str(log / f"{name}.log"),
            "stdout_logfile_maxbytes": "20MB",
            "stdout_logfile_backups": "2",
        }
    with path.open("w") as file:
        config.write(file)

"""An installed package adds a platform: `tests/data/outside` lies on the path as pip would have put it there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = ROOT / "tests" / "data" / "outside"


def run(*words: str, stdin: str = "") -> str:
    """What a new process prints that finds the package."""
    environment = os.environ | {"PYTHONPATH": str(OUTSIDE)}
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, env=environment, input=stdin, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_events_are_built_like_those_of_any_other(tmp_path: Path) -> None:
    config = tmp_path / "acme.json"
    config.write_text(json.dumps({"config": {"token": "acme-0123456789"}}))
    batch = [{"event": "SignUp", "eventId": "s-1", "email": "Ada@example.com "}, {"event": "SignUp", "eventId": "s-2"}]
    document = json.loads(
        run("manage.py", "preview", "--platform", "acme", "--config", str(config), stdin=json.dumps(batch))
    )
    (request,) = document["requests"]
    assert request["headers"]["Authorization"] == "Bearer ***"
    (event,) = request["body"]["events"]
    assert (event["name"], event["id"], len(event["person"])) == ("SignUp", "s-1", 64)
    assert [(skip["event_id"], skip["reason"]) for skip in document["skipped"]] == [("s-2", "no_identity")]


def test_it_stands_in_the_registry_and_takes_nobodys_key() -> None:
    code = (
        "from destinations import platforms;"
        "print(platforms.known_keys()[-1], platforms.get('acme').label, platforms.get('meta').label)"
    )
    assert run("-c", code).strip() == "acme Acme Ads Meta"

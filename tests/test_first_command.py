"""Any command works in a new home, whichever is the first."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from events.keys import split_key

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"


def test_a_key_is_made_where_nothing_was_set_up_yet() -> None:
    # Not tmp_path: its long name is none for a socket, and its parent is closed to PostgreSQL's own user.
    with tempfile.TemporaryDirectory(prefix="ts-") as home:
        Path(home).chmod(0o755)
        environment = os.environ | {"TRACKSTACK_HOME": home}
        del environment["TRACKSTACK_MIGRATES"]
        command = [sys.executable, str(MANAGE), "create_key", "--source", "Backend"]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=150)
    assert ran.returncode == 0, ran.stderr
    assert "Setting up the database (once)" in ran.stderr
    assert split_key(ran.stdout.splitlines()[-1]) is not None

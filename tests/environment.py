"""The environment of the tests, set before Django reads its settings (loaded by `-p tests.environment`).

A home of their own, so that a product running beside them in the same checkout is not disturbed.
"""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis

HOME = Path(os.environ.setdefault("TRACKSTACK_HOME", str(Path(__file__).resolve().parent.parent / "var" / "test")))
os.environ["DEMO_TRICKLE"] = "0"
os.environ["TRACKSTACK_MIGRATES"] = "0"
os.environ["DEBUG"] = "1"  # static files straight from the source folders
for name in ("DATABASE_URL", "BROKER_URL", "SANDBOX_URL"):
    os.environ.pop(name, None)
(HOME / "static").mkdir(parents=True, exist_ok=True)

# A landing must not depend on the day's dice; whoever works on the code still rolls them.
hypothesis.settings.register_profile("ci", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

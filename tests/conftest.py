"""Tests run on the embedded engines of a home of their own, so that a product running beside them is not disturbed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("TRACKSTACK_HOME", str(ROOT / "var" / "test"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackstack_site.settings")
os.environ.setdefault("DEMO_TRICKLE", "0")
os.environ["DEBUG"] = "1"  # static files straight from the source folders


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> Iterator[None]:
    """What a process remembers between requests must not outlive a test whose changes were rolled back."""
    yield
    from events.api import authentication
    from routing import snapshot

    snapshot.forget()
    authentication.forget()

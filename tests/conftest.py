from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack import PLATFORMS, Stack, running


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> Iterator[None]:
    """What a process remembers between requests must not outlive a test whose changes were rolled back."""
    yield
    from destinations import glance, queue
    from events.api import authentication
    from routing import dispatch, snapshot

    snapshot.forget()
    dispatch.forget()
    authentication.forget()
    queue.forget()
    glance.forget()


@pytest.fixture(scope="session")
def shared_stack() -> Iterator[Stack]:
    """One running installation for all tests that need real processes: starting it takes longer than each of them.

    Its folder is no place of pytest's, which closes its own to others while another run of pytest starts: PostgreSQL's
    own user must be able to walk to its data when the tests run as root.
    """
    with tempfile.TemporaryDirectory(prefix="trackstack-") as folder:
        home = Path(folder)
        home.chmod(0o755)
        with running(home) as stack:
            yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The installation in good order: all processes up, the sandbox friendly."""
    yield shared_stack
    shared_stack.sandbox("DELETE", "/_failures")
    for platform in PLATFORMS:
        shared_stack.sandbox("POST", "/_latency", {"platform": platform, "ms": 0})


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> Iterator[None]:
    """As pytest-django's; a database with somebody connected to it cannot be dropped."""
    yield
    from events import storing

    storing.stop()

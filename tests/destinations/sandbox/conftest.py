from __future__ import annotations

from collections.abc import Iterator

import pytest

from destinations.sandbox.server import Sandbox, running_sandbox


@pytest.fixture(autouse=True)
def _fresh_process_memory() -> None:
    """The one for all tests loads the models; these need no Django, and must run where it is not set up."""


@pytest.fixture(scope="module")
def _server() -> Iterator[Sandbox]:
    with running_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_server: Sandbox) -> Sandbox:
    """One server per module, without what another test left in it."""
    _server.clear()
    return _server

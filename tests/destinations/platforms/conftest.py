"""Golden files: `UPDATE_GOLDEN=1 pytest tests/destinations/platforms/test_golden.py` writes what is built now.

Read the difference against the vendor's documentation before committing it: a golden file is a claim about the vendor.
"""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def is_updating_golden_files() -> bool:
    return os.environ.get("UPDATE_GOLDEN", "") == "1"

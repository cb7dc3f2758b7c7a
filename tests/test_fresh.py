"""What caches may keep: pages not, static files and answers that say so themselves as they say."""

from __future__ import annotations

import pytest
from django.test import Client

from tests.logins import client_with

pytestmark = pytest.mark.django_db


def test_pages_are_kept_by_no_cache(client: Client) -> None:
    viewer = client_with(group="Viewer")
    for answer in (viewer.get("/admin/configure/events/"), client.get("/admin/login/")):
        assert "no-store" in answer["Cache-Control"]


def test_what_is_no_page_says_itself(client: Client) -> None:
    assert "Cache-Control" not in client.get("/healthz")
    assert client_with(group="Viewer").get("/admin/configure/events/export.csv")["Cache-Control"] == "no-store"

"""Settings → Taxonomy."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from destinations.models import Destination, LedgerEntry, LedgerState
from events.models import CanonicalEvent, SeenName
from events.taxonomy import sync_taxonomy
from routing import snapshot
from tests.factories import make_destination
from tests.logins import client_with

pytestmark = pytest.mark.django_db

PAGES = [reverse("events:taxonomy"), reverse("events:register"), reverse("events:event_edit", args=["SignUp"])]


@pytest.mark.parametrize("page", PAGES)
def test_every_page_asks_who_is_there_and_what_they_may(page: str) -> None:
    assert Client().get(page).status_code == 302
    assert client_with().get(page).status_code == 403
    assert client_with(group="Engineer").get(page).status_code == 200


def test_viewers_see_the_events_and_no_buttons(django_assert_max_num_queries: Any) -> None:
    client = client_with(group="Viewer")
    with django_assert_max_num_queries(9):
        html = client.get(PAGES[0]).content.decode()
    assert "SignUp" in html
    assert "Retire" not in html
    for name in ("retire", "restore"):
        assert client.post(reverse(f"events:{name}", args=["SignUp"])).status_code == 403


def edited(event: CanonicalEvent, **values: str) -> dict[str, str]:
    names = ("description", "routing_class", "when_to_fire", "avoid")
    return {"stage": event.stage_id, **{name: getattr(event, name) for name in names}, **values}


def test_what_the_team_edits_survives_a_sync_and_what_it_puts_back_does_not() -> None:
    client, event = client_with(group="Engineer"), CanonicalEvent.objects.get(name="SignUp")
    shipped, before = event.description, snapshot.stored_version()
    client.post(PAGES[2], edited(event, description="Ours"))
    event.refresh_from_db()
    assert (event.description, event.edited_fields) == ("Ours", ["description"])
    assert snapshot.stored_version() == before + 1
    sync_taxonomy()
    event.refresh_from_db()
    assert event.description == "Ours"
    assert "As shipped" in client.get(PAGES[2]).content.decode()
    client.post(PAGES[2], edited(event, description=shipped))
    event.refresh_from_db()
    assert event.edited_fields == []


def test_a_seen_name_is_registered_with_one_click() -> None:
    now = timezone.now()
    SeenName.objects.create(name="WebinarAttended", count=1234, first_seen_at=now, last_seen_at=now)
    client = client_with(group="Engineer")
    html = client.get(PAGES[0]).content.decode()
    assert "Seen but not registered" in html
    assert "1\N{NARROW NO-BREAK SPACE}234" in html
    answer = client.post(PAGES[1], {"name": "WebinarAttended", "stage": "interest"})
    assert answer.status_code == 302, answer.content
    assert CanonicalEvent.objects.get(name="WebinarAttended").is_extension
    assert not SeenName.objects.exists()


@pytest.mark.parametrize("name", ["webinar", "SignUp", "Sign Up"])
def test_a_name_that_cannot_be_registered_is_explained(name: str) -> None:
    answer = client_with(group="Engineer").post(PAGES[1], {"name": name, "stage": "interest"})
    assert answer.status_code == 200
    assert "has-errors" in answer.content.decode()


def test_retire_and_restore() -> None:
    client, before = client_with(group="Engineer"), snapshot.stored_version()
    client.post(reverse("events:retire", args=["SignUp"]))
    assert CanonicalEvent.objects.get(name="SignUp").retired_at is not None
    assert "Restore" in client.get(PAGES[0]).content.decode()
    client.post(reverse("events:restore", args=["SignUp"]))
    assert CanonicalEvent.objects.get(name="SignUp").retired_at is None
    assert snapshot.stored_version() == before + 2
    assert client.get(reverse("events:restore", args=["SignUp"])).status_code == 405


def test_retiring_says_first_what_it_would_stop() -> None:
    hook, meta = make_destination("webhook"), make_destination("meta")
    Destination.objects.filter(pk=hook.pk).update(event_mode="everything")
    today = timezone.now().date()
    for state, count in ((LedgerState.DELIVERED, 1200), (LedgerState.SKIPPED, 7)):
        LedgerEntry.objects.create(destination=hook, event_name="SignUp", day=today, state=state, count=count)
    LedgerEntry.objects.create(destination=meta, event_name="SignUp", day=today, state="delivered", count=5)
    snapshot.bump()
    client, page = client_with(group="Engineer"), reverse("events:retire", args=["SignUp"])
    told = unescape(strip_tags(client.get(page).content.decode()))
    assert f"{hook.name}: 1\N{NARROW NO-BREAK SPACE}200 delivered in the last 7 days" in told
    assert f"It goes on to {meta.name}, where it is ticked or recommended." in told
    assert CanonicalEvent.objects.get(name="SignUp").retired_at is None
    assert client.post(page).status_code == 302
    assert CanonicalEvent.objects.get(name="SignUp").retired_at is not None
    assert client.get(page).status_code == 302
    assert client_with(group="Viewer").get(page).status_code == 403

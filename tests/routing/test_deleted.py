"""A deleted destination is no part of the routing any more: nothing brings it back, whatever was planned for it."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from destinations import changes, metrics
from destinations.delivery import deliver_due
from destinations.models import Delivery, Destination, LedgerEntry, State
from events.ingest import Sender, accept_batch
from routing import dispatch, drafts, history, publishing, snapshot, toggles
from routing.dispatch import route_due
from routing.models import Route, RoutingChange
from tests import factories
from tests.routing.test_drafts import collect, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def pixel(monkeypatch: pytest.MonkeyPatch) -> Destination:
    """A destination that has a past, so that its row stays when it is deleted."""
    for module in ("events.ingest", "routing.dispatch", "destinations.changes"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)
    destination = factories.make_destination("meta", name="Pixel")
    send("before")
    return destination


def send(event_id: str) -> None:
    source = factories.make_source()
    accept_batch(json.dumps([factories.event("SignUp", event_id)]).encode(), Sender(source_id=source.pk, trace_id="t"))
    route_due()


def received(destination: Destination) -> int:
    counts = LedgerEntry.objects.filter(destination=destination, state="received").values_list("count", flat=True)
    return sum(counts)


def is_gone(destination: Destination) -> bool:
    """Nothing is kept of its choices, and what comes now is not counted there."""
    before = received(destination)
    send("after")
    return not Route.objects.filter(destination=destination).exists() and received(destination) == before


def test_going_back_leaves_a_deleted_destination_alone(
    pixel: Destination, django_capture_on_commit_callbacks: Any
) -> None:
    ada, other = person("ada"), factories.make_destination("tiktok", name="Tok")
    before = snapshot.stored_version()
    for destination in (pixel, other):
        toggles.apply(destination, on={"SignUp": False}, user=ada)
    changes.delete(pixel, user=ada)
    assert [net.name for net in history.way_back(before)] == ["Tok"]
    with django_capture_on_commit_callbacks(execute=True):
        made = history.roll_back(before, user=ada, seen=snapshot.stored_version())
    assert [entry.destination_name for entry in made] == ["Tok"]
    assert is_gone(pixel)


def test_a_draft_does_not_bring_a_deleted_destination_back(
    pixel: Destination, django_capture_on_commit_callbacks: Any
) -> None:
    ada, other = person("ada"), factories.make_destination("tiktok", name="Tok")
    drafts.set_collecting(ada, True)
    collect(ada, pixel, on={"SignUp": False})
    draft = collect(ada, other, on={"SignUp": False})
    rule, state = snapshot.current().rules[pixel.pk], snapshot.current()
    changes.delete(pixel, user=person("bob", "Engineer"))
    assert drafts.view_of(ada).total == 1, "what was wanted of it went with it"
    with pytest.raises(toggles.ToggleError, match="deleted"):
        drafts.collect(ada, rule, state, on={"SignUp": False})
    with django_capture_on_commit_callbacks(execute=True):
        publishing.publish(draft.pk, ada)
    assert RoutingChange.objects.latest("pk").destination_name == "Tok"
    assert is_gone(pixel)


def test_no_change_is_made_to_a_deleted_destination(pixel: Destination) -> None:
    ada = person("ada")
    changes.delete(pixel, user=ada)
    version = snapshot.stored_version()
    with pytest.raises(toggles.ToggleError, match="deleted"):
        toggles.apply(pixel, on={"SignUp": False}, user=ada)
    assert snapshot.stored_version() == version


def test_a_form_that_is_saved_too_late_gives_a_deleted_destination_no_credentials(pixel: Destination) -> None:
    """Its page was opened before a colleague deleted it, and saved at the same moment."""
    late = {"name": "Pixel", "config": pixel.config, "is_sandbox": True, "sources": None, "user": None}
    changes.delete(pixel, user=None)
    assert changes.update(Destination.objects.get(pk=pixel.pk), **late) == []
    pixel.refresh_from_db()
    assert (pixel.config, pixel.name[:15]) == ({}, "Pixel (deleted ")


def test_a_deleted_destination_alarms_nobody(pixel: Destination) -> None:
    """Its breaker was open: that is no trouble any more, nor is it one when the last request under way fails."""
    Destination.objects.filter(pk=pixel.pk).update(breaker_since=timezone.now(), failures=9, breaker_detail="no answer")
    changes.delete(pixel, user=None)
    found = {
        (family.name, sample.labels["destination"]): sample.value
        for family in metrics.registry().collect()
        for sample in family.samples
        if "destination" in sample.labels and "state" not in sample.labels
    }
    pixel.refresh_from_db()
    assert found.get(("trackstack_destination_breaker_open", pixel.name), 0) == 0
    assert (pixel.breaker_since, pixel.failures, pixel.breaker_detail) == (None, 0, "")


@pytest.mark.django_db(transaction=True)
def test_routing_under_way_owes_nothing_to_a_destination_without_a_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was ever owed to it when the deletion looks, and the first delivery is written at that very moment."""
    monkeypatch.setattr("events.ingest.nudge", lambda *_: None)
    monkeypatch.setattr("routing.dispatch.nudge", lambda *_: None)
    monkeypatch.setattr("destinations.changes.nudge", lambda *_: None)
    call_command("sync_taxonomy")
    pixel, source = factories.make_destination("meta", name="Pixel"), factories.make_source()
    accept_batch(json.dumps([factories.event("SignUp", "e")]).encode(), Sender(source_id=source.pk, trace_id="t"))

    def delete() -> None:
        try:
            changes.delete(pixel, user=None)
        finally:
            connection.close()

    deleting, real = threading.Thread(target=delete), dispatch._route

    def slow(*values: Any) -> set[int]:
        touched = real(*values)
        deleting.start()
        deleting.join(0.5)
        return touched

    monkeypatch.setattr(dispatch, "_route", slow)
    dispatch.route_step()
    deleting.join()
    owed = Delivery.objects.filter(destination=pixel.pk, state=State.WAITING)
    assert owed.count() == 1
    assert Destination.objects.filter(pk=pixel.pk).exists(), "a delivery waits for it: somebody must account for that"
    deliver_due(pixel.pk)
    assert not owed.exists()

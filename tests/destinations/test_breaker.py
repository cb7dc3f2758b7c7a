"""The circuit breaker: opens on sustained failure, probes with one row, closes on success; order and tries are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from destinations import breaker, changes, delivery, outgoing, queries, trace
from destinations.models import Delivery, Destination, State
from destinations.platforms.base import Outcome, Response, Result
from destinations.sandbox.server import Sandbox, running_sandbox
from events.ingest import Sender, accept_batch
from routing import toggles
from routing.dispatch import route_due
from routing.models import RoutingChange
from tests.factories import event, make_destination, make_source
from tests.logins import client_with

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def _server() -> Iterator[Sandbox]:
    with running_sandbox() as server:
        yield server


@pytest.fixture
def sandbox(_server: Sandbox, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    _server.clear()
    settings.SANDBOX_URL = _server.url
    for module in ("events.ingest", "routing.dispatch", "destinations.delivery"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)
    return _server


def owe(*ids: str) -> None:
    sender = Sender(source_id=make_source().pk, trace_id="b" * 32)
    accept_batch(json.dumps([event("SignUp", name) for name in ids]).encode(), sender)
    route_due()


def tick(destination: Destination) -> int:
    """One look at the destination after its backing off and its rows' waits are over."""
    Destination.objects.filter(pk=destination.pk).update(backoff_until=None)
    Delivery.objects.filter(destination=destination, state=State.WAITING, due_at__gt=timezone.now()).update(
        due_at=timezone.now()
    )
    handled = delivery.deliver_once(destination.pk)
    destination.refresh_from_db()
    return handled


def break_it(destination: Destination) -> None:
    for _ in range(breaker.OPEN_AFTER):
        assert destination.breaker_since is None
        tick(destination)


def test_it_opens_probes_with_one_row_and_closes(sandbox: Sandbox) -> None:
    meta = make_destination("meta", name="Pixel")
    owe("e1", "e2", "e3")
    sandbox.fail("meta", "503")
    break_it(meta)
    assert meta.breaker_since is not None
    assert "unexpected error" in meta.breaker_detail
    tries = dict(Delivery.objects.filter(destination=meta).values_list("event__event_id", "tries"))

    for _ in range(4):
        assert tick(meta) == 1, "one row probes"
    assert meta.backoff_until is not None
    assert meta.backoff_until > timezone.now()
    assert delivery.deliver_once(meta.pk) == 0, "not before its time"
    assert dict(Delivery.objects.filter(destination=meta).values_list("event__event_id", "tries")) == tries

    sandbox.clear()
    assert tick(meta) == 1
    assert (meta.breaker_since, meta.failures, meta.backoff_until) == (None, 0, None)
    assert tick(meta) == 2
    assert not Delivery.objects.filter(destination=meta).exclude(state=State.DELIVERED).exists()
    said = [change.sentences[0] for change in RoutingChange.objects.filter(action="breaker").order_by("pk")]
    assert said[0].startswith("Pixel does not answer as it should: 5 requests failed in a row.")
    assert said[1] == "Pixel takes requests again after 1 minute"


def test_the_probe_keeps_its_place(sandbox: Sandbox) -> None:
    hook = make_destination("webhook", event_mode="everything")
    owe("e1")
    owe("e2")
    sandbox.fail("webhook", "500")
    Destination.objects.filter(pk=hook.pk).update(breaker_since=timezone.now(), failures=9)
    tick(hook)
    first = Delivery.objects.filter(destination=hook).order_by("due_at", "pk").select_related("event")[0]
    assert first.event.event_id == "e1", "whichever was probed, each keeps its place"


def test_one_event_that_breaks_the_platform_does_not_keep_it_shut(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = make_destination("webhook", event_mode="everything", breaker_since=timezone.now(), failures=9)
    owe("poison")
    owe("fine")
    sent = outgoing.send

    def send(destination: Destination, request: Any) -> Any:
        if request.items[0].event_id == "poison":
            return Response(status=500), 1
        return sent(destination, request)

    monkeypatch.setattr(outgoing, "send", send)
    for _ in range(60):
        tick(hook)
        if hook.breaker_since is None:
            break
    assert hook.breaker_since is None, "it answers for every event but one"
    tick(hook)
    assert Delivery.objects.get(destination=hook, event__event_id="fine").state == State.DELIVERED
    assert Delivery.objects.get(destination=hook, event__event_id="poison").tries == 1, "and that one loses tries"


def test_a_probe_that_needed_no_request_is_not_waited_for(sandbox: Sandbox) -> None:
    meta = make_destination("meta", event_mode="custom", breaker_since=timezone.now(), failures=9)
    toggles.apply(meta, on={"SignUp": True})
    owe("off-1", "off-2", "off-3")
    toggles.apply(meta, on={"SignUp": False, "Purchase": True})
    sender = Sender(source_id=make_source().pk, trace_id="b" * 32)
    accept_batch(json.dumps([event("Purchase", "on", value=5, currency="USD")]).encode(), sender)
    route_due()
    assert delivery.deliver_due(meta.pk) == 4, "skipped rows are no probes"
    meta.refresh_from_db()
    assert (meta.breaker_since, meta.failures) == (None, 0)


def test_what_the_platform_repeats_of_secrets_and_persons_is_not_kept(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = make_destination("meta", name="Pixel")
    token = meta.secrets["access_token"]
    owe("e1")
    said = f"Service temporarily unavailable for token {token} and ada@example.com"
    body = json.dumps({"error": {"message": said, "code": 2, "is_transient": True}}).encode()
    monkeypatch.setattr(outgoing, "send", lambda *_: (Response(status=503, body=body), 1))
    break_it(meta)
    assert "temporarily unavailable" in meta.breaker_detail
    kept = [meta.breaker_detail, *RoutingChange.objects.get(action="breaker").sentences]
    assert not [text for text in kept if token in text or "ada@" in text]


def test_another_lanes_wait_is_not_cut_short() -> None:
    meta = make_destination("meta")
    late = Destination.objects.get(pk=meta.pk)  # as another worker read it, before the first was told to wait
    breaker.note(meta, [Outcome(result=Result.RETRY, after=600.0)])
    breaker.note(late, [Outcome(result=Result.RETRY)])
    breaker.put_off(late, 2.0)
    meta.refresh_from_db()
    assert meta.backoff_until is not None
    assert meta.backoff_until > timezone.now() + timedelta(seconds=590)


def test_only_one_worker_probes(sandbox: Sandbox) -> None:
    meta = make_destination("meta", breaker_since=timezone.now(), failures=9)
    assert breaker.may_probe(meta)
    assert not breaker.may_probe(meta)


def test_what_grows_too_old_meanwhile_dies_as_such(sandbox: Sandbox) -> None:
    meta = make_destination("meta", breaker_since=timezone.now(), failures=9)
    owe("e1")
    from events.models import Event

    Event.objects.update(occurred_at=timezone.now() - timedelta(days=30))
    tick(meta)
    row = Delivery.objects.get(destination=meta)
    assert (row.state, row.reason) == (State.DEAD, "too_old")


def test_screens_and_trace_say_so_and_somebody_may_try_it_now(sandbox: Sandbox) -> None:
    meta = make_destination("meta", name="Pixel")
    owe("e1")
    sandbox.fail("meta", "503")
    break_it(meta)
    assert queries.status_of(meta).label == "Not answering"
    lane = next(lane for lane in trace.trace("e1")[0]["destinations"] if lane["destination"] == "Pixel")
    assert (lane["state"], lane["reason"]) == ("held", trace.BREAKER_OPEN)
    assert "loses no try" in lane["sentence"]
    client = client_with(group="Marketer")
    for page in (reverse("destinations:list"), reverse("destinations:health")):
        assert "Not answering" in client.get(page).content.decode()
    assert "Try now" in client.get(reverse("destinations:edit", args=[meta.pk])).content.decode()
    changes.resume(meta, user=None)
    meta.refresh_from_db()
    assert (meta.breaker_since, meta.failures, meta.breaker_detail) == (None, 0, "")


def test_when_the_first_will_be_too_old_is_said_before(sandbox: Sandbox) -> None:
    meta = make_destination("meta", name="Pixel", hold="paused")
    page = reverse("destinations:edit", args=[meta.pk])
    client = client_with(group="Marketer")
    assert "is too old for Meta" not in client.get(page).content.decode(), "nothing waits"
    owe("e1")
    at = queries.first_too_old(meta)
    assert at is not None
    assert timedelta(days=6) < at - timezone.now() <= timedelta(days=7)
    said = strip_tags(client.get(page).content.decode())
    assert f"is too old for Meta on {at:%Y-%m-%d %H:%M} UTC" in said
    assert queries.first_too_old(make_destination("webhook")) is None

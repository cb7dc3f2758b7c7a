"""Delivery in process, against a vendor played by a function at the edge of the machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from destinations import breaker, delivery, http, pacing, sending
from destinations.lanes import Lane
from destinations.models import Attempt, Delivery, Destination, Hold, LaneSlot, State
from destinations.platforms.base import Request, Response
from events.ingest import Sender, accept_batch
from routing import snapshot, toggles
from routing.dispatch import route_due
from tests.factories import event, make_destination, make_source

pytestmark = pytest.mark.django_db

Vendor = Callable[[Request], Response]


@pytest.fixture(autouse=True)
def _edge(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    for module in ("events.ingest", "routing.dispatch", "destinations.delivery"):
        monkeypatch.setattr(f"{module}.nudge", lambda *_: None)


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Callable[[Vendor], list[Request]]:
    def answer_with(answer: Vendor) -> list[Request]:
        seen: list[Request] = []

        def send(request: Request, *, timeout: float | None = None) -> tuple[Response, int]:
            seen.append(request)
            return answer(request), 5

        monkeypatch.setattr(http, "send", send)
        return seen

    return answer_with


def owe(destination: Destination, count: int = 1, **fields: Any) -> None:
    events = [event("SignUp", f"e{n}", **fields) for n in range(count)]
    accept_batch(json.dumps(events).encode(), Sender(source_id=make_source().pk, trace_id="t" * 32))
    route_due()
    assert Delivery.objects.filter(destination=destination, state=State.WAITING).count() == count


@pytest.mark.parametrize("body", [b'{"error":{"message":"Ung\xfcltig"}}', b"[" * 100_000, b"\x00\xff", b'{"a":1e999}'])
@pytest.mark.parametrize("status", [200, 500])
def test_no_answer_breaks_the_record(vendor: Any, status: int, body: bytes) -> None:
    meta = make_destination("meta")
    owe(meta)
    vendor(lambda _: Response(status=status, body=body))
    assert delivery.deliver_once(meta.pk) == 1
    row = Delivery.objects.get(destination=meta)
    assert Attempt.objects.get().pk in row.attempts
    assert (row.state, row.tries) == (State.WAITING, 1)
    assert row.due_at > timezone.now() - timedelta(seconds=1)


def test_an_adapter_that_raises_on_an_answer_is_a_retry_on_record(vendor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    meta = make_destination("meta")
    owe(meta)
    vendor(lambda _: Response(status=200))
    monkeypatch.setattr(type(meta.platform), "parse", lambda *_: 1 / 0)
    delivery.deliver_once(meta.pk)
    assert "could not be read" in Delivery.objects.get(destination=meta).detail
    assert Attempt.objects.count() == 1


@pytest.mark.parametrize("asked", ["2592000", "99999999999999", "9" * 400])
def test_retry_after_is_bounded(vendor: Any, asked: str) -> None:
    meta = make_destination("meta")
    owe(meta)
    vendor(lambda _: Response(status=429, headers={"retry-after": asked}, body=b"{}"))
    delivery.deliver_once(meta.pk)
    row = Delivery.objects.get(destination=meta)
    assert row.state == State.WAITING
    assert row.due_at <= timezone.now() + timedelta(days=1.2)
    assert Destination.objects.get(pk=meta.pk).backoff_until <= timezone.now() + timedelta(hours=1, seconds=5)


def test_failures_in_a_row_do_not_outgrow_their_column(vendor: Any) -> None:
    meta = make_destination("meta", failures=breaker.MOST_FAILURES)
    owe(meta)
    vendor(lambda _: Response(status=500, body=b"{}"))
    delivery.deliver_once(meta.pk)
    assert Destination.objects.get(pk=meta.pk).failures == breaker.MOST_FAILURES


@pytest.mark.parametrize("how", ["switch", "disable", "pause"])
def test_a_flip_in_mid_claim_stops_what_has_not_been_sent(
    vendor: Any, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.0)
    hook = make_destination("webhook", event_mode="everything")
    owe(hook, 10)

    def answer(_: Request) -> Response:
        if len(seen) == 3:
            if how == "switch":
                toggles.apply(hook, on={"SignUp": False}, actor="test")
            elif how == "disable":
                toggles.set_enabled(hook, False, actor="test")
            else:
                toggles.set_hold(hook, Hold.PAUSED, actor="test")
        return Response(status=200)

    seen: list[Request] = []
    seen = vendor(answer)
    while delivery.deliver_once(hook.pk):
        pass
    assert len(seen) == 3
    states = list(Delivery.objects.filter(destination=hook).order_by("pk").values_list("state", "reason"))
    left = {
        "switch": (State.SKIPPED, "not_selected"),
        "disable": (State.SKIPPED, "destination_disabled"),
        "pause": (State.WAITING, ""),
    }[how]
    assert states == [(State.DELIVERED, "")] * 3 + [left] * 7


def test_a_refusal_of_credentials_that_were_mended_meanwhile_holds_nothing(vendor: Any) -> None:
    meta = make_destination("meta")
    owe(meta)

    def answer(_: Request) -> Response:
        snapshot.bump()  # as saving new credentials does
        return Response(status=401, body=b'{"error":{"code":190,"message":"expired"}}')

    vendor(answer)
    delivery.deliver_once(meta.pk)
    assert Destination.objects.get(pk=meta.pk).hold == ""
    assert Delivery.objects.get(destination=meta).state == State.WAITING


def test_what_senders_put_under_properties_is_masked_on_record(vendor: Any) -> None:
    hook = make_destination("webhook", event_mode="everything")
    owe(hook, properties={"mobile": "+14155550199", "note": {"who": "Zebulon", "age": 987123}, "list": ["Ada"]})
    vendor(lambda _: Response(status=200))
    delivery.deliver_once(hook.pk)
    body = Attempt.objects.get().request_body
    for personal in ("1415", "Zebulon", "987123", "Ada", "ada@example.com", "203.0.113.7", "user-1"):
        assert personal not in body
    assert "sign_up" in body


@pytest.mark.parametrize("status", [400, 503])
def test_what_a_platform_says_of_a_person_is_not_kept_in_its_sentence(vendor: Any, status: int) -> None:
    meta = make_destination("meta")
    owe(meta, 2, phone="+14155550123", firstName="Tim", externalId="customer-4711")
    said = "Timeout: cannot take 14155550123 of Tim (customer-4711)"
    vendor(
        lambda _: Response(
            status=status, body=json.dumps({"error": {"message": said, "code": 100 if status == 400 else 2}}).encode()
        )
    )
    for _ in range(breaker.OPEN_AFTER):
        Destination.objects.update(backoff_until=None)
        Delivery.objects.filter(state=State.WAITING).update(due_at=timezone.now())
        delivery.deliver_once(meta.pk)
    meta.refresh_from_db()
    kept = [row.detail for row in Delivery.objects.filter(destination=meta)]
    kept += [attempt.detail for attempt in Attempt.objects.all()]
    kept += [meta.breaker_detail] if status == 503 else []
    assert all("Timeout: cannot take *** of *** (***)" in text for text in kept), kept


def test_of_a_batch_one_event_is_kept_as_a_sample(vendor: Any) -> None:
    meta = make_destination("meta")
    owe(meta, 5)
    vendor(lambda r: Response(status=200, body=b'{"events_received":%d}' % len(r.items)))
    delivery.deliver_once(meta.pk)
    body = Attempt.objects.get().request_body
    assert body.endswith("… and 4 more")
    assert "CompleteRegistration" in body


def test_a_bad_row_is_found_though_the_rate_limit_allows_one_request_a_claim(
    vendor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta = make_destination("meta")
    owe(meta, 40)

    def answer(request: Request) -> Response:
        if any(item.event_id == "e13" for item in request.items):
            return Response(status=400, body=b'{"error":{"message":"Invalid parameter","code":100}}')
        return Response(status=200, body=b'{"events_received":%d}' % len(request.items))

    seen = vendor(answer)
    allowed: list[int] = []
    monkeypatch.setattr(pacing, "wait", lambda *_: 0 if allowed and allowed.pop() else 7.5)
    for _ in range(12):
        allowed.append(1)
        Destination.objects.filter(pk=meta.pk).update(backoff_until=None)
        delivery.deliver_once(meta.pk)
    assert len(seen) <= 12
    rows = Delivery.objects.filter(destination=meta)
    assert rows.filter(state=State.DELIVERED).count() == 39
    assert [row.event.event_id for row in rows.filter(state=State.DEAD)] == ["e13"]
    assert not rows.filter(state=State.WAITING).exists()


def test_a_lane_is_freed_only_by_who_holds_it() -> None:
    meta = make_destination("meta")
    first = Lane(meta.pk)
    assert first.acquire()
    LaneSlot.objects.filter(pk=first.lane_id).update(leased_until=timezone.now() - timedelta(seconds=1))
    second = Lane(meta.pk)
    while second.acquire() and second.lane_id != first.lane_id:
        pass
    first.release()
    assert LaneSlot.objects.get(pk=second.lane_id).leased_until > timezone.now()


def test_lanes_bound_how_many_work_at_one_destination(settings: Any) -> None:
    settings.LANES_PER_DESTINATION = 2
    meta = make_destination("meta")
    assert [Lane(meta.pk).acquire() for _ in range(3)] == [True, True, False]


def test_a_batch_costs_the_same_statements_for_one_row_and_a_hundred(
    vendor: Any, django_assert_max_num_queries: Any
) -> None:
    meta = make_destination("meta")
    owe(meta, 100)
    snapshot.forget()
    snapshot.current()
    vendor(lambda r: Response(status=200, body=b'{"events_received":%d}' % len(r.items)))
    with django_assert_max_num_queries(12):
        assert delivery.deliver_once(meta.pk) == 100

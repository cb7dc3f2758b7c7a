"""Observe: deliveries, attempts, dead letters and the trace page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse

from destinations import queries
from destinations.models import Attempt, Delivery, Destination, Hold, State
from events.ingest import Sender, accept_batch
from events.models import IngestBatch, Source
from routing.dispatch import route_due
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

PAGES = ("deliveries", "dead_letters", "trace")


def send(*events: dict[str, Any], source: Source | None = None) -> None:
    sender = Sender(source_id=(source or factories.make_source()).pk, trace_id="c" * 32)
    accept_batch(json.dumps(list(events)).encode(), sender)
    route_due()


def look(name: str, **query: Any) -> str:
    page = f"{reverse(f'destinations:{name}')}?{urlencode(query)}"
    answer = client_with("destinations.view_delivery").get(page)
    assert answer.status_code == 200
    html: str = answer.content.decode()
    return html


def kill(destination: Destination, detail: str = "Invalid parameter", reason: str = "refused") -> Attempt:
    """Make every waiting delivery of a destination dead, by one request."""
    rows = Delivery.objects.filter(destination=destination, state=State.WAITING)
    attempt = Attempt.objects.create(
        destination=destination,
        delivery_ids=list(rows.values_list("pk", flat=True)),
        started_at=datetime.now(UTC),
        latency_ms=31,
        method="POST",
        url="https://platform.example/events?access_token=***",
        request_body='{"data":[{"event_name":"SignUp","user_data":{"em":"***"}}]}',
        status=400,
        response_body='{"error":{"message":"Invalid parameter"}}',
        outcome="permanent",
        detail=detail,
    )
    rows.update(
        state=State.DEAD, reason=reason, detail=detail, due_at=None, settled_at=datetime.now(UTC), attempts=[attempt.pk]
    )
    return attempt


@pytest.mark.parametrize("name", PAGES)
def test_pages_ask_who_is_there_and_what_they_may(name: str) -> None:
    page = reverse(f"destinations:{name}")
    answer = Client().get(page)
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("admin:login"))
    assert client_with("destinations.view_destination").get(page).status_code == 403
    assert client_with("destinations.view_delivery").get(page).status_code == 200


def test_a_row_says_event_state_reason_and_next_try() -> None:
    factories.make_destination("meta", name="Pixel")
    factories.make_destination("meta", name="Held", hold=Hold.CREDENTIALS, hold_detail="Token refused")
    send(factories.event(event_id="e1"))
    html = look("deliveries")
    assert html.count("e1") >= 3
    assert "Waits for its first try." in html
    assert "Token refused" in html
    assert f"{reverse('destinations:trace')}?id=e1" in html


def test_filters() -> None:
    one = factories.make_destination("webhook", name="Hook", event_mode="everything")
    shop, app = factories.make_source("Shop"), factories.make_source("App")
    send(factories.event("SignUp", "e1"), source=shop)
    kill(one)
    send(factories.event("PageView", "e2"), source=app)
    later = IngestBatch.objects.latest("pk").received_at + timedelta(minutes=1)

    def ids(**query: Any) -> list[str]:
        html = look("deliveries", **query)
        return [name for name in ("e1", "e2") if f"?id={name}" in html]

    assert ids() == ["e1", "e2"]
    assert ids(event="PageView") == ["e2"]
    assert ids(source=shop.pk) == ["e1"]
    assert ids(event_id="e1") == ["e1"]
    assert ids(event_id="nothing") == []
    assert ids(state=State.DEAD.value) == ["e1"]
    assert ids(destination=one.pk, state=State.WAITING.value) == ["e2"]
    assert ids(reason="refused", detail="Invalid parameter") == ["e1"]
    assert ids(since=later.strftime("%Y-%m-%dT%H:%M:%S")) == []
    assert ids(until=later.strftime("%Y-%m-%dT%H:%M:%S")) == ["e1", "e2"]
    for nonsense in ({"state": "nonsense"}, {"destination": "9999"}, {"since": "yesterday"}):
        assert ids(**nonsense) == [], "a filter that makes no sense matches nothing, rather than everything"
    assert ids(since="0001-01-01T00:00", until="9999-12-31T23:59") == ["e1", "e2"]


def test_a_filter_that_makes_no_sense_is_named_and_the_rest_kept() -> None:
    factories.make_destination("webhook", name="Hook", event_mode="everything")
    send(factories.event("SignUp", "e1"), factories.event("PageView", "e2"))
    html = look("deliveries", since="yesterday", event="SignUp")
    assert "This is not a time." in html
    assert 'value="SignUp"' in html
    assert "Nothing was sent yet" not in html
    for before in ("xx", "9" * 4500):
        html = look("deliveries", before=before, event="SignUp")
        assert "no page of this list" in html
        assert ("?id=e1" in html, "?id=e2" in html) == (True, False), "the rest of the filter holds"
    assert "no page of this list" not in look("deliveries")


@pytest.mark.parametrize("stamp", ["2026-01-31T12:00Z", "2026-01-31T13:00+01:00", "2026-01-31T12:00"])
def test_a_time_with_a_zone_and_one_without_are_shown_as_utc(stamp: str) -> None:
    html = look("deliveries", since=stamp)
    assert 'name="since" value="2026-01-31T12:00"' in html
    assert 'From (<span data-zone translate="no">UTC</span>)' in html


def test_pages_follow_the_primary_key(monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any) -> None:
    monkeypatch.setattr(queries, "PAGE_SIZE", 4)
    send(*(factories.event("SignUp", f"e{number}") for number in range(6)))  # the warehouse alone gets them
    with django_assert_max_num_queries(5):
        first = queries.delivery_page({})
    assert [row.event.event_id for row in first.rows] == ["e5", "e4", "e3", "e2"]
    second = queries.delivery_page({}, first.older)
    assert [row.event.event_id for row in second.rows] == ["e1", "e0"]
    assert second.older is None
    html = look("deliveries", event="SignUp")
    assert f"event=SignUp&amp;before={first.older}" in html


def test_a_time_becomes_a_key() -> None:
    assert queries.first_batch(datetime.now(UTC)) is None
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = [
        IngestBatch.objects.create(
            source_id=1, received_at=start + timedelta(hours=hour), trace_id="", accepted=0, pk=100 + hour * hour
        )
        for hour in range(12)
    ]
    assert queries.first_batch(start - timedelta(days=1)) == made[0].pk
    for batch in made:
        assert IngestBatch.objects.filter(pk__gte=queries.first_batch(batch.received_at)).earliest("pk") == batch
    assert queries.first_batch(start + timedelta(days=9)) == made[-1].pk + 1


def test_queries_do_not_grow_with_rows(django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        factories.make_destination("webhook", event_mode="everything")
    send(*(factories.event("SignUp") for _ in range(9)))
    client = client_with("destinations.view_delivery")
    with django_assert_max_num_queries(14):
        client.get(reverse("destinations:deliveries"))
    with django_assert_max_num_queries(12):
        client.get(reverse("destinations:dead_letters"))


def test_dead_letters_are_grouped_by_cause() -> None:
    hook = factories.make_destination("webhook", name="Hook", event_mode="everything")
    send(factories.event(event_id="e1"), factories.event(event_id="e2"))
    kill(hook)
    send(factories.event(event_id="e3"))
    kill(hook, "Gone", "exhausted")
    groups = queries.dead_groups()
    assert [(group.reason, group.detail, group.count) for group in groups] == [
        ("refused", "Invalid parameter", 2),
        ("exhausted", "Gone", 1),
    ]
    html = look("dead_letters")
    assert "Who can mend it? An engineer: correct what the product sends" in html
    assert "Invalid parameter" in html
    assert f"state=4&amp;destination={hook.pk}&amp;reason=exhausted&amp;detail=Gone" in html


def test_an_attempt_shows_request_and_answer() -> None:
    hook = factories.make_destination("webhook", name="Hook", event_mode="everything")
    send(factories.event(event_id="e1"))
    attempt = kill(hook)
    page = reverse("destinations:attempt", args=[attempt.pk])
    assert Client().get(page).status_code == 302
    assert client_with("destinations.view_destination").get(page).status_code == 403
    html = client_with("destinations.view_delivery").get(page).content.decode()
    assert "Invalid parameter" in html
    assert "event_name" in html
    assert "?id=e1" in html


def test_trace_shows_lanes_and_a_masked_payload() -> None:
    factories.make_destination("meta", name="Pixel", is_enabled=False)
    send(factories.event(event_id="e1", email="ada@example.com", plan="team"))
    html = look("trace", id="e1")
    assert "Pixel is switched off." in html
    assert "destination_disabled" in html
    assert "the event table is this destination" in html
    assert "ada@example.com" not in html
    assert "203.0.113.7" not in html
    assert "&quot;plan&quot;: &quot;team&quot;" in html


def test_trace_of_the_rejected_and_of_the_unknown() -> None:
    send(factories.event("signup", "e9"))
    assert "did you mean" in look("trace", id="e9").lower()
    assert "No such event" in look("trace", id="<script>alert(1)</script>")
    assert "<script>alert" not in look("trace", id="<script>alert(1)</script>")
    assert look("trace", id="nul\0byte")
    assert look("deliveries", event="nul\0byte", event_id="nul\0byte")

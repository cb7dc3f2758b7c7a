"""Quality: each finding, found and not found; counted once; evidence kept; the walk bounded and exact."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations.retention import forget_quality
from events import quality
from events.ingest import Sender, accept_batch
from events.models import Event, IngestBatch, QualityCount, QualityCursor, QualityMemory, Source
from events.quality import Row, findings
from tests import factories
from tests.logins import client_with

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def row(number: int, name: str = "SignUp", seconds: float = 0, **values: Any) -> Row:
    defaults: dict[str, Any] = {
        "id": number, "name": name, "event_id": f"e{number}", "source_id": 1, "person": "p1", "has_person": True,
        "occurred_at": NOON + timedelta(seconds=seconds), "received_at": NOON, "transaction_id": "", "page_url": "",
        "has_value": True, "is_from_browser": False, "has_copy": False,
    }  # fmt: skip
    return Row(**(defaults | values))


def codes(*rows: Row, first_new: int = 0) -> list[str]:
    return [found.code for found in findings(rows, first_new)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row(1, "Purchase", transaction_id="t"), row(2, "Purchase", transaction_id="t")], ["transaction_twice"]),
        ([row(1, "Purchase", transaction_id="t"), row(2, "Purchase", transaction_id="u")], []),
        ([row(1, "Purchase", transaction_id="t"), row(2, "Refund", transaction_id="t")], []),
        (
            [
                row(1, "Purchase", transaction_id="t"),
                row(2, "Purchase", transaction_id="t", event_id="e1", source_id=2),
            ],
            [],
        ),
        ([row(1, "PageView", page_url="/a"), row(2, "PageView", 0.4, page_url="/a")], ["view_twice"]),
        ([row(1, "PageView", page_url="/a"), row(2, "PageView", 5, page_url="/a")], []),
        ([row(1, "PageView", page_url="/a"), row(2, "PageView", 0.4, page_url="/b")], []),
        ([row(1, "PageView", page_url="/a"), row(2, "PageView", 0.4, page_url="/a", person="p2")], []),
        ([row(1, "Purchase"), row(2, "SubscriptionStarted", 20)], ["same_meaning"]),
        ([row(1, "Purchase"), row(2, "SubscriptionStarted", 200)], []),
        ([row(1, "Purchase"), row(2, "SubscriptionStarted", 20, person="p2")], []),
        ([row(1, "SignUp", has_person=False)], ["without_person"]),
        ([row(1, "PageView", has_person=False)], []),
        ([row(1, "Purchase", has_value=False)], ["without_value"]),
        ([row(1, "SignUp", is_from_browser=True)], ["browser_only"]),
        ([row(1, "SignUp", is_from_browser=True, has_copy=True)], []),
        ([row(1, "PageView", is_from_browser=True)], []),
    ],
)
def test_each_check_both_ways(rows: list[Row], expected: list[str]) -> None:
    assert codes(*rows) == expected


def test_what_came_before_is_held_against_but_not_counted_again() -> None:
    pair = [row(1, "Purchase", transaction_id="t"), row(2, "Purchase", transaction_id="t", has_value=False)]
    assert codes(*pair, first_new=2) == ["transaction_twice", "without_value"]
    assert codes(*pair, first_new=3) == []


# --- Walking ---------------------------------------------------------------------------------------------
pytestmark = pytest.mark.django_db


def send(*events: dict[str, Any], source: Source | None = None, minutes_ago: int = 30) -> None:
    source = source or factories.make_source()
    accept_batch(json.dumps(list(events)).encode(), Sender(source_id=source.pk, trace_id="q" * 32))
    ids = [event["eventId"] for event in events]
    Event.objects.filter(event_id__in=ids).update(received_at=timezone.now() - timedelta(minutes=minutes_ago))


def walk() -> int:
    QualityCursor.objects.get_or_create(pk=1)
    total = 0
    while count := quality.step():
        total += count
    return total


def counted() -> dict[str, int]:
    found: Counter[str] = Counter()
    for one in QualityCount.objects.exclude(code=""):
        found[one.code] += one.count
    return dict(found)


def test_events_are_looked_at_once_in_bounded_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "ROWS_PER_STEP", 3)
    money = {"value": 5, "currency": "USD", "transactionId": "t-1"}
    send(*(factories.event("Purchase", f"p{n}", **money) for n in range(8)))
    send(factories.event("Purchase", "late"), minutes_ago=1)
    assert walk() == 8, "what is too new waits"
    assert walk() == 0
    assert counted() == {"transaction_twice": 7}
    (trouble,) = quality.troubles()
    assert (trouble.found, round(trouble.share, 1), trouble.samples) == (7, 87.5, ["p5", "p6", "p7"])
    assert trouble.estimate == "Purchase is counted 700.0 % too often", "there was one, and eight were counted"


def test_browser_events_with_and_without_their_copy() -> None:
    browser = factories.make_source("Web", allowed_origins=["https://app.example.com"])
    send(factories.event("SignUp", "both"), factories.event("SignUp", "alone"), source=browser)
    send(factories.event("SignUp", "both"), source=factories.make_source("Server"))
    walk()
    assert counted() == {"browser_only": 1}
    assert quality.troubles()[0].samples == ["alone"]


def test_a_broken_step_counts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    send({"event": "SignUp", "eventId": "nobody", "pageUrl": "https://example.com/"})
    QualityCursor.objects.get_or_create(pk=1)
    monkeypatch.setattr(QualityCursor.objects, "filter", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        quality.step()
    monkeypatch.undo()
    assert counted() == {}
    walk()
    assert counted() == {"without_person": 1}


def test_the_page_shows_evidence_mend_and_coverage() -> None:
    send({"event": "SignUp", "eventId": "nobody", "pageUrl": "https://example.com/"}, factories.event("Purchase", "p1"))
    walk()
    page = reverse("events:quality")
    assert Client().get(page).status_code == 302
    assert client_with("destinations.view_delivery").get(page).status_code == 403
    html = client_with(group="Viewer").get(page).content.decode()
    assert "Sign-up without a person" in html
    assert f"{reverse('destinations:trace')}?id=nobody" in html
    assert "100.0 % of them" in html
    (purchase,) = [one for one in quality.coverage() if one.event == "Purchase"]
    assert purchase.percents[quality.COVERED.index("email")] == 100
    assert purchase.percents[quality.COVERED.index("value")] == 0


def test_an_installation_without_trouble_says_what_it_looks_for() -> None:
    html = client_with(group="Viewer").get(reverse("events:quality")).content.decode()
    assert "Nothing to improve" in html


def test_a_transaction_is_remembered_however_much_came_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "ROWS_PER_STEP", 2)
    monkeypatch.setattr(quality, "LOOK_BACK", 2)
    money = {"value": 5, "currency": "USD"}
    send(factories.event("Purchase", "first", transactionId="t-1", **money))
    send(*(factories.event("FeatureUsed", f"f{n}") for n in range(9)))
    send(
        factories.event("Purchase", "again", transactionId="t-1", **money),
        factories.event("Purchase", "other", transactionId="t-2", **money),
        factories.event("Refund", "back", transactionId="t-1", **money),
    )
    assert walk() == 13
    assert counted() == {"transaction_twice": 1}
    assert quality.troubles()[0].samples == ["again"]
    assert "t-1" not in str(list(QualityMemory.objects.values())), "hashes alone are kept"


def test_a_payment_is_held_against_the_one_before_in_another_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "ROWS_PER_STEP", 1)
    monkeypatch.setattr(quality, "LOOK_BACK", 0)
    noon = timezone.now() - timedelta(hours=1)

    def paid(name: str, event_id: str, seconds: int, email: str) -> dict[str, Any]:
        at = int((noon + timedelta(seconds=seconds)).timestamp() * 1000)
        return factories.event(name, event_id, ts=at, email=email, value=5, currency="USD")

    send(
        paid("Purchase", "a1", 0, "ada@example.com"),
        paid("Purchase", "b1", 0, "bob@example.com"),
        paid("SubscriptionStarted", "a2", 20, "ada@example.com"),
        paid("SubscriptionStarted", "b2", 90, "bob@example.com"),
    )
    walk()
    assert counted() == {"same_meaning": 1}
    assert quality.troubles()[0].samples == ["a2"]


def test_what_is_older_than_the_page_shows_is_passed_over() -> None:
    days = quality.SHOWN_DAYS + 3
    send(factories.event("SignUp", "old"), minutes_ago=days * 24 * 60)
    IngestBatch.objects.update(received_at=timezone.now() - timedelta(days=days))
    send(factories.event("SignUp", "new"))
    assert walk() == 1
    assert QualityCount.objects.get(code="").count == 1


def test_the_past_is_forgotten() -> None:
    send(factories.event("Purchase", "p1", transactionId="t-1"))
    walk()
    assert QualityMemory.objects.exists()
    assert forget_quality(timezone.now() - timedelta(days=2)) == 0
    assert forget_quality(timezone.now() + timedelta(days=2)) > 0
    assert not QualityMemory.objects.exists()
    assert not QualityCount.objects.exists()


def test_the_page_asks_little(django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        send(factories.event(f"Event{number}", f"e{number}", email="ada@example.com"))
    walk()
    client = client_with(group="Viewer")
    client.get(reverse("events:quality"))
    with django_assert_max_num_queries(6):
        html = client.get(reverse("events:quality")).content.decode()
    assert "ada@example.com" not in html

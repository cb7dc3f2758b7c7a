"""Each list is a file as well: at its own address, so with its own filter and permission, and nothing secret in it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.contrib.auth.models import User
from django.http import StreamingHttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations import replays
from destinations.alert_models import AlertChannel, AlertIncident, AlertNotice, AlertRule
from destinations.models import ReplayKind
from destinations.replay_plan import Plan
from events import rejections
from events.ingest import Sender, accept_batch
from events.models import ApiKey, QualityCount, SeenName
from routing import history, toggles
from routing.dispatch import route_due
from tests import factories
from tests.destinations.test_observe_views import kill
from tests.logins import client_with
from trackstack_site.csv_lines import text_of

pytestmark = pytest.mark.django_db
LISTS = {
    "destinations:health": "destinations.view_delivery",
    "destinations:list": "destinations.view_destination",
    "destinations:replays": "destinations.view_replay",
    "destinations:alert_history": "destinations.view_alertrule",
    "events:sources": "events.view_source",
    "events:rejected": "events.view_rejectedevent",
    "events:quality": "events.view_event",
    "events:taxonomy": "events.view_canonicalevent",
    "routing:history": "routing.view_routingchange",
}


def rows(name: str, **query: str) -> list[dict[str, str]]:
    answer = client_with(LISTS[name]).get(reverse(name), {"format": "csv", **query})
    assert isinstance(answer, StreamingHttpResponse), name
    text = b"".join(answer.streaming_content).decode()  # type: ignore[arg-type]
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> User:
    """Something in each list, on more pages than one where there are pages."""
    monkeypatch.setattr(rejections, "PAGE_SIZE", 2)
    monkeypatch.setattr(history, "PAGE_SIZE", 2)
    user = User.objects.create_superuser("ada")
    factories.make_key(factories.make_source("=Shop", allowed_origins=["https://a.example", "https://b.example"]))
    pixel = factories.make_destination("meta", name="Pixel")
    source = ApiKey.objects.get().source
    batch = [factories.event("SignUp", "e1"), *({"event": "nope", "eventId": f"bad{n}"} for n in range(5))]
    accept_batch(json.dumps(batch).encode(), Sender(source_id=source.pk, trace_id="e" * 32))
    route_due()
    kill(pixel)
    for number in range(5):
        toggles.apply(pixel, on={"SignUp": bool(number % 2)}, user=user)
    replays.start(Plan(ReplayKind.DEAD, pixel), rate=50, user=user, expected=1)
    rule = AlertRule.objects.order_by("id")[0]
    AlertIncident.objects.create(rule=rule, key="x", sentence="Pixel stopped.")
    channel = AlertChannel.objects.create(name="Ops", kind="email", values={"to": "ops@example.com"})
    AlertNotice.objects.create(channel=channel, subject="Pixel stopped.", text="")
    today = source.created_at.date()
    QualityCount.objects.create(day=today, code="", event_name="SignUp", count=10)
    QualityCount.objects.create(day=today, code="transaction_twice", event_name="SignUp", count=4, samples=["e1"])
    now = timezone.now()
    SeenName.objects.create(name="Newish", count=3, first_seen_at=now, last_seen_at=now)
    return user


@pytest.mark.parametrize("name", LISTS)
def test_each_asks_for_the_permission_of_its_page_and_has_its_button(name: str, filled: User) -> None:
    page = reverse(name)
    assert Client().get(page, {"format": "csv"}).status_code == 302
    assert client_with("auth.view_user").get(page, {"format": "csv"}).status_code == 403
    html = client_with(LISTS[name]).get(page).content.decode()
    assert 'href="?format=csv">Export CSV</a>' in html
    assert rows(name)


def test_files_hold_all_pages_as_they_are_filtered(filled: User) -> None:
    assert [row["event_id"] for row in rows("events:rejected")] == ["bad4", "bad3", "bad2", "bad1", "bad0"]
    assert rows("events:rejected", event="other") == []
    every = rows("routing:history")
    assert [row["version"] for row in every] == sorted((row["version"] for row in every), key=int, reverse=True)
    assert len(every) >= 6
    assert len(rows("routing:history", what="routing")) == 5
    assert rows("routing:history", destination="999") == [], "a filter that makes no sense matches nothing"


def test_they_say_what_the_screens_say_and_nothing_secret(filled: User) -> None:
    (source,) = rows("events:sources")
    assert (source["source"], source["keys"], source["active"]) == ("'=Shop", "1", "yes")
    assert source["allowed_origins"] == "https://a.example\nhttps://b.example"
    kinds = {row["event"]: row["registered"] for row in rows("events:taxonomy")}
    assert (kinds["Newish"], kinds["SignUp"]) == ("no", "yes")
    (trouble,) = rows("events:quality")
    assert (trouble["event"], trouble["found"], trouble["percent"], trouble["evidence"]) == (
        "SignUp",
        "4",
        "40.0",
        "e1",
    )
    pixel = next(row for row in rows("destinations:list") if row["destination"] == "Pixel")
    assert (pixel["received"], pixel["on"]) == ("1", "yes")
    assert [row["kind"] for row in rows("destinations:alert_history")] == ["trouble", "message"]
    (replay,) = rows("destinations:replays")
    assert (replay["destination"], replay["expected"], replay["started_by"]) == ("Pixel", "1", "ada")
    assert [row["destination"] for row in rows("destinations:health")] == ["Pixel"]
    everything = json.dumps([rows(name) for name in LISTS])
    key = ApiKey.objects.get()
    for secret in (key.prefix, key.digest.hex() if isinstance(key.digest, bytes) else key.digest, "ops@example.com"):
        assert secret not in everything


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "yes"), (0, "0"), (["a", None, 2], "a\n\n2"), ("=1", "=1")]
)
def test_cells(value: object, text: str) -> None:
    assert text_of(value) == text

"""Health: a row per destination, what changed, figures over time, and the strip on every page."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime, timedelta
from html import unescape
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations import changed, glance, health, silence, standing
from destinations.models import (
    AccessToken,
    Delivery,
    DeliveryMinute,
    Destination,
    Hold,
    Span,
    State,
)
from destinations.platforms.base import Version
from events.ingest import Sender, accept_batch
from events.models import IngestBatch
from routing.dispatch import route_due
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db

PAGE = "/admin/health/"


@pytest.fixture
def client() -> Client:
    return client_with("destinations.view_delivery")


def text_of(client: Client, **query: Any) -> str:
    answer = client.get(f"{PAGE}?{urlencode(query)}")
    assert answer.status_code == 200
    html: str = answer.content.decode()
    return html


def words(html: str) -> str:
    """What one reads, without markup."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def owe(*names: str, late: timedelta = timedelta()) -> None:
    """Route an event of each name; its deliveries came due that long ago."""
    sender = Sender(source_id=factories.make_source().pk, trace_id="h" * 32)
    accept_batch(json.dumps([factories.event(name) for name in names]).encode(), sender)
    route_due()
    at = timezone.now() - late
    Delivery.objects.filter(state=State.WAITING).update(due_at=at, created_at=at)


def part(destination: Destination, ago: timedelta = timedelta(minutes=5), **values: Any) -> None:
    values.setdefault("span", Span.PART)
    DeliveryMinute.objects.create(destination=destination, minute=timezone.now() - ago, **values)


def hook(name: str = "Hook", **values: Any) -> Destination:
    return factories.make_destination("webhook", name=name, event_mode="everything", **values)


def said() -> list[str]:
    now = timezone.now()
    return [str(s) for s in changed.sentences(health.rows(now), silence.silences(now), now)]


# --- the page ---------------------------------------------------------------------------------------------


def test_the_page_asks_who_is_there_and_what_they_may(client: Client) -> None:
    answer = Client().get(PAGE)
    assert answer.status_code == 302
    assert answer.url.startswith(reverse("admin:login"))
    assert client_with("destinations.view_destination").get(PAGE).status_code == 403
    assert client.get(PAGE).status_code == 200


def test_it_is_home_for_those_who_may_see_it(client: Client) -> None:
    assert client.get(reverse("admin:index")).url == PAGE
    other = client_with("routing.view_route").get(reverse("admin:index"))
    assert other.url == reverse("routing:matrix")


def test_without_destinations_it_says_what_to_do(client: Client) -> None:
    assert "Nowhere to send yet" in text_of(client)
    assert reverse("destinations:add") not in text_of(client)
    engineer = client_with("destinations.view_delivery", "destinations.add_destination")
    assert reverse("destinations:add") in text_of(engineer)


def test_a_row_tells_shares_latencies_and_what_waits(client: Client) -> None:
    one = hook()
    # 97 of 100 within (750, 1000] ms, 3 within (10, 15] s
    part(one, delivered=100, attempts=100, delivery_histogram=[0] * 12 + [97] + [0] * 6 + [3])
    part(one, failed=25)
    part(one, timedelta(hours=5), span=Span.QUARTER, delivered=875, attempts=9)
    part(one, timedelta(days=2), span=Span.QUARTER, dead=1_000_000)
    owe("SignUp", "Purchase", late=timedelta(minutes=40))
    html = text_of(client)
    read = words(html)
    assert "80 %" in read, "of the last hour"
    assert "97.5 %" in read, "of the last day"
    assert "879 ms 1 s" in read, "p50 and p95"
    assert read.count("40 min") >= 2, "lag and oldest"
    assert f"?destination={one.pk}&amp;state=1" in html
    oldest = Delivery.objects.filter(destination=one).earliest("pk").event.event_id
    assert f"{reverse('destinations:trace')}?id={oldest}" in html
    assert "Nothing changed for the worse" not in read


def test_held_is_not_waiting(client: Client) -> None:
    hook("Kept", hold=Hold.PAUSED)
    owe("SignUp", late=timedelta(minutes=40))
    (row,) = [row for row in health.rows() if row.destination.name == "Kept"]
    assert (row.waiting, row.held, row.lag) == (0, 1, 0.0)
    assert 2390 < row.standing.overdue < 2500
    assert standing.behind() is None


def test_the_oldest_is_found_among_what_was_tried_often() -> None:
    one = hook()
    owe(*["SignUp"] * 5)
    first, *_, last = Delivery.objects.filter(destination=one).order_by("pk")
    Delivery.objects.filter(pk=last.pk).update(
        created_at=timezone.now() - timedelta(days=2), due_at=timezone.now() + timedelta(hours=3)
    )
    Delivery.objects.filter(pk=first.pk).update(due_at=timezone.now() - timedelta(seconds=1))
    assert standing.standings()[one.pk].oldest_id == last.pk


def test_waiting_is_counted_up_to_a_bound(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "WAITING_CAP", 3)
    one = hook()
    owe(*["SignUp"] * 5)
    stands = standing.standings()[one.pk]
    assert (stands.waiting, stands.is_capped) == (3, True)
    assert "3+" in words(text_of(client)).replace("3 +", "3+")


@pytest.mark.parametrize(
    ("hour", "late", "label"),
    [
        ({"delivered": 100}, 0, "On"),
        ({"delivered": 10, "failed": 9}, 0, "On"),
        ({"delivered": 10, "failed": 30}, 0, "Failing"),
        ({}, 90, "Behind"),
    ],
)
def test_the_pill_of_one_that_is_on_but_does_badly(hour: dict[str, int], late: int, label: str) -> None:
    one = hook()
    part(one, **hour)
    owe("SignUp", late=timedelta(seconds=late))
    (row,) = [row for row in health.rows() if row.destination.pk == one.pk]
    assert row.status.label == label


def test_queries_do_not_grow_with_destinations(client: Client, django_assert_max_num_queries: Any) -> None:
    for number in range(6):
        one = hook(f"Hook {number}")
        part(one, delivered=1)
        AccessToken.objects.create(destination=one, expires_at=timezone.now() + timedelta(days=5))
    owe("SignUp", "Purchase")
    with django_assert_max_num_queries(13):
        client.get(PAGE)


# --- ends -------------------------------------------------------------------------------------------------


def test_days_left_of_a_token_that_nobody_renews(client: Client) -> None:
    one, other = hook("Ending"), hook("Renewed")
    soon = timezone.now() + timedelta(days=6, hours=1)
    AccessToken.objects.create(destination=one, expires_at=soon)
    AccessToken.objects.create(destination=other, expires_at=soon, renew_at=soon)
    assert [row.ends[0][4:] for row in health.rows() if row.ends and row.destination == one] == [(6, "warn")]
    read = words(text_of(client))
    assert "Token : 6 d 6 days" in read
    assert "Ending needs you: its access token ends in 6 days." in read


@pytest.mark.parametrize(("days", "tone"), [(61, "quiet"), (60, "warn"), (2, "bad"), (-1, "bad")])
def test_an_api_version_warns_from_sixty_days_ahead(monkeypatch: pytest.MonkeyPatch, days: int, tone: str) -> None:
    one = hook()
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    last = (now + timedelta(days=days, hours=12)).date()
    monkeypatch.setattr(type(one.platform), "version", Version(default="v7", sunsets={"v7": last}))
    (end,) = health.ends_of(one, None, now)
    assert (end.what, end.days, end.tone) == ("API version v7", days, tone)
    one.settings = {**one.settings, "api_version": "v8"}
    assert health.ends_of(one, None, now) == [], "no day is known for it"


# --- what changed -----------------------------------------------------------------------------------------


def test_who_stopped_comes_first_and_says_why_and_what_waits(client: Client) -> None:
    hook("Late", failures=7, backoff_until=timezone.now() + timedelta(seconds=40))
    stopped = hook(
        "Stopped",
        hold=Hold.CREDENTIALS,
        hold_detail="Token refused",
        held_at=timezone.now() - timedelta(minutes=14, seconds=5),
    )
    owe("SignUp")
    first, second = said()
    assert first == "Stopped stopped: credentials refused 14 min ago. 1 delivery waits, nothing is lost."
    assert second.startswith("Late fails: 7 requests in a row. Next try in ")
    html = text_of(client)
    assert f'<a href="{reverse("destinations:edit", args=[stopped.pk])}" translate="no">Stopped</a> stopped' in html


def test_at_most_three_sentences() -> None:
    for number in range(5):
        hook(f"Hook {number}", hold=Hold.CREDENTIALS, held_at=timezone.now())
    assert len(said()) == 3


def test_what_died_and_who_refuses_much() -> None:
    one, other = hook("One"), hook("Other")
    part(one, dead=3, delivered=100)
    part(other, failed=50, delivered=50)
    part(one, timedelta(hours=3), span=Span.MINUTE, dead=900)
    assert said() == [
        "3 deliveries to One died in the last hour.",
        "Other took 50\N{NO-BREAK SPACE}% of the tries of the last hour, over 24 hours 50\N{NO-BREAK SPACE}%.",
    ]


def test_what_died_at_many_destinations_is_one_sentence() -> None:
    hooks = [hook(name) for name in ("One", "Two", "Three", "Four")]
    for number, one in enumerate(hooks[:2], start=1):
        part(one, dead=number, delivered=100)
    assert said() == ["3 deliveries to 2 destinations died in the last hour: Two, One."]
    for one in hooks[2:]:
        part(one, dead=9, delivered=1000)
    assert said() == ["21 deliveries to 4 destinations died in the last hour, most of them to Three, Four, Two."]


def test_one_that_is_off_or_paused_with_nothing_waiting_is_no_news(client: Client) -> None:
    hook("Off", is_enabled=False, hold=Hold.CREDENTIALS)
    hook("Paused", hold=Hold.PAUSED, held_at=timezone.now() - timedelta(hours=3))
    assert said() == []
    assert "Nothing changed for the worse" in text_of(client)
    owe("SignUp")
    assert said() == ["Paused was paused 3 h ago. 1 delivery waits, nothing is lost."]


TODAY = date(2026, 5, 20)


def test_one_sentence_when_an_event_stops_coming_in_and_one_for_each_it_does_not_reach() -> None:
    one, other = hook("One"), hook("Other")
    warehouse = Destination.objects.get(platform_key="warehouse")
    silent = [
        silence.Silence(warehouse.pk, "Purchase", 14, 0, hours=1),
        silence.Silence(one.pk, "Purchase", 14, 0, hours=1),
        silence.Silence(other.pk, "SignUp", 30, 31, hours=12, delivered=3, reason="missing_native_id"),
    ]
    now = timezone.now()
    found = changed.sentences(health.rows(now), silent, now)
    assert [str(s) for s in found] == [
        "Purchase fell silent: none arrived in the last hour, in past weeks it was 14 at least.",
        "SignUp to Other fell silent: only 3 were delivered in 12 hours (native id missing), in past weeks it was 30"
        " at least.",
    ]
    assert found[1].url.endswith(f"?event=SignUp&destination={other.pk}")


# --- charts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "steps", "apart"), [("1h", 60, 60), ("24h", 96, 900), ("7d", 84, 7200)])
def test_a_chart_has_every_step_and_all_that_was_counted(key: str, steps: int, apart: int) -> None:
    one, other = hook("One"), hook("Other")
    chosen = health.RANGES[key]
    now = datetime(2026, 5, 20, 12, 7, 30, tzinfo=UTC)
    for ago, value in ((timedelta(), 1), (chosen.length / 2, 20), (chosen.length, 4000)):
        for destination in (one, other):
            DeliveryMinute.objects.create(
                destination=destination, minute=now - ago, span=Span.PART, delivered=value, failed=1, lag_seconds=value
            )
    whole = health.chart(chosen, now=now)
    assert len(whole.bins) == steps
    times = json.loads(whole.plots["delivered"])[0]
    assert {b - a for a, b in pairwise(times)} == {apart}
    assert whole.bins[-1].at <= now < whole.bins[-1].until
    assert whole.total == {"delivered": 42, "failed": 4, "dead": 0, "lag": 20}
    assert health.chart(chosen, one.pk, now).total["delivered"] == 21
    assert len(list(whole.told)) == 2


def test_the_chart_is_in_the_page_and_its_table_too(client: Client) -> None:
    one = hook("One <b>")
    part(one, delivered=1234, failed=5, dead=6, lag_seconds=120)
    html = text_of(client, range="24h", destination=one.pk)
    columns = json.loads(unescape(re.findall(r'data-plot="([^"]+)"', html)[0]))
    assert sum(columns[1]) == 1234
    shown = "1\N{NARROW NO-BREAK SPACE}234"
    assert re.search(rf'\?destination={one.pk}&amp;state=2&amp;since=[^"]+&amp;until=[^"]+">{shown}<', html)
    assert 'aria-current="page">24 hours' in html
    assert "Over 24 hours: One &lt;b&gt;" in html
    assert "One <b>" not in html
    assert " style=" not in html


@pytest.mark.parametrize(
    "query", [{"range": "9y"}, {"destination": "x"}, {"destination": "9" * 30}, {"destination": "1"}]
)
def test_nonsense_shows_the_last_hour_of_all(client: Client, query: dict[str, str]) -> None:
    hook()
    html = text_of(client, **query)
    assert 'aria-current="page">1 hour' in html
    assert "selected" not in html


# --- the strip --------------------------------------------------------------------------------------------


def test_every_page_says_so_while_we_are_behind(client: Client) -> None:
    pages = (PAGE, reverse("destinations:deliveries"))
    for page in pages:
        assert "behind" not in client.get(page).content.decode()
    glance.forget()
    for name in ("A", "B", "C"):
        hook(name)
    owe("SignUp", late=timedelta(seconds=42))
    for page in pages:
        assert re.search(r"We are 4\d s behind with \w, \w and 1 more\.", words(client.get(page).content.decode()))
    assert "We are" not in client_with("routing.view_route").get(reverse("routing:matrix")).content.decode()


def test_the_look_is_cheap_and_shared(django_assert_num_queries: Any) -> None:
    hook()
    owe("SignUp", late=timedelta(seconds=42))
    with django_assert_num_queries(1):
        first = standing.behind()
        assert standing.behind() is first
    assert first is not None
    assert first.late == ("Hook",)


def test_batches_that_nobody_routes_are_told(client: Client) -> None:
    IngestBatch.objects.create(
        source_id=1, received_at=timezone.now() - timedelta(seconds=300), trace_id="", accepted=1
    )
    read = words(client.get(reverse("destinations:trace")).content.decode())
    assert "We are 5 min behind with routing what came in." in read


def test_a_little_late_is_not_behind() -> None:
    hook()
    owe("SignUp", late=timedelta(seconds=standing.BEHIND_SECONDS - 5))
    assert standing.behind() is None

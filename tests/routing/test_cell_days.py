"""A cell's last seven days: figures, picture, and who may look."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape
from pytest_django import DjangoAssertNumQueries

from destinations.models import Destination, LedgerEntry, LedgerState
from events.models import CanonicalEvent
from routing import cell_days, snapshot
from tests.factories import make_destination
from tests.logins import client_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def webhook() -> Destination:
    snapshot.forget()
    return make_destination("webhook")


def count(destination: Destination, days_ago: int, number: int, *, event: str = "SignUp", state: str = "") -> None:
    LedgerEntry.objects.create(
        destination=destination,
        event_name=event,
        day=timezone.now().date() - timedelta(days=days_ago),
        state=state or LedgerState.DELIVERED,
        count=number,
        is_total=days_ago > 0,
    )


def address(destination: Destination, event: str = "SignUp") -> str:
    return reverse("routing:cell_days", args=[destination.pk, event])


def test_each_of_seven_days_is_there_with_what_was_delivered_and_all_that_died(
    webhook: Destination, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    count(webhook, 0, 4)
    count(webhook, 3, 8)
    count(webhook, 7, 500)
    count(webhook, 1, 5, state=LedgerState.DEAD)
    count(webhook, 0, 2, state=LedgerState.DEAD)
    count(webhook, 8, 500, state=LedgerState.DEAD)
    count(webhook, 1, 500, state=LedgerState.SKIPPED)
    count(webhook, 1, 500, event="Purchase")
    with django_assert_num_queries(1):
        found = cell_days.week("SignUp", webhook.pk, timezone.now().date())
    assert [day.count for day in found.days] == [0, 0, 0, 8, 0, 0, 4]
    assert (found.delivered, found.most.count, found.dead) == (12, 8, 7)
    assert [day.height for day in found.days] == [0, 0, 0, cell_days.BAR_HEIGHT, 0, 0, cell_days.BAR_HEIGHT / 2]


def test_what_is_little_beside_the_rest_is_still_seen() -> None:
    little, much = cell_days.with_bars([(date(2026, 1, 1), 1), (date(2026, 1, 2), 1_000_000)])
    assert (little.height, much.top) == (cell_days.LEAST_BAR, 0)


def test_the_figures_stand_as_text_beside_the_bars(webhook: Destination) -> None:
    count(webhook, 2, 1200)
    text = client_with("routing.view_route").get(address(webhook)).content.decode()
    assert f"<strong>SignUp</strong> → {webhook.name}" in text
    assert "1\N{NARROW NO-BREAK SPACE}200 delivered in the last 7 days, most on" in text
    assert text.count("<li><svg") == 7
    assert " style=" not in text


def test_nothing_is_said_to_be_nothing(webhook: Destination) -> None:
    assert "Nothing was delivered" in client_with("routing.view_route").get(address(webhook)).content.decode()


def test_marks_are_said_where_nothing_was_sent_too(webhook: Destination) -> None:
    count(webhook, 1, 6, state=LedgerState.DEAD)
    text = client_with("routing.view_route").get(address(webhook)).content.decode()
    assert '<li class="is-failing">6 of 6 died in the last 7 days.</li>' in text
    assert "Nothing was delivered" in text


def test_a_reader_who_collects_sees_what_the_own_draft_makes_of_it(webhook: Destination) -> None:
    client = client_with("routing.view_route", "routing.toggle_route")
    client.post(reverse("routing:collecting"), {"on": "1"})
    client.post(reverse("routing:toggle"), {"set": f"{webhook.pk}:SignUp:0"})
    text = client.get(address(webhook)).content.decode()
    assert "SignUp is switched off for" in text
    assert "In your draft, not in force yet." in text
    assert "switched off" not in client_with("routing.view_route").get(address(webhook)).content.decode()


def test_an_event_says_what_it_means_and_when_to_fire_it() -> None:
    meaning = reverse("routing:meaning", args=["Refund"])
    event = CanonicalEvent.objects.get(name="Refund")
    text = client_with("routing.view_route").get(meaning).content.decode()
    for said in (event.description, event.when_to_fire, event.avoid):
        assert said
        assert escape(said) in text
    assert "CRM and warehouse only" in text
    assert Client().get(meaning).status_code == 302
    assert client_with("events.view_source").get(meaning).status_code == 403
    assert client_with("routing.view_route").get(reverse("routing:meaning", args=["Nope"])).status_code == 404


def test_who_may_look(webhook: Destination) -> None:
    assert Client().get(address(webhook)).status_code == 302
    assert client_with("events.view_source").get(address(webhook)).status_code == 403
    looker = client_with("routing.view_route")
    assert looker.get(address(webhook)).status_code == 200
    assert looker.get(address(webhook, "NoSuchEvent")).status_code == 404
    assert looker.get(reverse("routing:cell_days", args=[10**12, "SignUp"])).status_code == 404


def test_a_destination_is_known_as_soon_as_it_is_there() -> None:
    """Whichever process is asked: it may not have looked at the rules since."""
    snapshot.current()
    young = make_destination("webhook")
    assert client_with(group="Viewer").get(address(young)).status_code == 200
    key = address(young)
    young.delete()
    snapshot.bump()
    assert client_with(group="Viewer").get(key).status_code == 404

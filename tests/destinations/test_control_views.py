"""Switching a destination off where rows wait, the way back, and what is said of one that is on but held."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from destinations import changes, delivery, outgoing, replay_plan
from destinations.models import Delivery, Destination, Hold, ReplayKind, State
from destinations.platforms.base import Response
from destinations.replay_plan import Plan, ReplayError
from events.ingest import Sender, accept_batch
from routing.dispatch import route_due
from routing.models import RoutingChange
from tests import factories
from tests.logins import client_with

pytestmark = pytest.mark.django_db


@pytest.fixture
def waiting() -> Destination:
    destination = factories.make_destination("meta", name="Pixel")
    send("e1")
    assert waiting_of(destination) == 1
    return destination


def send(event_id: str) -> None:
    body = json.dumps([factories.event("SignUp", event_id)]).encode()
    accept_batch(body, Sender(source_id=factories.make_source().pk, trace_id="b" * 32))
    route_due()


def waiting_of(destination: Destination) -> int:
    return Delivery.objects.filter(destination=destination, state=State.WAITING).count()


def switch(client: Client, destination: Destination, **data: str) -> Any:
    answer = client.post(reverse("destinations:switch", args=[destination.pk]), data)
    destination.refresh_from_db()
    return answer


def said(client: Client) -> str:
    html = client.get(reverse("destinations:list")).content.decode()
    return html[html.index('id="toasts"') :]


def test_switching_off_asks_where_rows_wait(waiting: Destination) -> None:
    client = client_with(group="Marketer")
    answer = switch(client, waiting, on="0")
    assert answer.url.startswith(reverse("destinations:switch_off", args=[waiting.pk]))
    assert waiting.is_enabled
    html = client.get(answer.url).content.decode()
    assert "1 delivery waits for it" in html
    assert all(f'value="{way}"' in html for way in ("pause", "send", "skip"))
    assert client_with("destinations.view_destination").get(answer.url).status_code == 403


def test_with_nothing_waiting_it_is_one_click_and_can_be_undone() -> None:
    client, destination = client_with(group="Marketer"), factories.make_destination("meta", name="Pixel")
    assert switch(client, destination, on="0").url == reverse("destinations:list")
    assert not destination.is_enabled
    toast = said(client)
    assert "Pixel is switched off." in toast
    assert f'action="{reverse("destinations:switch", args=[destination.pk])}"' in toast
    assert "Undo" in toast
    switch(client, destination, on="1")
    assert destination.is_enabled
    assert "Events are sent to it from now on." in said(client)


def test_what_waits_can_be_skipped(waiting: Destination) -> None:
    client = client_with(group="Marketer")
    switch(client, waiting, on="0", waiting="skip")
    assert not waiting.is_enabled
    assert "What waited for it is skipped." in said(client)
    delivery.deliver_due(waiting.pk)
    assert Delivery.objects.get(destination=waiting).reason == "destination_disabled"


def test_it_can_be_paused_instead(waiting: Destination) -> None:
    client = client_with(group="Marketer")
    switch(client, waiting, on="0", waiting="pause")
    assert (waiting.is_enabled, waiting.hold, waiting_of(waiting)) == (True, Hold.PAUSED, 1)
    assert f'action="{reverse("destinations:resume", args=[waiting.pk])}"' in said(client)


def test_what_waits_can_be_sent_before_it_is_off(
    waiting: Destination, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.SANDBOX_URL = "http://127.0.0.1:1"
    client = client_with(group="Marketer")
    switch(client, waiting, on="0", waiting="send")
    assert (waiting.is_enabled, waiting.closing_at is not None) == (True, True)
    assert "is switched off when what waits for it is sent." in said(client)
    page = client.get(reverse("destinations:edit", args=[waiting.pk])).content.decode()
    assert "It is being switched off." in page
    with pytest.raises(ReplayError, match="about to be switched off"):
        replay_plan.check(Plan(ReplayKind.DEAD, waiting))
    send("e2")
    assert waiting_of(waiting) == 1, "it gets nothing new"
    Destination.objects.filter(pk=waiting.pk).update(closing_at=timezone.now() - 2 * changes.CLOSING_GRACE)
    assert changes.finish_closing() == 0
    answer = Response(status=200, body=b'{"events_received": 1}')
    monkeypatch.setattr(outgoing, "send", lambda *_: (answer, 3))
    delivery.deliver_due(waiting.pk)
    assert changes.finish_closing() == 1
    waiting.refresh_from_db()
    assert (waiting.is_enabled, waiting.closing_at, waiting.removed_at) == (False, None, None)
    assert waiting.secrets, "it is off, not gone"
    assert RoutingChange.objects.latest("pk").sentences == ["Pixel is switched off"]


def test_a_switching_off_that_waits_is_taken_back_by_switching_on(waiting: Destination) -> None:
    client = client_with(group="Marketer")
    switch(client, waiting, on="0", waiting="send")
    switch(client, waiting, on="1")
    assert (waiting.closing_at, waiting.is_kept_when_closed) == (None, False)
    send("e2")
    assert waiting_of(waiting) == 2


def test_deleting_what_is_being_switched_off_deletes_it(waiting: Destination) -> None:
    client = client_with(group="Engineer")
    switch(client, waiting, on="0", waiting="send")
    client.post(reverse("destinations:delete", args=[waiting.pk]), {"waiting": "send"})
    waiting.refresh_from_db()
    assert (waiting.closing_at is not None, waiting.is_kept_when_closed) == (True, False)
    switch(client, waiting, on="0", waiting="send")
    assert not waiting.is_kept_when_closed, "a deletion is taken back by keeping it, not by a switch"


@pytest.mark.parametrize(("hold", "words"), [("paused", "still paused"), ("credentials", "Credentials refused")])
def test_on_but_held_says_that_events_wait(hold: str, words: str) -> None:
    destination = factories.make_destination("meta", is_enabled=False, hold=hold)
    client = client_with(group="Marketer")
    switch(client, destination, on="1")
    toast = said(client)
    assert words in toast
    assert "events wait until you resume it" in toast
    assert "from now on" not in toast
    assert f'action="{reverse("destinations:resume", args=[destination.pk])}"' in toast


def test_who_collects_a_draft_is_told_that_this_is_in_force_at_once(waiting: Destination) -> None:
    client = client_with(group="Engineer")
    pages = [reverse("destinations:list")]
    pages += [reverse(f"destinations:{name}", args=[waiting.pk]) for name in ("edit", "delete", "switch_off")]
    assert not any("not part of the draft" in client.get(page).content.decode() for page in pages)
    client.post(reverse("routing:collecting"), {"on": "1"})
    assert all("not part of the draft" in client.get(page).content.decode() for page in pages)


def test_a_button_leads_back_to_its_page_and_nowhere_else() -> None:
    client, destination = client_with(group="Marketer"), factories.make_destination("meta")
    page = reverse("destinations:edit", args=[destination.pk])
    assert switch(client, destination, on="0", next=page).url == page
    for odd in ("https://elsewhere.example/", "no-such-page", "//elsewhere.example/"):
        assert switch(client, destination, on="1", next=odd).url == reverse("destinations:list"), odd
    asked = client.get(reverse("destinations:switch_off", args=[destination.pk]), {"next": "//elsewhere.example"})
    assert "elsewhere" not in asked.content.decode()


HTMX = {"HX-Request": "true"}


def by_htmx(client: Client, name: str, destination: Destination, **data: str) -> Any:
    return client.post(reverse(f"destinations:{name}", args=[destination.pk]), data, headers=HTMX)


def test_a_switch_is_answered_with_its_row_and_what_is_said() -> None:
    client, destination = client_with(group="Marketer"), factories.make_destination("meta", name="Pixel")
    page = reverse("destinations:list")
    assert f'id="switch-{destination.pk}" role="switch" aria-checked="true"' in client.get(page).content.decode()
    answer = by_htmx(client, "switch", destination, on="0", next=page)
    html = answer.content.decode()
    assert "<html" not in html
    assert "Pixel is switched off." in html
    assert f'<template><tr id="destination-{destination.pk}" hx-swap-oob="true">' in re.sub(r">\s+<", "><", html)
    assert f'id="switch-{destination.pk}" role="switch" aria-checked="false"' in html
    assert set(re.findall(r'name="next" value="([^"]*)"', html)) == {page}, "Undo leads back to the list"
    assert "HX-Reswap" not in answer, "a switch that sees it goes back"
    html = by_htmx(client, "switch", destination, on="1", next=page).content.decode()
    assert f'id="hold-{destination.pk}"' in html
    assert "Resume" in by_htmx(client, "pause", destination, next=page).content.decode()
    assert "Pause" in by_htmx(client, "resume", destination, next=page).content.decode()


def test_on_its_own_page_a_switch_lets_the_state_be_asked_anew() -> None:
    client, destination = client_with(group="Marketer"), factories.make_destination("meta")
    page = reverse("destinations:edit", args=[destination.pk])
    answer = by_htmx(client, "switch", destination, on="0", next=page)
    assert answer["HX-Trigger"] == "trackstack:switched"
    assert "<tr" not in answer.content.decode()
    assert 'hx-trigger="trackstack:switched from:body"' in client.get(page).content.decode()


def test_what_becomes_of_waiting_rows_is_asked_in_the_dialog(waiting: Destination) -> None:
    client, page = client_with(group="Marketer"), reverse("destinations:list")
    answer = by_htmx(client, "switch", waiting, on="0", next=page)
    assert (answer["HX-Retarget"], answer["HX-Reswap"]) == ("#dialog-body", "innerHTML")
    html = answer.content.decode()
    assert "<html" not in html
    assert 'id="dialog-title"' in html
    assert "1 delivery waits for it" in html
    html = by_htmx(client, "switch", waiting, on="0", waiting="pause", next=page).content.decode()
    assert "Pixel is paused." in html
    waiting.refresh_from_db()
    assert (waiting.is_enabled, waiting.hold) == (True, Hold.PAUSED)


def test_an_open_list_is_answered_only_when_something_is_different(django_assert_max_num_queries: Any) -> None:
    client, destination = client_with(group="Viewer"), factories.make_destination("meta", name="Pixel")

    def asked(html: str) -> str:
        return re.findall(r'hx-get="([^"]+[?]seen=\w+)"', html)[0]

    address = asked(client.get(reverse("destinations:list")).content.decode())
    with django_assert_max_num_queries(6):
        assert client.get(address, headers=HTMX).status_code == 204
    by_htmx(client_with(group="Marketer"), "pause", destination)
    html = client.get(address, headers=HTMX).content.decode()
    assert html.strip().startswith("<tbody")
    assert "Paused" in html
    send("e1")
    assert client.get(asked(html), headers=HTMX).status_code == 200, "counts are shown too"

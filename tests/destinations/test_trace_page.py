"""The Trace page: consent, routing then and now, answers, what left, and the mend for whoever may use it."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from destinations import trace_page
from destinations.models import Attempt, Delivery, Destination, Hold, State
from events.ingest import Sender, accept_batch
from events.models import Event, Source
from routing import snapshot, toggles
from routing.dispatch import route_due
from tests import factories
from tests.destinations.test_observe_views import kill
from tests.logins import client_with

pytestmark = pytest.mark.django_db
PAGE = "destinations:trace"


def send(*events: dict[str, Any], source: Source | None = None) -> None:
    sender = Sender(source_id=(source or factories.make_source("Shop")).pk, trace_id="d" * 32)
    accept_batch(json.dumps(list(events)).encode(), sender)
    route_due()


def look(event_id: str = "e1", client: Client | None = None, **query: str) -> str:
    answer = (client or client_with(group="Engineer")).get(reverse(PAGE), {"id": event_id, **query})
    assert answer.status_code == 200
    html: str = answer.content.decode()
    return html


def lane(html: str, name: str) -> str:
    """The part of the page that is about one destination."""
    (found,) = [part for part in html.split('<h3 translate="no">')[1:] if part.startswith(f"{name}</h3>")]
    return found


def test_consent_says_who_said_it() -> None:
    source = factories.make_source("Shop", default_analytics_consent=False)
    send(factories.event(event_id="e1", consent={"marketing": True}), source=source)
    html = look()
    assert "Marketing given: the event says so." in html
    assert "Analytics denied: the event is silent, and Shop assumes so." in html


def test_what_retention_forgot_was_not_added_afterwards() -> None:
    factories.make_destination("meta", name="Pixel")
    send(factories.event(event_id="e1"))
    Delivery.objects.all().delete()
    factories.make_destination("meta", name="Late")
    html = look()
    assert "What became of it at Pixel is no longer kept." in lane(html, "Pixel")
    assert "Routing then" not in lane(html, "Pixel")
    assert "Late was added after this event was routed." in lane(html, "Late")


def test_routing_then_and_now() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    other = factories.make_destination("meta", name="Other")
    send(factories.event(event_id="e1"))
    assert "Now it would be the same." in lane(look(), "Pixel")
    toggles.apply(pixel, on={"SignUp": False}, user=None)
    html = look()
    assert "Routing then: to be sent. <strong>Now it would differ:</strong> SignUp is switched off" in lane(
        html, "Pixel"
    )
    assert "Now it would be the same." in lane(html, "Other")
    factories.make_destination("meta", name="Later")
    later = lane(look(), "Later")
    assert "was added after this event was routed" in later
    assert "SignUp is sent to Later." in later
    toggles.set_enabled(other, is_enabled=False, user=None)
    assert "Other is switched off." in lane(look(), "Other")


def test_an_event_that_waits_to_be_routed_has_no_decision_yet() -> None:
    factories.make_destination("meta", name="Pixel")
    source = factories.make_source()
    accept_batch(json.dumps([factories.event(event_id="e1")]).encode(), Sender(source_id=source.pk, trace_id="d" * 32))
    html = look()
    assert "Not routed yet" in html
    assert "Routing then" not in html


def test_the_mend_is_told_to_all_and_offered_to_those_who_may() -> None:
    pixel = factories.make_destination("meta", name="Pixel", hold=Hold.PAUSED)
    send(factories.event(event_id="e1"), factories.event("FeatureUsed", "e2"))
    engineer, viewer = client_with(group="Engineer"), client_with(group="Viewer")
    resume = reverse("destinations:resume", args=[pixel.pk])
    for client, is_offered in ((engineer, True), (viewer, False)):
        held = lane(look("e1", client), "Pixel")
        assert "Resume Pixel, and what waits is sent in order." in held
        assert (resume in held) is is_offered
        assert ("ask an engineer" in held) is not is_offered
        skipped = lane(look("e2", client), "Pixel")
        assert "Switch FeatureUsed on for Pixel." in skipped
        assert (f"{pixel.pk}:FeatureUsed:1" in skipped) is is_offered
        assert ("Then send what was missed" in skipped) is is_offered
    answer = engineer.post(resume, {"next": f"{reverse(PAGE)}?id=e1"})
    assert answer.url == f"{reverse(PAGE)}?id=e1", "back to where the button was"
    assert "To mend it" not in lane(look("e1"), "Pixel")


def test_a_dead_one_shows_the_answer_and_is_sent_again() -> None:
    hook = factories.make_destination("webhook", name="Hook", event_mode="everything")
    send(factories.event(event_id="e1"))
    attempt = kill(hook)
    Attempt.objects.filter(pk=attempt.pk).update(response_body='{"error": "no", "email": "ada@example.com"}')
    html = lane(look(), "Hook")
    assert "&quot;error&quot;: &quot;no&quot;" in html
    assert "ada@example.com" not in html
    assert html.count("Send it again") == 1, "the mend of a refused one is the same button"
    assert f'name="delivery" value="{Delivery.objects.get(destination=hook).pk}"' in html
    Delivery.objects.filter(destination=hook).update(reason="invalid")
    html = lane(look(), "Hook")
    assert "Try it out" in html
    assert "Send it again" in html


def test_a_line_leads_to_what_did_not_arrive() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    analytics = factories.make_destination("ga4", name="Analytics")
    send(factories.event("SignUp", "e1"))
    Delivery.objects.filter(destination=analytics).update(state=State.SKIPPED, reason="no_identity", due_at=None)
    Delivery.objects.filter(destination=pixel).update(state=State.DELIVERED, due_at=None)
    html = look()
    one = Event.objects.get(event_id="e1")
    assert "Delivered to 2 of 3 destinations." in html, "the built-in warehouse has it too"
    assert f'href="#lane-{one.pk}-{analytics.pk}">Analytics</a> (skipped).' in html
    assert f'id="lane-{one.pk}-{analytics.pk}"' in html
    assert f'href="#lane-{one.pk}-{pixel.pk}"' not in html
    assert "Payload as sent" not in lane(html, "Analytics"), "it was skipped on being built"


def payload(event: Event, destination: Destination, client: Client | None = None, **headers: str) -> str:
    page = reverse("destinations:trace_payload", args=[event.pk, destination.pk])
    answer = (client or client_with("destinations.view_delivery")).get(page, headers=headers)
    assert answer.status_code == 200
    html: str = answer.content.decode()
    return html


def test_the_payload_that_left_is_shown_where_it_was_kept_and_built_again_where_not() -> None:
    pixel = factories.make_destination("meta", name="Pixel")
    send(factories.event(event_id="e1"), factories.event(event_id="e2"))
    first, second = Event.objects.order_by("-pk")  # as `kill` puts them into the request
    assert "Nothing was sent yet" in payload(first, pixel)
    attempt = kill(pixel)
    Attempt.objects.filter(pk=attempt.pk).update(request_body='{"kept": "as it was"}\n… and 1 more')
    html = payload(first, pixel)
    assert "As it was sent" in html
    assert "{\n  &quot;kept&quot;: &quot;as it was&quot;\n}" in html
    html = payload(second, pixel)
    assert "Its request carried 2 events" in html
    assert "&quot;event_name&quot;: &quot;CompleteRegistration&quot;" in html
    for shown in (html, payload(first, pixel)):
        assert "ada@example.com" not in shown
        assert "203.0.113.7" not in shown
        for secret in pixel.secrets.values():
            assert secret not in shown
    assert "<html" not in payload(second, pixel, **{"HX-Request": "true"})


def test_the_payload_asks_who_is_there_and_what_they_may() -> None:
    pixel = factories.make_destination("meta")
    send(factories.event(event_id="e1"))
    page = reverse("destinations:trace_payload", args=[Event.objects.get().pk, pixel.pk])
    assert Client().get(page).status_code == 302
    assert client_with("destinations.view_destination").get(page).status_code == 403
    client = client_with("destinations.view_delivery")
    assert client.get(page).status_code == 200
    assert client.get(reverse("destinations:trace_payload", args=[1, pixel.pk])).status_code == 404
    assert client.get(reverse("destinations:trace_payload", args=[Event.objects.get().pk, 4000])).status_code == 404


def test_every_state_has_its_tone() -> None:
    assert {State(state).name.lower() for state in State} <= set(trace_page.TONES)


def test_one_id_of_two_sources_is_told_apart_by_the_links_of_a_look_up() -> None:
    send(factories.event("Purchase", "same", value=1, currency="USD", orderId="o-1"))
    send(
        factories.event("Purchase", "same", value=1, currency="USD", orderId="o-2"), source=factories.make_source("App")
    )
    html = client_with(group="Viewer").post(reverse(PAGE), {"by": "order", "id": "o-2"}).content.decode()
    assert f"{reverse(PAGE)}?id=same&amp;source=App" in html
    assert look("same", source="App").count('class="card"') == 1


def test_queries_grow_neither_with_destinations_nor_with_attempts(django_assert_max_num_queries: Any) -> None:
    for _ in range(6):
        kill_me = factories.make_destination("webhook", event_mode="everything")
    send(factories.event(event_id="e1"))
    kill(kill_me)
    client = client_with(group="Engineer")
    snapshot.forget()  # changes of this very transaction are read anew each time
    look("e1", client)
    with django_assert_max_num_queries(15):
        look("e1", client)


def test_the_event_is_shown_without_whom_it_is_about() -> None:
    send(
        factories.event(
            event_id="e1", firstName="Farid", phone="+4915112345987", plan="growth", companyName="Farid & Sons",
            pageUrl="https://app.example.com/p?tab=2&phone=%2B4915112345987&q=Farid",
            referrer="https://app.example.com/?firstName=Cousin",
            properties={"full name": "Zoe Person", "nested": {"birthdate": "1980-01-02"}},
        )
    )  # fmt: skip
    html = unescape(look(client=client_with(group="Viewer")))
    for told in ("Farid", "4915112345987", "Cousin", "Zoe", "1980-01-02"):
        assert told not in html, told
    for kept in ("full name", "nested", "growth", "tab=2"):
        assert kept in html, kept


def test_half_an_emoji_in_an_answer_breaks_no_page() -> None:
    factories.make_destination("meta", name="Pixel")
    send(factories.event(event_id="e1"))
    attempt = kill(Destination.objects.get(name="Pixel"))
    attempt.response_body = '{"error":"bad name \\ud83d"}'
    attempt.save()
    client = client_with(group="Engineer")
    assert "bad name \\ud83d" in look(client=client)
    answer = client.get(reverse("destinations:attempt", args=[attempt.pk]))
    assert answer.status_code == 200
    assert "bad name \\ud83d" in answer.content.decode()

"""Observe → Rejected: looking, and mending."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from events import masked_json
from events.ingest import Sender, accept_batch
from events.models import Event, RejectedEvent, Source
from tests import factories
from tests.logins import client_with


def reject(source: Source | None = None, **event: Any) -> RejectedEvent:
    sender = Sender(source_id=(source or factories.make_source("Shop")).pk, trace_id="d" * 32)
    accept_batch(json.dumps([factories.event("signup", "e1", **event)]).encode(), sender)
    return RejectedEvent.objects.latest("pk")


def url(rejected: RejectedEvent) -> str:
    return reverse("events:rejected_detail", args=[rejected.pk])


@pytest.mark.django_db
def test_pages_ask_who_is_there_and_what_they_may() -> None:
    for page in (reverse("events:rejected"), url(reject())):
        assert Client().get(page).status_code == 302
        assert client_with().get(page).status_code == 403
        assert client_with(group="Viewer").get(page).status_code == 200
    assert client_with(group="Viewer").post(url(RejectedEvent.objects.get())).status_code == 403


@pytest.mark.django_db
def test_list_by_cause_with_filters(django_assert_max_num_queries: Any) -> None:
    rejected = reject()
    client = client_with(group="Engineer")
    with django_assert_max_num_queries(9):
        html = client.get(reverse("events:rejected")).content.decode()
    assert "did you mean" in html.lower()
    assert rejected.code in html
    for query, is_there in (
        (f"code={rejected.code}", True),
        ("code=other", False),
        ("status=again", False),
        ("status=all", True),
        (f"source={rejected.source_id}&event=signup", True),
        (f"before={rejected.pk}", False),
    ):
        assert (url(rejected) in client.get(f"{reverse('events:rejected')}?{query}").content.decode()) is is_there


@pytest.mark.django_db
def test_mended_and_resubmitted_in_the_name_of_its_source() -> None:
    rejected = reject(email="ada@example.com")
    RejectedEvent.objects.filter(pk=rejected.pk).update(received_at=timezone.now() - timedelta(days=2))
    rejected.refresh_from_db()
    client = client_with(group="Engineer")
    html = client.get(url(rejected)).content.decode()
    assert "ada@example.com" not in html
    shown = json.loads(masked_json.pretty(rejected.payload))
    answer = client.post(url(rejected), {"payload": json.dumps(shown | {"event": "SignUp"})})
    assert answer.status_code == 302, answer.content
    event = Event.objects.get(event_id="e1")
    assert (event.name, event.source_id) == ("SignUp", rejected.source_id)
    assert event.payload["email"] == "ada@example.com"  # the mask was left standing
    assert abs(event.occurred_at - rejected.received_at) < timedelta(seconds=1)  # it named no time of its own
    rejected.refresh_from_db()
    assert rejected.resubmitted_at is not None


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["{", "[]", "7", '{"event": "signup", "eventId": "e1"}', '{"event": "SignUp"}', "{}"])
def test_what_is_not_mended_stays_and_is_explained(text: str) -> None:
    rejected = reject()
    answer = client_with(group="Engineer").post(url(rejected), {"payload": text})
    assert answer.status_code == 200
    assert "has-errors" in answer.content.decode()
    rejected.refresh_from_db()
    assert rejected.resubmitted_at is None
    assert RejectedEvent.objects.count() == 1
    assert not Event.objects.exists()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=12)
    | st.sampled_from(["a@b.example", "10.0.0.1", "***"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["email", "phone", "ip", "plan", "properties", 'a"b']), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_what_was_not_touched_goes_back_as_it_was_sent(value: Any) -> None:
    shown = masked_json.shown(value)
    assert masked_json.restored(json.loads(json.dumps(shown)), value) == value
    assert "a@b.example" not in json.dumps(shown)


def test_identity_is_masked_whatever_its_type() -> None:
    value = {"phone": 4915112345678, "email": ["ada@example.com"], "userData": {"firstName": "Ada"}, "value": 12.5}
    text = masked_json.pretty(json.dumps(value))
    assert not any(word in text for word in ("4915112345678", "ada@", "Ada"))
    assert "12.5" in text
    assert masked_json.pretty("not json ada@example.com") == "not json ***"
    assert masked_json.pretty("[" * 5000)


@pytest.mark.django_db
def test_half_an_emoji_is_shown_as_it_came_and_mended() -> None:
    rejected = reject(email="ada@example.com", plan="Pro \ud83d")
    assert (rejected.field, rejected.event_id) == ("plan", "e1")
    client = client_with(group="Engineer")
    answer = client.get(url(rejected))
    assert answer.status_code == 200
    assert "Pro \\ud83d" in answer.content.decode()
    shown = masked_json.pretty(rejected.payload)
    assert client.post(url(rejected), {"payload": shown}).status_code == 200, "still broken"
    mended = shown.replace("\\ud83d", "").replace("signup", "SignUp")
    assert client.post(url(rejected), {"payload": mended}).status_code == 302
    assert Event.objects.get(event_id="e1").payload["email"] == "ada@example.com"


def test_what_is_json_within_a_text_is_masked_and_put_back() -> None:
    value = {"body": json.dumps({"firstName": "Farid", "plan": "pro"}), "plain": '{"plan": "pro"}'}
    shown = masked_json.shown(value)
    assert shown == {"body": '{"firstName": "***", "plan": "pro"}', "plain": '{"plan": "pro"}'}
    assert masked_json.restored(shown, value) == value
    assert masked_json.shown({"x": "[" * 5000}) == {"x": "[" * 5000}

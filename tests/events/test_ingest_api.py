"""POST /events over Django's test client, on real PostgreSQL."""

from __future__ import annotations

import io
import json
import threading
from datetime import timedelta
from typing import Any
from unittest.mock import DEFAULT, patch

import psycopg
import pytest
from django.db import OperationalError
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.errors import DeadlockDetected

from events import storing, writing
from events.api import authentication, views
from events.models import ApiKey, Event, IngestBatch, RejectedEvent
from routing import snapshot
from tests.factories import event, make_destination, make_key, make_source

pytestmark = pytest.mark.django_db


def post(body: Any, key: str | None, **extra: Any) -> Any:
    raw = body if isinstance(body, bytes | str) else json.dumps(body)
    headers = {**({"x-ts-key": key} if key else {}), **extra.pop("headers", {})}
    content_type = extra.pop("content_type", "application/json")
    return Client().post(extra.pop("path", "/events"), raw, content_type=content_type, headers=headers, **extra)


def test_an_accepted_event_is_stored_with_its_batch() -> None:
    key = make_key()
    response = post({"events": [event("SignUp", "signup-1")]}, key, headers={"x-ts-sdk": "js/1.0"})
    assert response.status_code == 202
    body = response.json()
    assert (body["received"], body["accepted"], body["duplicates"], body["rejected"]) == (1, 1, 0, [])
    stored = Event.objects.get(event_id="signup-1")
    batch = IngestBatch.objects.get(pk=stored.batch_id)
    assert stored.name == "SignUp"
    assert stored.payload["email"] == "ada@example.com"
    assert (batch.accepted, batch.sdk, batch.trace_id, batch.routed_at) == (1, "js/1.0", response["X-Trace-Id"], None)


@pytest.mark.parametrize("wrap", [lambda e: {"events": [e]}, lambda e: [e], lambda e: e])
def test_envelope_array_and_single_event_are_all_read(wrap: Any) -> None:
    assert post(wrap(event()), make_key()).json()["accepted"] == 1


def test_one_bad_event_does_not_sink_the_batch_and_is_kept() -> None:
    response = post([event("SignUp"), event("signup"), event("Purchase", value=5, currency="USD")], make_key())
    assert response.status_code == 202
    body = response.json()
    assert body["accepted"] == 2
    (rejected,) = body["rejected"]
    assert rejected["index"] == 1
    assert rejected["field"] == "event"
    assert rejected["message"] == 'event: unknown name "signup", did you mean "SignUp"?'
    kept = RejectedEvent.objects.get()
    assert (kept.index, kept.code, kept.sentence) == (1, rejected["code"], rejected["message"])
    assert json.loads(kept.payload)["event"] == "signup"


def test_all_bad_is_422_and_kept() -> None:
    response = post([event("signup"), {"event": "SignUp"}], make_key())
    assert response.status_code == 422
    assert response["Content-Type"] == "application/problem+json"
    body = response.json()
    assert {"type", "title", "status", "detail", "instance", "traceId", "code"} <= set(body)
    assert [r["index"] for r in body["rejected"]] == [0, 1]
    assert RejectedEvent.objects.count() == 2
    assert not IngestBatch.objects.filter(routed_at=None).exists()


def test_the_same_event_id_of_a_source_is_a_duplicate() -> None:
    source = make_source()
    key, other = make_key(source), make_key()
    assert post([event(event_id="a"), event(event_id="a"), event(event_id="b")], key).json()["duplicates"] == 1
    again = post([event(event_id="a"), event(event_id="c")], key).json()
    assert (again["accepted"], again["duplicates"]) == (1, 1)
    assert post([event(event_id="a")], other).json()["accepted"] == 1, "another source, another event"
    assert Event.objects.count() == 4


def test_the_answer_plans_deliveries_by_the_routing_of_this_moment() -> None:
    make_destination("meta")
    body = post([event("SignUp"), event("WorkspaceCreated")], make_key()).json()
    assert body["platform_summary"]["meta"]["planned"] == 1
    assert body["platform_summary"]["warehouse"]["planned"] == 2
    assert body["planned_rows"] == 3


def test_any_characters_of_id_and_payload_survive_the_copy() -> None:
    nasty = 'a\\b\tc\nd"e\u2028é😀\\N'
    assert (
        post([event("SignUp", nasty, firstName=nasty, properties={nasty: [nasty, "\\."]})], make_key()).status_code
        == 202
    )
    stored = Event.objects.get()
    assert stored.event_id == nasty
    assert stored.payload["firstName"] == nasty
    assert stored.payload["properties"] == {nasty: [nasty, "\\."]}
    assert post([event("SignUp", nasty)], make_key(stored.source)).json()["duplicates"] == 1


def test_the_answer_follows_a_change_that_this_process_has_not_seen() -> None:
    key = make_key()
    snapshot.forget()
    post([event()], key)
    make_destination("meta")
    assert post([event()], key).json()["platform_summary"]["meta"]["planned"] == 1


def test_unknown_fields_are_kept_and_named() -> None:
    body = post([event(seats=5)], make_key()).json()
    assert [(w["field"], w["index"]) for w in body["warnings"]] == [("seats", 0)]
    assert Event.objects.get().payload["properties"] == {"seats": 5}


@pytest.mark.parametrize(
    ("send", "status", "code"),
    [
        (lambda key: post(b"{", key), 400, "not_json"),
        (lambda key: post(b"", key), 400, "not_json"),
        (lambda key: post([], key), 422, "no_events"),
        (lambda key: post([event()] * 101, key), 422, "too_many_events"),
        (lambda key: post([event()], None), 401, "key_missing"),
        (lambda key: post([event()], "tsk_12345678_" + "x" * 40), 401, "key_unknown"),
        (lambda key: post([event()], "nonsense"), 401, "key_unknown"),
        (lambda key: post([event()], key[:-1] + "!"), 401, "key_unknown"),
        (lambda key: post(b"[" + b" " * (1024 * 1024) + b"]", key), 413, "body_too_large"),
        (lambda key: post("a=b", key, content_type="application/x-www-form-urlencoded"), 415, "unsupported_media_type"),
        (lambda key: post([event()], key, headers={"content-encoding": "gzip"}), 415, "unsupported_encoding"),
        (lambda key: post([event()], key, headers={"origin": "https://evil.example"}), 403, "origin_not_allowed"),
        (lambda key: Client().get("/events", headers={"x-ts-key": key}), 405, "method_not_allowed"),
        (lambda _: Client().get("/events"), 405, "method_not_allowed"),
        (lambda _: Client().put("/events"), 405, "method_not_allowed"),
    ],
)
def test_errors_are_problems_with_a_code(send: Any, status: int, code: str) -> None:
    response = send(make_key())
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response["Content-Type"] == "application/problem+json"
    assert response.json()["traceId"] == response["X-Trace-Id"]
    assert response.json()["status"] == status


def test_a_database_that_is_away_is_503_with_retry_after() -> None:
    key = make_key()
    with patch("events.storing.write", side_effect=OperationalError("gone")):
        response = post([event()], key)
    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, "not_stored", "2")


@pytest.mark.parametrize("headers", [{}, {"origin": "https://app.example.com"}])
def test_a_database_that_is_away_while_the_key_is_looked_up_is_503_too(headers: dict[str, str]) -> None:
    key = make_key()
    with patch("events.api.authentication.ApiKey.objects.filter", side_effect=OperationalError("gone")):
        response = post([event()], key, headers=headers)
    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, "not_stored", "2")


@pytest.mark.parametrize("error", [psycopg.OperationalError("gone"), psycopg.InterfaceError("closed")])
def test_an_error_of_the_driver_itself_is_503_too(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def store(_: object) -> None:
        raise error

    monkeypatch.setattr("events.ingest.store", store)
    answer = post([event()], make_key())
    assert (answer.status_code, answer["Retry-After"]) == (503, "2")


def test_a_bug_is_told_as_json_and_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def store(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("events.ingest.store", store)
    answer = post([event()], make_key())
    assert (answer.status_code, answer["Content-Type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal_error"
    assert "ZeroDivisionError" in caplog.text


def test_when_every_slot_is_taken_the_answer_is_503_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key()
    monkeypatch.setattr("events.api.views._slots", threading.BoundedSemaphore(1))
    monkeypatch.setattr("events.api.views.SLOT_WAIT_SECONDS", 0.01)
    views._slots.acquire()
    response = post([event()], key)
    assert (response.status_code, response.json()["code"], response["Retry-After"]) == (503, "overloaded", "1")
    views._slots.release()
    assert post([event()], key).status_code == 202
    assert post(b"{", key).status_code == 400
    assert post([event()], key).status_code == 202, "a refused request gives its slot back"


def test_keys_by_bearer_and_query_and_text_plain_beacons() -> None:
    key = make_key()
    assert post([event()], None, headers={"authorization": f"Bearer {key}"}).status_code == 202
    assert post([event()], None, path=f"/events?key={key}", content_type="text/plain").status_code == 202


def test_revoked_and_expired_keys_are_refused() -> None:
    key = make_key(expires_at=timezone.now() - timedelta(seconds=1))
    assert post([event()], key).json()["code"] == "key_expired"
    key = make_key()
    assert post([event()], key).status_code == 202
    ApiKey.objects.update(revoked_at=timezone.now())
    authentication.forget()  # what CACHE_SECONDS do by themselves
    assert post([event()], key).json()["code"] == "key_unknown"


def test_last_used_is_written_at_most_once_a_minute(django_assert_num_queries: Any) -> None:
    key = make_key()
    post([event()], key)
    first = ApiKey.objects.get().last_used_at
    assert first is not None
    post([event()], key)
    assert ApiKey.objects.get().last_used_at == first


def test_cors_answers_the_keys_own_origins_only() -> None:
    key = make_key(make_source(allowed_origins=["https://app.example.com"]))
    preflight = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    allowed = Client().options(f"/events?key={key}", headers=preflight)
    assert allowed["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert "x-ts-key" in allowed["Access-Control-Allow-Headers"]
    refused = Client().options(f"/events?key={key}", headers={**preflight, "origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in refused
    response = post([event()], key, headers={"origin": "https://app.example.com"})
    assert response["Access-Control-Allow-Origin"] == "https://app.example.com"


def test_a_browsers_request_lends_its_address_and_agent_to_the_event() -> None:
    key = make_key(make_source(allowed_origins=["https://app.example.com"]))
    browser = {"origin": "https://app.example.com", "user-agent": "Safari"}
    bare = {"event": "SignUp", "eventId": "page"}
    post([bare], key, headers=browser, REMOTE_ADDR="203.0.113.9")
    assert Event.objects.get(event_id="page").payload == {"clientIp": "203.0.113.9", "userAgent": "Safari"}
    post([{**bare, "eventId": "server"}], key, headers={"user-agent": "curl"})
    assert Event.objects.get(event_id="server").payload == {}, "a server's own address is nobody's identity"


def test_ingest_costs_the_same_queries_for_one_event_and_a_hundred(django_assert_num_queries: Any) -> None:
    key = make_key()
    snapshot.forget()  # as if the changes above were committed
    post([event()], key)  # snapshot, key and last use are known now
    for count in (1, 100):
        with patch("events.writing._insert", wraps=writing._insert) as insert, django_assert_num_queries(0):
            assert post([event() for _ in range(count)], key).json()["accepted"] == count
        assert insert.call_count == 1, "one statement, past Django's cursor"


@pytest.fixture
def key() -> str:
    text = make_key()
    snapshot.forget()
    return text


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
_fields = st.sampled_from(
    [
        *("event", "eventId", "ts", "email", "value", "currency", "contentIds", "userData", "customData"),
        *("properties", "consent", "clickIds", "platformParams", "numItems", "clientIp"),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=200) | _json.map(lambda v: json.dumps(v).encode()) | st.lists(
    st.dictionaries(_fields, _json | st.just("SignUp"), max_size=8), max_size=5
).map(lambda v: json.dumps(v).encode()))  # fmt: skip
def test_no_body_gives_a_5xx(key: str, body: bytes) -> None:
    response = post(body, key)
    assert response.status_code in (202, 400, 422), response.content
    if response.status_code == 202:
        answer = response.json()
        assert answer["received"] == answer["accepted"] + answer["duplicates"] + len(answer["rejected"])


@pytest.mark.parametrize("origin", ["http://[", "https://[::1", "http://a]b", "null", "\u00e9"])
def test_no_origin_gives_a_5xx(key: str, origin: str) -> None:
    assert post([event()], key, headers={"origin": origin}).status_code == 403
    assert Client().options(f"/events?key={key}", headers={"origin": origin}).status_code == 204
    assert Client().options("/events", headers={"origin": origin}).status_code == 204


def test_a_chunked_body_is_read(key: str) -> None:
    body = json.dumps([event("SignUp", "chunked")]).encode()
    environ = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_TYPE": "application/json", "wsgi.input": io.BytesIO(body)}
    response = Client().generic("POST", "/events", headers={"x-ts-key": key}, **environ)
    assert (response.status_code, Event.objects.get().event_id) == (202, "chunked")


def test_a_deadlock_is_a_race_and_is_tried_again(key: str) -> None:
    deadlock = OperationalError("deadlock detected")
    deadlock.__cause__ = DeadlockDetected()
    real = storing.write
    with patch("events.storing.write", side_effect=[deadlock, DEFAULT], wraps=real):
        assert post([event()], key).status_code == 202

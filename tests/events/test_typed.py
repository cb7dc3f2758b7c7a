"""The fast way through the contract never says anything the slow one does not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import contract, typed
from events.contract import Accepted
from events.fields import CLICK_IDS, FIELDS
from tests.events.test_contract import JSON, NOW

NAMES = frozenset({"SignUp", "Purchase"})
PLAIN = {
    "event": "SignUp", "eventId": "e-1", "ts": NOW, "email": "ada@example.com", "firstName": "Ada", "country": "US",
    "value": 49, "currency": "USD", "numItems": 2, "contentIds": ["a", "b"], "clientIp": "203.0.113.7",
    "userAgent": "Mozilla/5.0 (X11; Linux x86_64)", "clickIds": {"gclid": "g"}, "consent": {"marketing": True},
    "properties": {"plan": {"a": [1, None]}}, "platformParams": {"meta": {"x": 1}},
}  # fmt: skip


def both(event: Any) -> tuple[typed.Plain | None, contract.Accepted | contract.Rejected]:
    raw = json.dumps(event, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return typed.read(raw, NOW, NAMES), contract._parse_any(raw, NOW, NAMES, (), 0)


def check(event: Any) -> bool:
    """Holds the two ways against each other; returns whether the fast one took the event."""
    fast, slow = both(event)
    if fast is None:
        return False
    assert isinstance(slow, Accepted)
    assert fast == (slow.name, slow.event_id, slow.occurred_ms, slow.consent, slow.payload_json)
    assert not slow.warnings
    assert slow.is_registered
    (alone,) = contract.parse_body(json.dumps({"events": [event]}).encode(), now_ms=NOW, names=NAMES).accepted
    assert msgspec.structs.replace(alone, warnings=[]) == slow
    return True


def test_a_plain_event_is_taken() -> None:
    assert check(PLAIN)
    assert check({"event": "SignUp", "eventId": "e"})
    assert check(PLAIN | {"firstName": "Zoë", "city": "København", "ts": NOW / 1000})


@pytest.mark.parametrize(
    "change",
    [
        {"email": " ada@example.com"}, {"email": "nobody"}, {"firstName": "Ada "}, {"firstName": " Ada"},
        {"firstName": "Ada\u3000"}, {"firstName": "\u2003Ada"}, {"firstName": "Ada\u0085"}, {"firstName": ""},
        {"externalId": 42}, {"value": "49"}, {"currency": "usd"}, {"currency": "US"}, {"currency": "ÄÖÜ"},
        {"numItems": -1}, {"numItems": 2.5}, {"contentIds": ["a", ""]}, {"contentIds": ["a", None]},
        {"contentIds": "a"}, {"clientIp": "nowhere"}, {"clickIds": {"other": "x"}}, {"clickIds": {"gclid": None}},
        {"consent": {"marketing": "granted"}}, {"consent": {"ads": True}}, {"unknown": 1}, {"userData": {}},
        {"event": "signup"}, {"event": "Other"}, {"eventId": ""}, {"eventId": "x" * 129}, {"eventId": "e "},
        {"ts": NOW + 10**9}, {"ts": "2026-01-01"}, {"ts": 5}, {"timestamp": NOW}, {"gclid": "flat"},
        {"properties": {"a": "line\nbreak"}}, {"properties": {"a": "nul\0"}}, {"email": "a@b.co\ud83d"},
        {"properties": {"a": [[[[[[[[[[1]]]]]]]]]]}}, {"platformParams": {"meta": None}}, {"pageTitle": "x" * 1025},
        {"properties": {"a": "x" * 40_000}}, {"value": 1e16}, {"firstName": {"a": 1}},
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_contract(change: dict[str, Any]) -> None:
    fast, slow = both(PLAIN | change)
    assert fast is None or isinstance(slow, Accepted)
    check(PLAIN | change)
    assert not check(PLAIN | change), "this one was thought to need the long way"


VALUES = (
    JSON | st.text(max_size=12) | st.sampled_from(["", " ", "a ", "\u00a0a", "USD", "1.2.3.4", "a@b.co", 0, -1, 1.5])
)
FIELD_NAMES = st.sampled_from(
    [*(field.name for field in FIELDS), "clickIds", "consent", "properties", "platformParams", "ts", "event", "eventId"]
)


@settings(max_examples=600, deadline=None)
@given(
    st.dictionaries(FIELD_NAMES, VALUES, max_size=4),
    st.dictionaries(st.sampled_from(sorted(CLICK_IDS)), st.text(max_size=4), max_size=2),
)
def test_both_ways_agree(changes: dict[str, Any], clicks: dict[str, str]) -> None:
    check({"event": "SignUp", "eventId": "e", "ts": NOW, "clickIds": clicks} | changes)

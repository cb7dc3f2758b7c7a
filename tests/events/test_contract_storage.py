"""What the contract accepts, PostgreSQL stores: every normal form is a jsonb value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from hypothesis import given, settings
from hypothesis import strategies as st

from events.contract import Accepted, parse_event

NOW = 1_767_225_600_000
NAMES = frozenset({"SignUp"})
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**4000, -(10**400), 2**64, 1.7976931348623157e308, 5e-324, -0.0, "\0", "\\u0000", "\x7f\x1f"])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner), max_leaves=8
)
EVENTS = st.fixed_dictionaries(
    {"properties": st.dictionaries(st.text(max_size=4), JSON, max_size=4)},
    optional={"city": st.text(max_size=9), "value": st.floats(allow_nan=False), "platformParams": st.just({"a\0": {}})},
)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=20))
def test_every_accepted_payload_is_storable(events: list[dict[str, Any]]) -> None:
    results = [
        parse_event(json.dumps({"event": "SignUp", "eventId": "1", **event}).encode(), now_ms=NOW, names=NAMES)
        for event in events
    ]
    payloads = [result.payload_json.decode() for result in results if isinstance(result, Accepted)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(payload::jsonb) FROM unnest(%s::text[]) AS payload", [payloads])
        assert cursor.fetchone() == (len(payloads),)

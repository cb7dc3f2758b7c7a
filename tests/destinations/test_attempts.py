"""What is kept of a request tells nobody who it was about, whatever the platform calls a person's fields."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from destinations import attempts, people, platforms
from destinations.models import Destination
from destinations.platforms.base import ACCESS_TOKEN, Outcome, Request, Response, Result
from events.payload import Payload
from tests.destinations.platforms.making import CONFIG, NOW, item

PERSON: dict[str, Any] = {
    "email": "Ada.Lovelace@example.org",
    "phone": "+14155550123",
    "first_name": "Augusta",
    "last_name": "Lovelace-King",
    "city": "Marylebone",
    "state": "NY",
    "zip": "W1H-7NF",
    "country": "GB",
    "external_id": "customer-4711",
    "anonymous_id": "visitor-0815",
    "client_ip": "198.51.100.23",
    "user_agent": "Mozilla/5.0 (TheirVeryOwnBrowser)",
    "company_name": "Analytical Engines",
    "page_url": "https://app.example.com/pay",
    "value": 49.0,
    "currency": "USD",
    "order_id": "order-1",
    "properties": {"note": "call Augusta at home", "deep": {"street": "12 St James's Square"}},
}
PLAIN = (
    "lovelace", "14155550123", "augusta", "marylebone", "w1h-7nf", "w1h7nf", "customer-4711", "visitor-0815",
    "198.51.100.23", "theirveryownbrowser", "st james",
)  # fmt: skip


def requests_of(key: str) -> list[Request]:
    platform = platforms.get(key)
    one = item("Purchase", platform, **PERSON)
    config = dict(CONFIG[key]) | ({ACCESS_TOKEN: "a-token"} if platform.oauth is not None else {})
    built = platform.build([one], config, NOW)
    return [part for whole in built.requests for part in (*whole.before, whole)]


@pytest.mark.parametrize("key", [key for key in platforms.PLATFORMS if not platforms.get(key).is_builtin])
def test_no_platform_has_a_word_for_a_person_that_stays_readable(key: str) -> None:
    requests = requests_of(key)
    assert requests, "a Purchase of a known person goes to every platform"
    destination = Destination(id=1, name=key, platform_key=key)
    for request in requests:
        echo = b'{"error": "cannot take ' + request.body.replace(b'"', b"'") + b'"}'
        attempt = attempts.describe(
            request,
            Response(status=400, body=echo),
            [Outcome(result=Result.PERMANENT, detail="no")] * len(request.items),
            destination=destination,
            sample=lambda: None,
            secrets=(),
            started_at=datetime.now(UTC),
            latency_ms=1,
        )
        kept = "".join((attempt.url, attempt.request_body, attempt.response_body)).lower()
        assert [word for word in PLAIN if word in kept] == []


def test_short_words_are_hidden_where_they_are_a_value_only() -> None:
    payload = Payload(state="CA", country="US")
    assert people.hidden('{"state": "CA", "event": "CANCEL", "c": "us"}', payload) == (
        '{"state": "***", "event": "CANCEL", "c": "***"}'
    )


def test_short_words_are_found_within_inner_json_forms_and_whole_names() -> None:
    payload = Payload(first_name="Al", last_name="Ng", state="CA")
    text = r'{"inner": "{\"fn\": \"Al\"}", "name": "Al Ng", "form": "st=CA&x=CAN", "word": "Also"}'
    assert people.hidden(text, payload) == (
        r'{"inner": "{\"fn\": \"***\"}", "name": "***", "form": "st=***&x=CAN", "word": "Also"}'
    )
    assert people.within(["Al", {"Al": "Also Al Ng"}], people.values(payload)) == ["***", {"Al": "Also ***"}]


def test_who_owns_a_deal_is_a_person_too() -> None:
    assert people.hidden('{"owner": "Kim Vo"}', Payload(sales_owner="Kim Vo")) == '{"owner": "***"}'


def test_a_phone_is_found_as_digits_too() -> None:
    assert people.hidden("call 14155550123 now", Payload(phone="+1 (415) 555-0123")) == "call *** now"

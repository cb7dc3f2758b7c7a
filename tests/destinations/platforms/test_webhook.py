"""The webhook against the Standard Webhooks specification, with a receiver's check written from the specification."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from destinations.platforms.base import Outcome, Request, Response
from destinations.platforms.webhook import Webhook, webhook_id
from destinations.signing import signature
from tests.destinations.platforms.making import CONFIG, NOW, body, item, only

WEBHOOK = Webhook()
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()


def build(event: str = "SignUp", config: dict[str, str] | None = None, **fields: Any) -> Request:
    return only(WEBHOOK.build([item(event, WEBHOOK, **fields)], CONFIG["webhook"] | (config or {}), NOW))


def is_verified(request: Request, secret: str) -> bool:
    """What a receiver does."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = b"%s.%s.%s" % (
        request.headers["webhook-id"].encode(), request.headers["webhook-timestamp"].encode(), request.body
    )  # fmt: skip
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return any(
        version == "v1" and hmac.compare_digest(value, expected)
        for version, _, value in (part.partition(",") for part in request.headers["webhook-signature"].split())
    )


def test_the_published_vector() -> None:
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signed = b'msg_test1.1700000000.{"type":"purchase","data":{"value":1}}'
    assert signature(key, signed) == "v1,QiIOZ+EleSMnXo8Yguv1Y6QPFqZRYLC7g//sZimfDaI="


def test_a_receiver_can_verify_it() -> None:
    request = build(email="ada@example.com")
    assert is_verified(request, CONFIG["webhook"]["secret"])
    assert not is_verified(request, OLD)


@pytest.mark.parametrize("between", [" ", "\n"])
def test_while_a_secret_is_rotated_both_sign(between: str) -> None:
    new = CONFIG["webhook"]["secret"]
    request = build(config={"secret": f"{new}{between}{OLD}"})
    assert is_verified(request, new)
    assert is_verified(request, OLD)


def test_a_secret_without_padding_is_taken() -> None:
    padded = "whsec_" + base64.b64encode(b"k" * 25).decode()
    assert padded.endswith("=")
    assert is_verified(build(config={"secret": padded.rstrip("=")}), padded)


def test_the_id_stays_the_same_on_every_try_and_the_timestamp_moves() -> None:
    items = [item("SignUp", WEBHOOK)]
    first = only(WEBHOOK.build(items, CONFIG["webhook"], NOW))
    later = only(WEBHOOK.build(items, CONFIG["webhook"], NOW + timedelta(minutes=5)))
    assert first.headers["webhook-id"] == later.headers["webhook-id"]
    assert int(later.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) == 300
    assert first.body == later.body


@given(st.text(max_size=128), st.text(max_size=128))
def test_ids_are_ascii_without_dots_and_one_to_one(one: str, other: str) -> None:
    assert (webhook_id(one) == webhook_id(other)) == (one == other)
    assert webhook_id(one).isascii()
    assert not set(webhook_id(one)) & set(". \r\n")
    assert len(webhook_id(one)) <= 255


def test_a_common_id_is_left_as_it_is() -> None:
    assert webhook_id("order_1042-a") == "order_1042-a"
    assert webhook_id("a.b") == "a%2Eb"


def test_the_message() -> None:
    message = body(build(email="ada@example.com", value=5.0, currency="USD", consent={"marketing": True},
                         properties={"seats": 3}, platform_params={"other": {"x": 1}}))  # fmt: skip
    assert message == {
        "type": "sign_up",
        "timestamp": "2026-11-23T11:00:00.000Z",
        "data": {
            "event": "SignUp", "eventId": "evt-1", "email": "ada@example.com", "value": 5.0, "currency": "USD",
            "consent": {"marketing": True}, "properties": {"seats": 3},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("event", "native_name", "expected"),
    [
        ("SSOLogin", "sso_login", "sso_login"),
        ("MyEvent", "MyEvent", "my_event"),
        ("SignUp", "user.created", "user.created"),
    ],
)
def test_the_type(event: str, native_name: str, expected: str) -> None:
    assert body(build(event, native_name=native_name))["type"] == expected


def test_a_type_that_the_specification_refuses_is_refused_aloud() -> None:
    built = WEBHOOK.build([item("SignUp", WEBHOOK, native_name="user created")], CONFIG["webhook"], NOW)
    assert built.skipped[0].reason == "invalid"


def test_headers_of_the_users_own_cannot_break_the_request() -> None:
    lines = (
        "X-Env: prod\nHost: evil\nContent-Length: 1\nWebhook-Id: x\nno header\nX-Bad: a\x00b\nAuthorization: Bearer t"
    )
    headers = build(config={"headers": lines}).headers
    assert headers["X-Env"] == "prod"
    assert headers["Authorization"] == "Bearer t"
    assert not {"Host", "Content-Length", "Webhook-Id", "X-Bad"} & headers.keys()
    assert headers["webhook-id"] == "evt-1"


@pytest.mark.parametrize("line", ["Host: x", "webhook-id: x", "content-length: 3", "no header", "X: \u00e9"])
def test_a_header_that_cannot_be_sent_is_named(line: str) -> None:
    assert "headers" in WEBHOOK.problems(CONFIG["webhook"] | {"headers": f"X-Ok: 1\n{line}"})
    assert WEBHOOK.problems(CONFIG["webhook"] | {"headers": "X-Ok: 1"}) == {}


@pytest.mark.parametrize(
    ("url", "is_fine"),
    [
        ("https://hooks.example/x?y=1", True), ("https://hooks.example", True), ("http://localhost:8000/x", True),
        ("http://hooks.example/", False), ("ftp://x", False), ("https://user:pw@hooks.example/", False),
        ("http://localhost.evil.example/", False), ("https:///x", False),
    ],
)  # fmt: skip
def test_the_address(url: str, is_fine: bool) -> None:
    assert ("url" not in WEBHOOK.problems(CONFIG["webhook"] | {"url": url})) == is_fine


def test_a_secret_that_is_not_base64_is_named() -> None:
    assert "secret" in WEBHOOK.problems(CONFIG["webhook"] | {"secret": "whsec_" + "a" * 33})
    assert "secret" in WEBHOOK.problems(CONFIG["webhook"] | {"secret": "hunter2"})


def parsed(status: int, headers: dict[str, str] | None = None) -> Outcome:
    (outcome,) = WEBHOOK.parse(build(), Response(status=status, headers=headers or {}, body=b"whatever"))
    return outcome


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, "ok"), (204, "ok"), (301, "config"), (307, "config"), (400, "retry"), (401, "config"), (404, "retry"),
        (410, "config"), (413, "permanent"), (422, "retry"), (429, "retry"), (502, "retry"), (504, "retry"),
    ],
)  # fmt: skip
def test_answers(status: int, result: str) -> None:
    assert parsed(status).result.value == result


def test_retry_after_is_honoured() -> None:
    assert parsed(429, {"retry-after": "30"}).after == 30.0

"""The receiver verifies signatures as the Standard Webhooks specification says."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from destinations.sandbox.base import Refused, Request
from destinations.sandbox.server import Sandbox
from destinations.sandbox.webhook import Webhook
from tests.destinations.sandbox.support import GONE, Reply, ask, changed, seconds

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(b"another secret of some length").decode().rstrip("=")
PAYLOAD = {"type": "purchase.completed", "timestamp": "2026-11-20T10:00:00Z", "data": {"value": 1}}


def sign(secret: str, identity: str, timestamp: str, body: bytes) -> str:
    encoded = secret.removeprefix("whsec_")
    key = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    digest = hmac.new(key, f"{identity}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def send(
    sandbox: Sandbox,
    body: Any = PAYLOAD,
    *,
    identity: str = "msg_1",
    at: str = "",
    method: str = "POST",
    **headers: Any,
) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    at = at or str(seconds())
    sent = {
        "Content-Type": "application/json",
        "User-Agent": "Test/1",
        "webhook-id": identity,
        "webhook-timestamp": at,
        "webhook-signature": sign(SECRET, identity, at, raw),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    sent = {name: value for name, value in sent.items() if value is not GONE}
    return ask(sandbox.url, method, "/webhook/any/path?x=1", raw, sent)


def test_good(sandbox: Sandbox) -> None:
    assert send(sandbox).status == 200
    assert send(sandbox, {**PAYLOAD, "timestamp": "2026-11-20T10:00:00.123+02:00", "extra": 1}).status == 200


def test_published_vector() -> None:
    """The vector is dated, so its clock is too. Its payload has no timestamp: the signature passes, the body fails."""
    headers = {
        "content-type": "application/json",
        "user-agent": "x",
        "webhook-id": "msg_test1",
        "webhook-timestamp": "1700000000",
        "webhook-signature": "v1,QiIOZ+EleSMnXo8Yguv1Y6QPFqZRYLC7g//sZimfDaI=",
    }
    request = Request("POST", "/", "", headers, b'{"type":"purchase","data":{"value":1}}')
    with pytest.raises(Refused) as refused:
        Webhook().answer(request, 1700000000)
    assert refused.value.answer.status == 400
    assert b"timestamp" in refused.value.answer.body


def test_rotation(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    raw, at = json.dumps(PAYLOAD).encode(), str(seconds())
    old, new = sign(SECRET, "msg_1", at, raw), sign(OTHER, "msg_1", at, raw)
    assert send(sandbox, at=at, webhook_signature=f"v1a,xx {new} {old}").status == 200
    assert send(sandbox, at=at, webhook_signature=new).status == 401
    monkeypatch.setenv("SANDBOX_WEBHOOK_SECRET", OTHER)
    assert send(sandbox, at=at, webhook_signature=new).status == 200
    assert send(sandbox, at=at, webhook_signature=old).status == 401
    monkeypatch.setenv("SANDBOX_WEBHOOK_SECRET", f"{OTHER} {SECRET}")
    assert send(sandbox, at=at, webhook_signature=old).status == 200


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"webhook_id": GONE}, 400),
        ({"webhook_timestamp": GONE}, 400),
        ({"webhook_signature": GONE}, 400),
        ({"identity": "msg.1"}, 400),
        ({"identity": "msg 1"}, 400),
        ({"identity": "x" * 257}, 400),
        ({"at": str(seconds() - 301)}, 401),
        ({"at": str(seconds() + 100_000)}, 401),
        ({"at": str(seconds() * 1000)}, 400),
        ({"webhook_signature": "v1,AAAA"}, 401),
        ({"webhook_signature": "v1"}, 401),
        ({"webhook_id": "msg_2"}, 401),
        ({"Content_Type": "text/plain"}, 415),
        ({"User_Agent": GONE}, 400),
        ({"method": "PUT"}, 405),
    ],
)
def test_bad_headers(sandbox: Sandbox, options: dict[str, Any], status: int) -> None:
    assert send(sandbox, **options).status == status


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        [PAYLOAD],
        changed(PAYLOAD, {"type": GONE}),
        changed(PAYLOAD, {"type": "Start Trial"}),
        changed(PAYLOAD, {"timestamp": GONE}),
        changed(PAYLOAD, {"timestamp": 1700000000}),
        changed(PAYLOAD, {"timestamp": "2026-11-20T10:00:00"}),
        changed(PAYLOAD, {"data": GONE}),
        changed(PAYLOAD, {"data": []}),
    ],
    ids=repr,
)
def test_bad_payloads(sandbox: Sandbox, body: Any) -> None:
    assert send(sandbox, body).status == 400


def test_a_changed_body_is_refused(sandbox: Sandbox) -> None:
    at = str(seconds())
    signature = sign(SECRET, "msg_1", at, json.dumps(PAYLOAD).encode())
    assert send(sandbox, changed(PAYLOAD, {"data.value": 2}), at=at, webhook_signature=signature).status == 401

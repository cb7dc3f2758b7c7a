"""Signed outgoing webhook. Source: Standard Webhooks specification 1.0.0, github.com/standard-webhooks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.platforms import _reading, base
from destinations.platforms._names import NAMES, snake
from destinations.platforms.base import Built, Config, Field, Item, Outcome, Request, Response, Result, Skip
from destinations.signing import keys_of, signature

MAX_ID = 255
FORBIDDEN = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection"})

_TYPE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
_HEADER = re.compile(r"([A-Za-z0-9!#$%&'*+.^_`|~-]+)[ \t]*:[ \t]*([\x20-\x7e]*)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Webhook(base.Platform):
    key = "webhook"
    label = "Webhook"
    kind = base.Kind.WEBHOOK
    events = {name: snake(name) for name in NAMES}
    takes_custom_events = True
    recommended = frozenset(NAMES)
    batch_limit = 1
    docs_url = "https://www.standardwebhooks.com/"
    fields = (
        Field(name="url", label=_("Address"), required=True, example="https://hooks.example.com/trackstack",
              help=_("Where the events are posted; https, except on this host"),
              pattern=r"https://[^\s/?#@]+([/?#]\S*)?|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?([/?#]\S*)?"),
        Field(name="secret", label=_("Signing secret"), secret=True, required=True,
              example="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
              pattern=r"whsec_[A-Za-z0-9+/=]{32,88}(\s+whsec_[A-Za-z0-9+/=]{32,88})?",
              help=_("whsec_ and 24 to 64 random bytes in base64; to rotate it, enter the new and the old one, "
                     "with a space between")),
        Field(name="headers", label=_("More headers"), is_advanced=True, secret=True, multiline=True,
              help=_("One per line, as Name: value; Host, Content-* and webhook-* are ours")),
    )  # fmt: skip

    def native_name(self, event: str) -> str:
        return snake(event)

    def problems(self, config: Config) -> dict[str, str]:
        found = super().problems(config)
        if "secret" not in found and len(keys_of(config.get("secret", ""))) != len(config.get("secret", "").split()):
            found["secret"] = gettext("Signing secret is not base64 after whsec_.")
        bad = [line for line in config.get("headers", "").splitlines() if line.strip() and not _header(line)]
        if bad:
            said = gettext("More headers: line %(line)r is no header, or one that is ours.")
            found["headers"] = said % {"line": bad[0].split(":")[0]}
        return found

    def build(self, items: Sequence[Item], config: Config, now: datetime) -> Built:
        built = Built(requests=[], skipped=[])
        for item in items:
            kind = _type(item)
            if not _TYPE.fullmatch(kind):
                detail = f"{kind[:64]!r} is no event type: letters, digits and _ in parts joined by dots."
                built.skipped.append(Skip(item=item, reason="invalid", detail=detail))
                continue
            body = msgspec.json.encode(base.with_overrides(_message(item, kind), item, self.key))
            headers = _signed(webhook_id(item.event_id), body, config, now)
            built.requests.append(
                Request(method="POST", url=config.get("url", ""), headers=headers, body=body, items=(item,))
            )
        return built

    def parse(self, request: Request, response: Response) -> list[Outcome]:
        """2xx is taken; 410 asks to stop, a redirect or a refused signature needs a person; the rest may pass."""
        status, count = response.status, len(request.items)
        if 200 <= status < 300:
            return [base.OK] * count
        if status == 410:
            outcome = Outcome(result=Result.CONFIG, detail="The endpoint says it is gone (410): switch it off.")
        elif 300 <= status < 400:
            outcome = Outcome(result=Result.CONFIG, detail=f"The endpoint redirects ({status}): enter the new address.")
        elif status in (401, 403):
            outcome = Outcome(result=Result.CONFIG, detail=f"The endpoint refused the signature or headers ({status}).")
        elif status == 413:
            outcome = Outcome(result=Result.PERMANENT, detail="The endpoint says the event is too large (413).")
        else:
            after = base.retry_after(response)
            outcome = Outcome(result=Result.RETRY, detail=f"The endpoint answered {status}.", after=after)
        return [outcome] * count

    def check(self, config: Config, now: datetime) -> Request | None:
        """A signed message of the type `ping`, as nothing else tells whether the receiver takes the signature. It is no
        event's type, and carries none.
        """
        moment = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data = {"message": "TrackStack checks the connection. This is no event."}
        body = msgspec.json.encode({"type": "ping", "timestamp": moment, "data": data})
        headers = _signed(f"ping_{int(now.timestamp())}", body, config, now)
        return Request(method="POST", url=config.get("url", ""), headers=headers, body=body, items=())

    def read_check(self, response: Response, config: Config) -> Outcome:
        if _reading.is_good(response):
            return _reading.good("The endpoint took a signed ping.")
        return _reading.refused(self, response)


def _signed(message_id: str, body: bytes, config: Config, now: datetime) -> dict[str, str]:
    timestamp = str(int(now.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return _headers(config) | {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signature(key, signed) for key in keys_of(config.get("secret", ""))),
    }


def webhook_id(event_id: str) -> str:
    """The event id as a header may carry it and a signature can tell it: ASCII without dots, one to one.

    Receivers use it as their idempotency key, so it is the same on every try and different for different events.
    """
    text = quote(event_id.encode("utf-8", "surrogatepass"), safe="").replace(".", "%2E").replace("~", "%7E")
    return text if len(text) <= MAX_ID else "sha256_" + hashlib.sha256(text.encode()).hexdigest()


def _header(line: str) -> tuple[str, str] | None:
    """Name and value of a header line; None when it is none, or one that would forge or break the request."""
    found = _HEADER.fullmatch(line.strip())
    if found is None:
        return None
    name, value = found.groups()
    lowered = name.lower()
    return None if lowered in FORBIDDEN or lowered.startswith("webhook-") else (name, value)


def _headers(config: Config) -> dict[str, str]:
    return dict(filter(None, map(_header, config.get("headers", "").splitlines())))


def _type(item: Item) -> str:
    """What was entered for the route, else the event's name in snake_case."""
    return item.native_name if item.native_name and item.native_name != item.event else snake(item.event)


def _message(item: Item, kind: str) -> dict[str, Any]:
    """The whole normal form; what was meant for the platforms (`platformParams`) is not the receiver's business."""
    payload = msgspec.structs.replace(item.payload, platform_params={})
    moment = _EPOCH + timedelta(milliseconds=item.occurred_ms)
    about = {"event": item.event, "eventId": item.event_id}
    return {
        "type": kind,
        "timestamp": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": about | msgspec.to_builtins(payload),
    }

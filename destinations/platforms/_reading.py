"""What reading answers has in common, above all those to *Check connection* and to lists of native ids. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from destinations.masking import masked
from destinations.platforms import base
from destinations.platforms.base import Item, Outcome, Platform, Request, Response, Result
from events.payload import Payload

PROBE = Request(
    method="GET",
    url="",
    headers={"Authorization": ""},
    body=b"",
    items=(Item(key=0, event_id="check", event="PageView", occurred_ms=0, payload=Payload()),),
)
"""What an adapter's `parse` is shown beside the answer to a check, so that its table of errors serves both."""


def made_up(now: datetime, **payload: Any) -> Item:
    """A page view of nobody, for vendors that check an event and record nothing."""
    return Item(
        key=0,
        event_id="trackstack-check",
        event="PageView",
        occurred_ms=int(now.timestamp() * 1000),
        payload=Payload(page_url="https://example.com/", **payload),
    )


def good(sentence: str) -> Outcome:
    return Outcome(result=Result.OK, detail=sentence)


def bad(sentence: str) -> Outcome:
    return Outcome(result=Result.CONFIG, detail=sentence)


def unreadable(platform: Platform, response: Response) -> Outcome:
    """For an answer with 2xx that is not the vendor's: a proxy or a login page stands between."""
    detail = f"{platform.label} answered {response.status} with something else than expected."
    return Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))


def refused(platform: Platform, response: Response, url: str = "", token: str = "") -> Outcome:
    """A refusal, as the adapter reads the refusal of an event: there was none, so it is about the configuration.

    url, token: of the request, where the adapter looks at them.
    """
    sent = msgspec.structs.replace(PROBE, url=url, headers={"Authorization": f"Bearer {token}"})
    outcome = platform.parse(sent, response)[0]
    if outcome.result == Result.OK:
        return unreadable(platform, response)
    if outcome.result in (Result.CONFIG, Result.RETRY):
        return outcome
    return msgspec.structs.replace(outcome, result=Result.CONFIG, reason="")


def checked(platform: Platform, response: Response) -> Outcome:
    answer = response.json()
    if 200 <= response.status < 300 and isinstance(answer, dict | list):
        if not (isinstance(answer, dict) and (answer.get("error") or answer.get("errors"))):
            return good(f"{platform.label} answers.")
    elif 200 <= response.status < 300:
        return unreadable(platform, response)
    return refused(platform, response)


def again(vendor: str) -> Outcome:
    """For the good events of a batch that was refused for a bad one: at once, without it."""
    return Outcome(result=Result.RETRY, after=0.0, detail=f"{vendor} refused the batch for another event.")


def is_good(response: Response) -> bool:
    return 200 <= response.status < 300


def fields_of(response: Response) -> dict[str, Any]:
    """The answer where it is a JSON object, else nothing."""
    answer = response.json()
    return answer if isinstance(answer, dict) else {}


def objects(values: Any) -> Iterator[dict[str, Any]]:
    """The objects of what should be a list of them."""
    for value in values if isinstance(values, list) else ():
        if isinstance(value, dict):
            yield value


def text(value: Any, longest: int = 120) -> str:
    """A name or an id as the vendor gave it; empty when it is neither text nor a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return masked(" ".join(value.split()), cap=longest) if isinstance(value, str) else ""


def quoted(value: Any) -> str:
    """`“Acme EU”`, with the space before it; nothing for a thing without a name."""
    name = text(value, 80)
    return f" “{name}”" if name else ""

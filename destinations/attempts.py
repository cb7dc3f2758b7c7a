"""What is kept of a request: enough to explain it, masked and capped before it is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from destinations import masking, outgoing, people
from destinations.http import NoAnswer
from destinations.models import Attempt, Destination
from destinations.platforms.base import Outcome, Request, Response, Result
from events import masked_json
from events.body import DECODE_ERRORS
from events.payload import Payload

MOST_NAMED = 20
"""Events that an answer is searched for, of those in the request."""

SENTENCE_CAP = 350
"""Short enough that a note on what was cut fits where it is kept."""

MORE = "\n… and "
"""Begins the note on what a request carried besides the event whose part is kept."""


def describe(
    request: Request,
    answer: Response | NoAnswer,
    outcomes: Sequence[Outcome],
    *,
    destination: Destination,
    sample: Callable[[], Request | None],
    secrets: Sequence[str],
    started_at: datetime,
    latency_ms: int,
) -> Attempt:
    """An unsaved attempt. sample: the request that the first event of a batch alone would have made."""
    failed = [outcome for outcome in outcomes if outcome.result != Result.OK]
    # What is to blame, before what only suffered for it.
    worst = next((outcome for outcome in failed if not outcome.is_again), (failed or outcomes)[0])
    return Attempt(
        destination=destination,
        delivery_ids=[item.key for item in request.items],
        started_at=started_at,
        latency_ms=latency_ms,
        method=request.method,
        # Where it really went: the sandbox's address, for a destination in sandbox mode.
        url=_url(destination, request, secrets)[:500],
        request_body=_body(request, sample, secrets),
        status=answer.status if isinstance(answer, Response) else None,
        response_body=_answer(request, answer, secrets) if isinstance(answer, Response) else "",
        outcome=worst.result.value,
        detail=masking.masked(worst.detail, secrets, cap=380),
    )


def sentence(said: str, payloads: Sequence[Payload], secrets: Sequence[str]) -> str:
    """What a platform or an adapter said of events, without secrets and without whom they are about."""
    return people.unnamed(masking.masked(said, secrets, cap=SENTENCE_CAP), payloads[:MOST_NAMED])


def discreet(request: Request, outcomes: list[Outcome], secrets: Sequence[str]) -> list[Outcome]:
    """Outcomes that repeat nothing of secrets and persons: their sentences are shown, exported, sent in alerts."""
    about: dict[str, list[Payload]] = {}
    for item, outcome in zip(request.items, outcomes, strict=True):
        if outcome.detail:
            about.setdefault(outcome.detail, []).append(item.payload)
    said = {detail: sentence(detail, payloads, secrets) for detail, payloads in about.items()}
    replace = msgspec.structs.replace
    return [replace(one, detail=said[one.detail]) if one.detail else one for one in outcomes]


def _url(destination: Destination, request: Request, secrets: Sequence[str]) -> str:
    url = masking.without_secrets(outgoing.addressed(destination, request).url, secrets)
    return people.hidden_of_all(url, (item.payload for item in request.items[:1]))


def _body(request: Request, sample: Callable[[], Request | None], secrets: Sequence[str]) -> str:
    """The body as people may see it. Of a batch, its first event with a note how many there were."""
    if not _is_text(request):
        return f"({len(request.body)} bytes that are no text)"
    body, note = request.body, ""
    if len(request.items) > 1:
        alone = sample()
        body, note = (alone.body, f"{MORE}{len(request.items) - 1} more") if alone else (b"", "")
    with contextlib.suppress(*DECODE_ERRORS):  # what is no JSON is masked as the text it is
        body = msgspec.json.encode(masked_json.of_request(msgspec.json.decode(body)))
    text = masking.masked(body, secrets)
    return people.hidden_of_all(text, (item.payload for item in request.items[:1])) + note


def _answer(request: Request, answer: Response, secrets: Sequence[str]) -> str:
    """The answer as people may see it: platforms repeat what they refuse."""
    text = masking.masked(answer.body, secrets, cap=2000)
    is_short = len(text) < 3 * len(request.items)  # it cannot speak of each event
    return people.hidden_of_all(text, (item.payload for item in request.items[: 1 if is_short else MOST_NAMED]))


def _is_text(request: Request) -> bool:
    """Whether a body is text: Parquet and compressed bodies are none, and hold what must not be shown."""
    try:
        request.body[:4096].decode()
    except UnicodeDecodeError as error:
        return error.start > 4090  # only cut within a character
    return b"\x00" not in request.body[:4096]

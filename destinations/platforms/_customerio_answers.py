"""Customer.io's answers read: whole refusals, and which entry of a batch was refused. Pure.

Source: docs.customer.io, the responses in the OpenAPI files of the Track API v2 and the Pipelines API.
"""

from __future__ import annotations

from typing import Any

import msgspec

from destinations.masking import masked
from destinations.platforms import base
from destinations.platforms.base import Outcome, Request, Response, Result

# Status of a refusal → what to do. Source: the responses of the OpenAPI files, and "Regions" for the redirects.
STATUSES: dict[int, str] = {
    **dict.fromkeys((301, 302, 307, 308), "The account is in the other region: choose it in the destination."),
    401: "Customer.io refused the keys: check them, and that they are of the chosen region.",
    403: "Customer.io does not let these keys write: check the workspace they belong to.",
    404: "Customer.io does not know this address: check the region.",
}
# Field that an error is about → what to do.
FIELDS: dict[str, str] = {
    "identifiers": "Customer.io takes one id, e-mail address or visitor id, as the workspace settings allow.",
    "name": "Customer.io does not take this event name.",
    "timestamp": "Customer.io does not take this time.",
    "attributes": "Customer.io does not take these attributes.",
}


def outcomes_of(request: Request, response: Response) -> list[Outcome]:
    """One for each item, in order."""
    status, count, answer = response.status, len(request.items), response.json()
    answer = answer if isinstance(answer, dict) else {} if not response.body else None
    errors = _errors_of(answer or {})
    if 200 <= status < 300 and answer is not None:
        return _entry_errors(request, errors) if errors else [base.OK] * count
    said = "; ".join(filter(None, map(_said, errors))) or "no reason given"
    detail = masked(f"Customer.io {status}: {said}", cap=300)
    if status in STATUSES:
        return [Outcome(result=Result.CONFIG, detail=f"{STATUSES[status]} {detail}")] * count
    if base.is_transient(status) or status < 400:
        # What was taken before is known by its ULID or messageId: to send it again changes nothing.
        return [Outcome(result=Result.RETRY, detail=detail, after=base.retry_after(response))] * count
    result = Result.SPLIT if count > 1 else Result.PERMANENT
    return [Outcome(result=result, detail=detail)] * count


def _errors_of(answer: dict[str, Any]) -> list[Any]:
    """`errors` of version 2, or the `meta` of version 1, which gateways still answer with."""
    errors = answer.get("errors")
    if isinstance(errors, list):
        return errors
    meta = answer.get("meta")
    return [{"message": str(meta.get("error") or meta.get("errors") or "")}] if isinstance(meta, dict) else []


def _said(error: Any) -> str:
    if not isinstance(error, dict):
        return str(error)
    return " ".join(str(error[name]) for name in ("reason", "field", "message") if error.get(name))


def _entry_errors(request: Request, errors: list[Any]) -> list[Outcome]:
    """The outcome of each item, whose entries are one or two: a person is followed by the event."""
    owners = _owners_of(request.body)
    refused: dict[int, Outcome] = {}
    stray: Outcome | None = None
    for error in errors:
        index = error.get("batch_index") if isinstance(error, dict) else None
        field = str(error.get("field") or "").partition(".")[0] if isinstance(error, dict) else ""
        advice = FIELDS.get(field, "")
        if not isinstance(index, int) or not 0 <= index < len(owners) or owners[index][0] >= len(request.items):
            stray = Outcome(result=Result.PERMANENT, detail=masked(f"Customer.io: {_said(error)}", cap=300))
            continue
        owner, is_event = owners[index]
        subject = "the event" if is_event else "the person (its event was taken)"
        detail = masked(f"{advice} Customer.io refused {subject}: {_said(error)}".strip(), cap=300)
        if is_event or owner not in refused:
            refused[owner] = Outcome(result=Result.PERMANENT, detail=detail)
    rest = base.OK
    if stray is not None:
        rest = Outcome(result=Result.SPLIT, detail=stray.detail) if len(request.items) > 1 else stray
    return [refused.get(number, rest) for number in range(len(request.items))]


def _owners_of(body: bytes) -> list[tuple[int, bool]]:
    """Of each entry of a body the number of its item, and whether it is the event."""
    try:
        entries = msgspec.json.decode(body)["batch"]
        kinds = [entry.get("action") or entry["type"] for entry in entries]
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return []
    owners, number = [], 0
    for kind in kinds:
        is_event = kind != "identify"
        owners.append((number, is_event))
        number += is_event
    return owners

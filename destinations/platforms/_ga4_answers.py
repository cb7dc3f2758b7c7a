"""What the validation server of Google Analytics says.

Source: developers.google.com/analytics/devguides/collection/protocol/ga4/validating-events (2026-09).
"""

from __future__ import annotations

import re
from typing import Any

from destinations.masking import masked
from destinations.platforms import base
from destinations.platforms.base import Outcome, Response, Result

CODES = {
    "VALUE_INVALID": "the value is not allowed there",
    "VALUE_REQUIRED": "a required value is missing",
    "VALUE_OUT_OF_BOUNDS": "the value is out of bounds",
    "NAME_INVALID": "the name is not allowed",
    "NAME_RESERVED": "the name is reserved by Google Analytics",
    "NAME_DUPLICATED": "the name stands twice",
    "EXCEEDED_MAX_ENTITIES": "there are too many of them",
}
"""`validationCode` of the validation server → what it means."""
CONFIG_PATHS = frozenset({"measurement_id", "api_secret", "firebase_app_id"})

_EVENT = re.compile(r"\bevents\[(\d{1,3})\]")


def validated(response: Response, count: int) -> list[Outcome]:
    """The validation server's messages: none, and all is well."""
    answer = response.json()
    messages = answer.get("validationMessages") if isinstance(answer, dict) else None
    if not isinstance(messages, list):
        detail = f"Google's validation server answered {response.status} without its messages."
        return [Outcome(result=Result.RETRY, detail=detail)] * count
    if not messages:
        return [base.OK] * count
    outcomes: dict[int, Outcome] = {}
    for message in messages:
        path, outcome = _judged(message)
        if outcome.result == Result.CONFIG:
            return [outcome] * count
        found = _EVENT.search(path)
        if found is None or int(found[1]) >= count:
            return [Outcome(result=Result.SPLIT, detail=outcome.detail) if count > 1 else outcome] * count
        outcomes.setdefault(int(found[1]), outcome)
    again = Outcome(result=Result.RETRY, after=0.0, detail="Another event of the request was not valid.")
    return [outcomes.get(index, again) for index in range(count)]


def _judged(message: Any) -> tuple[str, Outcome]:
    """Where, and what it means."""
    message = message if isinstance(message, dict) else {}
    path, said = str(message.get("fieldPath") or ""), str(message.get("description") or "not valid")
    advice = CODES.get(str(message.get("validationCode")), "")
    detail = masked(f"Google Analytics: {said}" + (f" ({path})" if path else ""), cap=240)
    result = Result.CONFIG if path in CONFIG_PATHS else Result.PERMANENT
    if result == Result.CONFIG:
        advice = "check measurement ID, Firebase app ID and API secret"
    return path, Outcome(result=result, detail=f"{detail}; {advice}." if advice else detail)

"""Failure injection: which requests fail, and how."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from destinations.sandbox.base import HTML_PAGE, Answer, Vendor
from destinations.sandbox.checks import Check, amount, integer, look_over, matching, text

DEFAULT_TIMEOUT = 30.0
DEFAULT_RETRY_AFTER = 1
NAMED_KINDS = ("timeout", "html", "empty", "truncated", "partial")
KIND = rf"{'|'.join(NAMED_KINDS)}|[45]\d\d"


@dataclass
class Failure:
    """`times` counts down; None means until deleted."""

    platform: str
    kind: str
    times: int | None = None
    retry_after: int | None = None
    seconds: float = DEFAULT_TIMEOUT
    event_id: str | None = None

    def concerns(self, platform: str, body: bytes) -> bool:
        if self.platform != platform:
            return False
        if self.event_id is None:
            return True
        # The id as a whole: evt_1 does not concern evt_10.
        return re.search(rb"(?<![\w-])" + re.escape(self.event_id.encode()) + rb"(?![\w-])", body) is not None

    def as_json(self) -> dict[str, Any]:
        shown = {name: value for name, value in vars(self).items() if value is not None and name != "event_id"}
        if self.kind != "timeout":
            del shown["seconds"]
        return shown | ({"match": {"event_id": self.event_id}} if self.event_id is not None else {})


FIELDS: dict[str, Check] = {
    "platform": text,
    "kind": matching(KIND, f"one of {', '.join(NAMED_KINDS)} or a status like 429, 500, 401"),
    "times": lambda value: integer(value) or (None if value > 0 else "must be positive"),
    "retry_after": lambda value: integer(value) or amount(value),
    "seconds": amount,
    "match": lambda value: str(found[0]) if (found := look_over(value, {"event_id": text}, ["event_id"])) else None,
}


class Unusable(ValueError):
    """A failure that cannot be set, with the reason."""


class FailureBook:
    """The failures that are set, oldest first; the first that concerns a request applies. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: list[Failure] = []

    def add(self, value: Any, vendor_of: Callable[[str], Vendor]) -> Failure:
        if faults := look_over(value, FIELDS, ["platform", "kind"]):
            raise Unusable(f"{faults[0].path} {faults[0].text}")
        options = {name: value[name] for name in ("times", "retry_after", "seconds") if name in value}
        failure = Failure(value["platform"], value["kind"], event_id=value.get("match", {}).get("event_id"), **options)
        check_possible(failure.kind, failure.platform, vendor_of(failure.platform))
        with self._lock:
            self._failures.append(failure)
        return failure

    def take(self, platform: str, body: bytes) -> Failure | None:
        with self._lock:
            for failure in self._failures:
                if failure.concerns(platform, body):
                    if failure.times is not None:
                        failure.times -= 1
                        if failure.times == 0:
                            self._failures.remove(failure)
                    return failure
        return None

    def every(self) -> list[dict[str, Any]]:
        with self._lock:
            return [failure.as_json() for failure in self._failures]

    def clear(self, platform: str | None = None) -> None:
        with self._lock:
            self._failures = [one for one in self._failures if platform is not None and one.platform != platform]


def check_possible(kind: str, platform: str, vendor: Vendor) -> None:
    if not re.fullmatch(KIND, kind):
        raise Unusable(f"unknown failure {kind!r}; known: {', '.join(NAMED_KINDS)} and statuses from 400 to 599")
    if kind == "partial" and not vendor.partial_note:
        raise Unusable(f"{platform} has no partial answers")


def fail(failure: Failure, vendor: Vendor, answer: Callable[[], Answer], wait: Callable[[float], object]) -> Answer:
    """The answer of a request that fails. `answer` asks the vendor double for the one it would have given."""
    kind = failure.kind
    if kind == "timeout":
        wait(failure.seconds)
        return vendor.error(504)
    if kind == "html":
        return Answer(502, HTML_PAGE, {"Content-Type": "text/html; charset=utf-8"})
    if kind.isdigit():
        status = int(kind)
        refusal = vendor.error(status)
        after = failure.retry_after
        if after is None and status == 429:
            after = DEFAULT_RETRY_AFTER
        return refusal if after is None else replace(refusal, headers={**refusal.headers, "Retry-After": str(after)})
    # The vendor took the request; what goes wrong is the answer.
    good = answer()
    if kind == "empty":
        return replace(good, body=b"")
    if kind == "truncated":
        # The length of the whole stays announced, and the connection ends in the middle, as when a proxy dies.
        return replace(good, body=good.body[: len(good.body) // 2], announced=len(good.body) or 1)
    return vendor.partial(good) if good.status < 300 else good

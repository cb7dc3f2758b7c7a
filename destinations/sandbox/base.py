"""What the vendor doubles share: a request, an answer, and the class each double extends.

The checks of single values are in `checks`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import parse_qsl

JSON_TYPE = "application/json"
HTML_PAGE = (
    b"<!DOCTYPE html>\n<html><head><title>Sorry</title></head><body><h1>Something went wrong</h1></body></html>\n"
)


@dataclass(frozen=True)
class Request:
    """One received request. `path` is the vendor's own path, header names are lower-case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query, keep_blank_values=True))

    @property
    def bearer(self) -> str | None:
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" and token else None


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    announced: int | None = None
    """The Content-Length to claim when it is not that of the body."""

    @classmethod
    def of(cls, status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, body, {"Content-Type": JSON_TYPE, **(headers or {})})


class Refused(Exception):
    """Ends the handling of a request with the given answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


class NotJson(ValueError):
    """The body is not the JSON that RFC 8259 describes; the text says where it is not."""


def read_json(body: bytes) -> Any:
    """The value of a JSON body. NaN, infinities, double keys and other encodings than UTF-8 are refused."""

    def refuse_constant(name: str) -> Any:
        raise NotJson(f"{name} is not JSON")

    def refuse_double_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise NotJson("a key stands twice in one object")
        return found

    try:
        return json.loads(body.decode(), parse_constant=refuse_constant, object_pairs_hook=refuse_double_keys)
    except NotJson:
        raise
    except (ValueError, RecursionError) as error:
        raise NotJson(str(error)) from error


class Vendor:
    """One vendor double. `answer` judges a request; `error` is any failure in the vendor's own words.

    A double is one file and one line in `app.VENDORS`. It must not keep state between requests.
    """

    partial_note: ClassVar[str] = ""
    """What `partial` does at this vendor. Empty: the vendor has no partial answers."""
    dedup_seconds: ClassVar[float] = math.inf
    """How long the vendor recognises a repetition."""

    def answer(self, request: Request, now: float) -> Answer:
        """The vendor's answer. May raise Refused."""
        raise NotImplementedError

    def look(self, request: Request, now: float) -> Answer | None:
        """The answer to a request that only reads (*Check connection*, native ids); None: it is not one. May raise
        Refused."""
        return None

    def ids(self, request: Request) -> list[tuple[str, ...]]:
        """What the vendor recognises each event of a request by that it took, the event id last; () where it can't."""
        raise NotImplementedError

    def error(self, status: int) -> Answer:
        """The vendor's error body for an injected failure with this status."""
        raise NotImplementedError

    def partial(self, good: Answer) -> Answer:
        """The good answer changed to one that leaves out or fails the last event."""
        raise NotImplementedError


def is_well_shaped_token(token: str, shortest: int, longest: int) -> bool:
    return re.fullmatch(rf"[A-Za-z0-9_-]{{{shortest},{longest}}}", token) is not None

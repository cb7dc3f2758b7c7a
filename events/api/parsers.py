"""The body of POST /events: raw bytes within the limits. What they say is the contract's business."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http.request import RawPostDataException, UnreadablePostError
from rest_framework.parsers import BaseParser

from events.api.problems import Problem


class EventsParser(BaseParser):
    """Takes JSON, and `text/plain`, which is what `navigator.sendBeacon` sends a string as."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> bytes:
        """Raises Problem 413 for more than MAX_BODY_BYTES, 415 for another type or a compressed body."""
        base = (media_type or "").split(";")[0].strip().lower()
        if base not in ("application/json", "text/plain"):
            raise Problem(
                415,
                "unsupported_media_type",
                f"Send the events as application/json; this request says {base or 'nothing'}.",
            )
        encoding = stream.META.get("HTTP_CONTENT_ENCODING", "identity").lower()
        if encoding not in ("", "identity"):
            raise Problem(
                415,
                "unsupported_encoding",
                f"Content-Encoding {encoding!r} is not supported; send plain JSON.",
            )
        limit = settings.MAX_BODY_BYTES
        if int(stream.META.get("CONTENT_LENGTH") or 0) > limit:
            raise self._too_large(limit)
        try:
            raw: bytes = stream.read(limit + 1)
        except (UnreadablePostError, RawPostDataException, OSError):
            raise Problem(400, "unreadable_body", "The request body ended before it was complete.") from None
        if len(raw) > limit:
            raise self._too_large(limit)
        return raw

    @staticmethod
    def _too_large(limit: int) -> Problem:
        return Problem(
            413,
            "body_too_large",
            f"The body is larger than {limit} bytes; send fewer events at once.",
        )

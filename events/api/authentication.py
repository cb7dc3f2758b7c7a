"""Ingest keys: header `x-ts-key`, `Authorization: Bearer`, or `?key=` for sendBeacon, which cannot set headers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from events import keys
from events.api.problems import Problem
from events.models import ApiKey

CACHE_SECONDS = 1.0
"""How long a process may go on believing in a key: a revocation is in force everywhere within this time."""
CACHE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class KnownKey:
    id: int
    digest: str
    expires_at: datetime | None
    source_id: int
    allowed_origins: frozenset[str]
    is_active: bool


_known: dict[str, tuple[float, KnownKey | None]] = {}
_noted: dict[int, float] = {}


def forget() -> None:
    """Empty the process's memory of keys (tests)."""
    _known.clear()
    _noted.clear()


def find_key(prefix: str) -> KnownKey | None:
    """The unrevoked key of that prefix; remembered for CACHE_SECONDS, unknown prefixes too."""
    now = time.monotonic()
    held = _known.get(prefix)
    if held is not None:
        if now - held[0] < CACHE_SECONDS:
            return held[1]
        # While one request looks, the others go by what is known instead of all looking at once.
        _known[prefix] = (now, held[1])
    try:
        row = ApiKey.objects.filter(prefix=prefix, revoked_at=None).select_related("source").first()
    except DatabaseError:
        _known.pop(prefix, None)  # nobody may go by what could not be looked up
        raise
    found = None
    if row is not None:
        found = KnownKey(
            row.pk,
            row.digest,
            row.expires_at,
            row.source_id,
            frozenset(row.source.allowed_origins),
            row.source.is_active,
        )
    if len(_known) >= CACHE_LIMIT:  # made-up prefixes must not fill the memory
        _known.clear()
    _known[prefix] = (now, found)
    return found


def note_use(key: KnownKey) -> None:
    """Keep `last_used_at` true to the minute: at most one write a minute and key, whatever the number of processes."""
    now = time.monotonic()
    if now - _noted.get(key.id, -60.0) < 60:
        return
    _noted[key.id] = now
    at = timezone.now()
    ApiKey.objects.filter(Q(last_used_at=None) | Q(last_used_at__lt=at - timedelta(seconds=60)), pk=key.id).update(
        last_used_at=at
    )


def read_key(request: Any) -> str:
    """The key text as sent, wherever it was put; empty when there is none."""
    header = request.META.get("HTTP_X_TS_KEY", "")
    if header:
        return str(header).strip()
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() == "bearer":
        return str(token).strip()
    return str(request.GET.get("key", "")).strip()


class IngestKeyAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[None, KnownKey] | None:
        """Raises Problem 401, saying which of missing, malformed, unknown, expired or switched off it is."""
        if request.method != "POST":
            return None  # a preflight brings no key, and any other method is refused with or without one
        text = read_key(request)
        if not text:
            raise Problem(401, "key_missing", "Send the source's API key in the header x-ts-key.")
        parts = keys.split_key(text)
        known = find_key(parts[0]) if parts else None
        if known is None or not keys.matches(text, known.digest, settings.API_KEY_PEPPERS):
            raise Problem(401, "key_unknown", "This API key is not known here, or was revoked.")
        if known.expires_at is not None and known.expires_at <= timezone.now():
            raise Problem(
                401,
                "key_expired",
                f"This API key expired on {known.expires_at:%Y-%m-%d}.",
            )
        if not known.is_active:
            raise Problem(401, "source_inactive", "The source of this API key is switched off.")
        return None, known

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="TrackStack"'

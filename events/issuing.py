"""Issuing and revoking ingest keys: the one place where a key comes into being, for the screen and the command."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from events import keys
from events.models import ApiKey, Source

PREFIX_TRIES = 3
"""A prefix is taken once in 2·10¹⁴ times; twice in a row is a broken random generator."""


def issue_key(
    source: Source, label: str = "", *, expires_at: datetime | None = None, user: Any = None
) -> tuple[ApiKey, str]:
    """A new key of a source and its whole text, which is not stored: show it now or never."""
    for tries_left in reversed(range(PREFIX_TRIES)):
        key = keys.make_key()
        try:
            with transaction.atomic():
                row = ApiKey.objects.create(
                    source=source,
                    label=label,
                    prefix=key.prefix,
                    digest=keys.digest(key.text, settings.API_KEY_PEPPERS[0]),
                    expires_at=expires_at,
                    created_by=user,
                )
                _bump()
        except IntegrityError:
            if not tries_left:
                raise
        else:
            return row, key.text
    raise AssertionError("unreachable")


def revoke_key(key: ApiKey) -> bool:
    """Refuse a key from now on (within a second everywhere). False when it was revoked already."""
    with transaction.atomic():
        changed = ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())
        if changed:
            _bump()
    return bool(changed)


def _bump() -> None:
    # Imported late: routing.snapshot reads the models of this app.
    from routing import snapshot

    snapshot.bump()

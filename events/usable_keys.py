"""The ingest keys that work now, by name: what code to copy can refer to. Never their secrets, which nobody has."""

from __future__ import annotations

import re
from typing import NamedTuple

from django.db.models import Q
from django.utils import timezone

from events import calls
from events.models import ApiKey

MOST = 200
"""Keys in a list to choose from."""


class UsableKey(NamedTuple):
    prefix: str
    source: str
    label: str

    @property
    def shown(self) -> str:
        """As the list of sources shows it."""
        return f"tsk_{self.prefix}_…"

    @property
    def variable(self) -> str:
        """An environment variable to hold it, named after its source; any shell takes it."""
        words = re.sub(r"[^A-Z0-9]+", "_", self.source.upper()).strip("_")
        if not words:
            return calls.KEY
        return f"{'_' if words[0].isdigit() else ''}{words}_KEY"

    @property
    def comment(self) -> str:
        return f"key {self.shown} of source {' '.join(self.source.split())}"


def usable() -> list[UsableKey]:
    """Neither revoked nor expired, of sources that are on; by source, the newest key first."""
    keys = ApiKey.objects.filter(
        Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None, source__is_active=True
    )
    rows = keys.order_by("source__name", "-created_at", "-pk").values_list("prefix", "source__name", "label")[:MOST]
    return [UsableKey(*row) for row in rows]

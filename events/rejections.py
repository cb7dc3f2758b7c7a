"""Looking at rejected events and sending them again, mended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from events import contract, masked_json
from events.fields import TS_ALIASES
from events.ingest import Receipt, Sender, accept_batch
from events.models import RejectedEvent, RejectedTotal

PAGE_SIZE = 50
COUNTED = 20_000
"""Newest rejections that are counted by code."""

CODES_SQL = """
SELECT code, count(*), max(received_at)
FROM (SELECT code, received_at, resubmitted_at FROM events_rejectedevent ORDER BY id DESC LIMIT %s) newest
WHERE resubmitted_at IS NULL GROUP BY code ORDER BY count(*) DESC, code
"""


# A minute late, so that no transaction is still under way that would put a rejection before the mark. The row without a
# code keeps the mark while there are no others.
TOTAL_SQL = """
WITH mark AS (
    SELECT coalesce(max(counted_to), '-infinity') AS since, statement_timestamp() - interval '60 seconds' AS until
    FROM events_rejectedtotal
), found AS (
    SELECT code, count(*) FROM events_rejectedevent, mark WHERE received_at > since AND received_at <= until GROUP BY 1
    UNION ALL SELECT '', 0
)
INSERT INTO events_rejectedtotal AS total (code, count, counted_to)
SELECT code, count, until FROM found, mark
ON CONFLICT (code) DO UPDATE SET count = total.count + excluded.count, counted_to = excluded.counted_to
"""
TOTAL_LOCK = 7_305_002
"""Of pg_try_advisory_xact_lock: two at once would count the same rejections twice."""


def count_totals() -> None:
    """Add what was rejected since the last time to the totals. Idempotent; beat calls it more often than retention."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [TOTAL_LOCK])
        if cursor.fetchone()[0]:
            cursor.execute(TOTAL_SQL)


def totals() -> dict[str, int]:
    """Code → events rejected with it since ever, up to a minute or two ago."""
    return dict(RejectedTotal.objects.exclude(code="").values_list("code", "count"))


class Unmended(ValueError):
    """The edited event still fails the contract; the message is the contract's sentence."""


LABELS = {
    "currency_shape": _("Currency shape"),
    "missing": _("Missing"),
    "not_an_object": _("Not an object"),
    "not_decodable": _("Not decodable"),
    "not_storable": _("Not storable"),
    "out_of_range": _("Out of range"),
    "too_deep": _("Too deep"),
    "too_long": _("Too long"),
    "ts_in_future": _("Ts in future"),
    "ts_shape": _("Ts shape"),
    "ts_too_early": _("Ts too early"),
    "unknown_name": _("Unknown name"),
    "wrong_type": _("Wrong type"),
}
"""Codes of the contract, for a person; another is said as it is."""


class Code(NamedTuple):
    code: str
    count: int
    last_at: Any

    @property
    def label(self) -> str:
        return str(LABELS.get(self.code) or self.code.replace("_", " ").capitalize())


def codes() -> list[Code]:
    """What is wrong with the newest rejected events that nobody re-submitted, most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(CODES_SQL, [COUNTED])
        return [Code(*row) for row in cursor.fetchall()]


def page(filters: Mapping[str, Any], before: int | None) -> tuple[list[RejectedEvent], int | None]:
    """Newest first; the key to go on from, None on the last page."""
    rows = RejectedEvent.objects.select_related("source").order_by("-pk")
    wanted = {"code": filters.get("code"), "source": filters.get("source"), "event_name": filters.get("event")}
    rows = rows.filter(**{name: value for name, value in wanted.items() if value})
    if filters.get("status") != "all":
        rows = rows.filter(resubmitted_at__isnull=filters.get("status") != "again")
    if before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows[: PAGE_SIZE + 1])
    return found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None


def mended(rejected: RejectedEvent, edited: dict[str, Any]) -> dict[str, Any]:
    """The edited event with masked values as they were sent and, where it names no time, the time it first came."""
    try:
        original = json.loads(rejected.payload)
    except (ValueError, RecursionError):
        original = None
    event: dict[str, Any] = masked_json.restored(edited, original)
    if not any(name in event for name in ("ts", *TS_ALIASES)):
        event["ts"] = int(rejected.received_at.timestamp() * 1000)
    return event


def resubmit(rejected: RejectedEvent, edited: dict[str, Any], trace_id: str) -> tuple[Receipt, str]:
    """Send the edited event through ingest in the name of its source; returns the receipt and the event's id.

    Raises Unmended (nothing is stored then), contract.ContractError, or ingest.NotStored.
    """
    # Imported late: routing.snapshot reads the models of this app.
    from routing import snapshot

    event = mended(rejected, edited)
    raw = json.dumps(event).encode()
    state = snapshot.current()
    now_ms = int(timezone.now().timestamp() * 1000)
    parsed = contract.parse_body(raw, now_ms=now_ms, names=state.events, retired=state.retired)
    if parsed.rejected:
        raise Unmended(parsed.rejected[0].sentence)
    receipt = accept_batch(raw, Sender(source_id=rejected.source_id, trace_id=trace_id, sdk="resubmitted"))
    if receipt.rejected:  # PostgreSQL's own verdict, or a rule that changed in between
        raise Unmended(receipt.rejected[0].sentence)
    RejectedEvent.objects.filter(pk=rejected.pk).update(resubmitted_at=timezone.now())
    return receipt, parsed.accepted[0].event_id

"""What the screens of this app read. None counts or scans the delivery table: it is the largest there is.

Deliveries are paged by their primary key, which orders by time of receipt, so a time range is a range of keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Least
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg.errors import QueryCanceled

from destinations import causes, waiting
from destinations.models import (
    Attempt,
    Delivery,
    Destination,
    Hold,
    LedgerEntry,
    LedgerState,
    Replay,
    ReplayState,
    State,
    delivery_pk,
)
from events.models import Event, event_pk
from trackstack_site.wording import followed

PAGE_SIZE = 50
RECEIVED = 0
"""Beside the states, as a filter: all that a destination received, what routing skipped included."""
COUNT_CAP = 10_000
DEAD_CAP = 20_000
"""Dead rows per destination that are grouped, newest first: enough to see every cause, bounded on a bad day."""
PAGE_MILLISECONDS = 5000
"""A filter that matches next to nothing would walk the whole table: the page gives up and says so."""


class Counts(NamedTuple):
    """A destination's day: received = delivered + waiting + skipped + dead."""

    received: int = 0
    delivered: int = 0
    skipped: int = 0
    dead: int = 0

    @property
    def waiting(self) -> int:
        return max(0, self.received - self.delivered - self.skipped - self.dead)


class Status(NamedTuple):
    """How a destination stands, for a pill and a sentence beside it."""

    tone: str
    label: str
    why: str = ""
    is_quoted: bool = False
    """Whether `why` is as the platform said it."""


def status_of(destination: Destination) -> Status:
    if destination.platform.is_builtin:
        return Status("good", _("On"), _("Built in: every accepted event is here."))
    if destination.removed_at:
        return Status("quiet", _("Deleted"), _("Its past is kept."))
    if destination.closing_at and not destination.hold and destination.is_enabled:
        why = _closing_sentence(destination)
        return Status("warn", _("Closing"), why)
    if not destination.is_enabled:
        return Status("quiet", _("Off"), _("Events are skipped, and counted as such."))
    if destination.hold:
        tone = "warn" if destination.hold == Hold.PAUSED else "bad"
        why = destination.hold_detail or _("Events wait and are sent on resume.")
        if destination.closing_at:
            why = followed(why, _closing_sentence(destination))
        is_quoted = bool(destination.hold_detail) and not destination.closing_at
        return Status(tone, str(Hold(destination.hold).label), why, is_quoted)
    if destination.breaker_since:
        return _unanswered(destination, destination.breaker_since)
    if destination.backoff_until and destination.backoff_until > timezone.now():
        until = {"at": f"{destination.backoff_until:%Y-%m-%d %H:%M:%S} UTC"}
        if destination.failures:
            return Status("warn", _("Backing off"), _("The platform failed; next try %(at)s.") % until)
        why = _("The limit of the platform for a minute is used up; the next request goes out at %(at)s.") % until
        return Status("good", _("Pacing"), why)
    return Status("good", _("On"))


def _closing_sentence(destination: Destination) -> str:
    if destination.is_kept_when_closed:
        return _("It gets nothing new, and is switched off when what waits for it is sent.")
    return _("It gets nothing new, and is deleted when what waits for it is sent.")


def _unanswered(destination: Destination, since: datetime) -> Status:
    """Its breaker is open."""
    probe, words = destination.backoff_until, {"since": f"{since:%Y-%m-%d %H:%M} UTC"}
    if probe is not None and probe > timezone.now():
        why = _("It has not taken a request since %(since)s and is probed again at %(at)s; events wait in order.") % {
            **words,
            "at": f"{probe:%Y-%m-%d %H:%M:%S} UTC",
        }
    else:
        why = _("It has not taken a request since %(since)s and is probed now; events wait in order.") % words
    return Status("bad", _("Not answering"), followed(why, destination.breaker_detail))


def counts_of(day: date) -> dict[int, Counts]:
    """By destination id, from the ledger: the day on which the events were received."""
    found: dict[int, dict[str, int]] = {}
    rows = LedgerEntry.objects.filter(day=day).values_list("destination_id", "state").annotate(total=Sum("count"))
    for destination_id, state, total in rows.order_by():
        found.setdefault(destination_id, {})[state] = total
    return {pk: Counts(**{name: counts.get(name, 0) for name in Counts._fields}) for pk, counts in found.items()}


def waiting_count(destination: Destination) -> int:
    """Rows that wait, counted up to COUNT_CAP."""
    return _count_waiting(destination, COUNT_CAP)


def is_awaited(destination: Destination) -> bool:
    """Whether any row waits for it."""
    return bool(_count_waiting(destination, 1))


def _count_waiting(destination: Destination, most: int) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM ({waiting.some('%(pk)s', most)}) AS those", {"pk": destination.pk})
        return int(cursor.fetchone()[0])


def first_too_old(destination: Destination) -> datetime | None:
    """When the first of what waits is older than the platform takes; None when nothing waits, or it takes any age."""
    age = destination.platform.max_age
    if age is None:
        return None
    rows = Delivery.objects.filter(destination=destination, state=State.WAITING).alias(half=Least("tries", 1))
    firsts = [
        rows.filter(half=half).order_by("due_at").values_list("event__occurred_at", flat=True)[:1] for half in (0, 1)
    ]
    return min((first + age for found in firsts for first in found), default=None)


def has_history(destination: Destination) -> bool:
    """Whether anything was ever owed or sent to it, or soon will be: then it is kept, so that the past stays readable.

    Asks indexes and the ledger only. Events that were merely skipped are no history: nothing happened.
    """
    dead = Delivery.objects.filter(destination=destination, state=State.DEAD)  # each state has an index of its own
    settled = LedgerEntry.objects.filter(
        destination=destination, state__in=(LedgerState.DELIVERED, LedgerState.DEAD), count__gt=0
    )
    planned = Replay.objects.filter(destination=destination, state__in=(ReplayState.RUNNING, ReplayState.PAUSED))
    attempts = Attempt.objects.filter(destination=destination)
    return is_awaited(destination) or any(rows.exists() for rows in (dead, settled, planned, attempts))


# --- Deliveries ------------------------------------------------------------------------------------------

FIRST_BATCH_SQL = """
WITH RECURSIVE span (lo, hi) AS (
    SELECT min(id), max(id) + 1 FROM events_ingestbatch
    UNION ALL
    SELECT CASE WHEN probe.received_at < %(at)s THEN probe.id + 1 ELSE span.lo END,
           CASE WHEN probe.received_at < %(at)s THEN span.hi ELSE middle.id END
    FROM span, LATERAL (SELECT (span.lo + span.hi) / 2 AS id) middle,
         LATERAL (
             SELECT b.id, b.received_at FROM events_ingestbatch b WHERE b.id >= middle.id ORDER BY b.id LIMIT 1
         ) probe
    WHERE span.lo < span.hi
)
SELECT lo FROM span ORDER BY hi - lo LIMIT 1
"""
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
"""A date picker gives any year; arithmetic beyond these would leave what PostgreSQL or Python can hold."""
CLOCK_SLACK = timedelta(minutes=2)
"""Batches written at the same time may get their ids in another order than their times."""


def first_batch(at: datetime) -> int | None:
    """The key from which on batches were received at or after `at`, by halving; None when there are no batches."""
    with connection.cursor() as cursor:
        cursor.execute(FIRST_BATCH_SQL, {"at": at})
        row = cursor.fetchone()
    return row[0] if row else None


class Page(NamedTuple):
    rows: list[Delivery]
    older: int | None
    """Show rows before this key; None on the last page."""
    is_slow: bool = False
    """The filter took too long and nothing is shown."""
    looked_to: datetime | None = None
    """The search paused at events received then; there may be more below `older`."""


class TooSlowError(Exception):
    """A filter matches so little that finding it would take too long."""


def bounded(rows: Iterable[Any]) -> list[Any]:
    """The rows, within PAGE_MILLISECONDS. Raises TooSlowError."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL statement_timeout = {PAGE_MILLISECONDS}")
            found = list(rows)
            cursor.execute("SET LOCAL statement_timeout = DEFAULT")
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        raise TooSlowError from None
    return found


def delivery_page(filters: Mapping[str, Any], before: int | None = None) -> Page:
    """One page of deliveries, newest first. `filters` is the cleaned data of `forms.DeliveryFilter`."""
    rows = filtered(Delivery.objects.select_related("event").order_by("-pk"), filters)
    if before is not None:
        rows = rows.filter(pk__lt=before)
    try:
        found = bounded(rows[: PAGE_SIZE + 1])
    except TooSlowError:
        return Page([], None, is_slow=True)
    return Page(found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None)


def filtered(rows: QuerySet[Delivery], filters: Mapping[str, Any]) -> QuerySet[Delivery]:
    exact = {
        "destination": filters.get("destination"),
        "state": filters.get("state"),
        "reason": filters.get("reason"),
        "event__name": filters.get("event"),
        "event__source": filters.get("source"),
    }
    rows = rows.filter(**{name: value for name, value in exact.items() if value})
    if detail := filters.get("detail"):
        if causes.is_folded(detail):
            rows = rows.alias(folded=causes.folded()).filter(folded=detail)
        else:
            rows = rows.filter(detail=detail)
    if event_id := filters.get("event_id"):
        # The deliveries of an event are a range of keys; the column itself has no index.
        wanted = Q(pk__in=())
        for pk in Event.objects.filter(event_id=event_id).values_list("pk", flat=True):
            wanted |= Q(pk__gte=delivery_pk(pk, 0), pk__lt=delivery_pk(pk + 1, 0))
        rows = rows.filter(wanted)
    if since := filters.get("since"):
        first = first_batch(max(since, EARLIEST) - CLOCK_SLACK)
        rows = rows.filter(pk__gte=_lowest_key(first or 0), event__received_at__gte=since)
    if until := filters.get("until"):
        last = first_batch(min(until, LATEST) + CLOCK_SLACK)
        if last is not None:
            rows = rows.filter(pk__lt=_lowest_key(last))
        rows = rows.filter(event__received_at__lt=until)
    return rows


def _lowest_key(batch: int) -> int:
    return delivery_pk(event_pk(batch, 0), 0)


def attempts(filters: Mapping[str, Any], before: int | None = None) -> QuerySet[Attempt]:
    """Requests made, newest first. `filters` is the cleaned data of `forms.AttemptFilter`."""
    rows = Attempt.objects.defer("request_body", "response_body").order_by("-pk")
    if destination := filters.get("destination"):
        rows = rows.filter(destination=destination)
    if outcome := filters.get("outcome"):
        rows = rows.exclude(outcome="ok") if outcome == "failed" else rows.filter(outcome=outcome)
    if (status := filters.get("status")) is not None:
        rows = rows.filter(status=status)
    if since := filters.get("since"):
        rows = rows.filter(started_at__gte=max(since, EARLIEST))
    if until := filters.get("until"):
        rows = rows.filter(started_at__lt=min(until, LATEST))
    return rows if before is None else rows.filter(pk__lt=before)


class AttemptPage(NamedTuple):
    rows: list[Attempt]
    older: int | None
    is_slow: bool = False


def attempt_page(filters: Mapping[str, Any], before: int | None = None) -> AttemptPage:
    try:
        found = bounded(attempts(filters, before)[: PAGE_SIZE + 1])
    except TooSlowError:
        return AttemptPage([], None, is_slow=True)
    return AttemptPage(found[:PAGE_SIZE], found[PAGE_SIZE - 1].pk if len(found) > PAGE_SIZE else None)


# --- Dead letters ----------------------------------------------------------------------------------------

# Folded after the first grouping: a pattern for each of what was said, not for each row.
DEAD_GROUPS_SQL = f"""
WITH said AS (
    SELECT d.id, dead.reason, dead.detail, count(*) AS rows, min(dead.settled_at) AS first_at,
        max(dead.settled_at) AS last_at, max(dead.id) AS sample
    FROM destinations_destination d, LATERAL (
        SELECT w.id, w.reason, w.detail, w.settled_at FROM destinations_delivery w
        WHERE w.destination_id = d.id AND w.state = 4 ORDER BY w.id DESC LIMIT %s
    ) dead
    GROUP BY d.id, dead.reason, dead.detail
)
SELECT id, reason, {causes.folded_sql("detail")} AS cause, sum(rows)::bigint, min(first_at), max(last_at), max(sample)
FROM said GROUP BY id, reason, cause ORDER BY sum(rows) DESC, id LIMIT 200
"""


class DeadGroup(NamedTuple):
    destination_id: int
    reason: str
    detail: str
    """Positions folded, see `causes`."""
    count: int
    first_at: datetime
    last_at: datetime
    sample_id: int


def dead_groups() -> list[DeadGroup]:
    """Dead deliveries by destination, reason and what the platform said; the largest group first."""
    with connection.cursor() as cursor:
        cursor.execute(DEAD_GROUPS_SQL, [DEAD_CAP])
        return [DeadGroup(*row) for row in cursor.fetchall()]

"""Instrumentation quality: what product code does that the taxonomy warns of, found in the events themselves.

Beat walks the events once, a bounded run at a time and some minutes behind, so that a second copy had time to arrive.
Each run looks at new events beside those just before them, and at what it remembers of transactions and payments from
long before; findings are added up by day, check and event name, with the ids of a few events as evidence. A run, its
memory and its cursor are one transaction: killed, it did all or nothing.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from destinations.queries import first_batch
from events.models import Event, QualityCount, QualityCursor, QualityMemory, event_pk

QUALITY_TASK = "events.quality"
BEHIND = timedelta(minutes=10)
ROWS_PER_STEP = 5_000
LOOK_BACK = 1_000
"""Events before the new ones that page views are held against; money is remembered for longer."""
MOST_SAMPLES = 3
SAME_VIEW = timedelta(seconds=1)
SAME_MEANING = timedelta(minutes=1)
SHOWN_DAYS = 7

PAYMENTS = frozenset({"Purchase", "SubscriptionStarted", "CreditsPurchased", "TopUpPurchased", "SubscriptionRenew"})
"""One payment, several names: bidding counts it as often as it is told."""
NEEDS_SERVER = frozenset({"SignUp", "StartTrial", "Purchase", "SubscriptionStarted", "LeadCaptured"})
"""What browsers lose to blockers and closed tabs too often to rest on them alone."""


class Check(NamedTuple):
    code: str
    title: str | Promise
    sentence: str | Promise
    """{event} is filled in."""
    mend: str | Promise
    inflates: bool
    """Whether each finding is an event counted once too often."""


CHECKS: dict[str, Check] = {
    check.code: check
    for check in (
        Check(
            "transaction_twice",
            _("One transaction, several events"),
            _("{event} came again for a transactionId that had one, under another eventId."),
            _("Make eventId from the transaction id, so that a repetition is recognised."),
            True,
        ),
        Check(
            "view_twice",
            _("The same page view twice"),
            _("{event} of one page came twice within a second for one visitor."),
            _("Fire it once a navigation: often the tag and the router both do."),
            True,
        ),
        Check(
            "same_meaning",
            _("Events that mean the same"),
            _("{event} came within a minute of another event for the same payment of one person."),
            _("Send one money event for a payment, and tick only that one for ad platforms."),
            True,
        ),
        Check(
            "without_person",
            _("Sign-up without a person"),
            _("{event} carried no e-mail address, phone or external id: hardly any platform can use it."),
            _("Send it from the server, where the new account's e-mail address is known."),
            False,
        ),
        Check(
            "without_value",
            _("Purchase without value"),
            _("{event} carried no value or no currency: it counts, but is worth nothing to bidding."),
            _("Send value and currency, in major units, with every Purchase."),
            False,
        ),
        Check(
            "browser_only",
            _("Only from the browser"),
            _("{event} came from a browser, and no copy of it from the server."),
            _("Send the same event with the same eventId from the server as well."),
            False,
        ),
    )
}


class Row(NamedTuple):
    """What a check needs of an event."""

    id: int
    name: str
    event_id: str
    source_id: int
    occurred_at: datetime
    received_at: datetime
    person: str
    """E-mail, external id or anonymous id, whichever there is first, hashed."""
    has_person: bool
    transaction_id: str
    page_url: str
    has_value: bool
    is_from_browser: bool
    has_copy: bool
    """Another source sent the same event id."""


class Finding(NamedTuple):
    code: str
    row: Row


class Known(NamedTuple):
    """An earlier event, as it is remembered."""

    event_id: str
    name: str
    occurred_at: datetime


Memory = dict[int, Known]


# --- Looking: pure -----------------------------------------------------------------------------------------
def findings(rows: Sequence[Row], first_new: int, memory: Memory | None = None) -> Iterator[Finding]:
    """What is wrong with the events from key `first_new` on, the earlier ones being what they are held against.

    memory: what is known from before these rows by the keys of `keys_of`; new knowledge is added to it.
    """
    memory = {} if memory is None else memory
    views: dict[tuple[str, str], datetime] = {}
    for row in rows:
        is_new = row.id >= first_new
        for code in (*_of_its_money(row, memory), *_of_its_view(row, views)):
            if is_new:
                yield Finding(code, row)
        if is_new:
            yield from (Finding(code, row) for code in _of_itself(row))


def keys_of(row: Row) -> tuple[int | None, int | None]:
    """Under which keys its transaction, and its person's payments, are remembered; None: under none."""
    return (
        _hash("transaction", row.name, row.transaction_id) if row.transaction_id else None,
        _hash("payments", row.person) if row.name in PAYMENTS and row.person else None,
    )


def _hash(*texts: str) -> int:
    """64 bits: with a million keys, two are the same once in forty million installations."""
    digest = hashlib.blake2b("\x00".join(texts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def _of_its_money(row: Row, memory: Memory) -> Iterator[str]:
    transaction_key, payments_key = keys_of(row)
    known = Known(row.event_id, row.name, row.occurred_at)
    if transaction_key is not None and memory.setdefault(transaction_key, known).event_id != row.event_id:
        yield "transaction_twice"
    if payments_key is not None:
        last = memory.get(payments_key)
        is_near = last is not None and abs(row.occurred_at - last.occurred_at) <= SAME_MEANING
        if last is not None and is_near and last.name != row.name:
            yield "same_meaning"
        else:  # the first of a group stays what the others are held against
            memory[payments_key] = known


def _of_its_view(row: Row, views: dict[tuple[str, str], datetime]) -> Iterator[str]:
    if row.name == "PageView" and row.page_url and row.person:
        before = views.get((row.person, row.page_url))
        if before is not None and abs(row.occurred_at - before) <= SAME_VIEW:
            yield "view_twice"
        views[row.person, row.page_url] = row.occurred_at


def _of_itself(row: Row) -> Iterator[str]:
    if row.name == "SignUp" and not row.has_person:
        yield "without_person"
    if row.name == "Purchase" and not row.has_value:
        yield "without_value"
    if row.name in NEEDS_SERVER and row.is_from_browser and not row.has_copy:
        yield "browser_only"


# --- Walking ---------------------------------------------------------------------------------------------------
ROWS_SQL = """
SELECT e.id, e.name, e.event_id, e.source_id, e.occurred_at, e.received_at,
    coalesce(md5(lower(coalesce(e.payload->>'email', e.payload->>'externalId', e.payload->>'anonymousId'))), ''),
    e.payload ?| ARRAY['email', 'phone', 'externalId'],
    coalesce(e.payload->>'transactionId', ''), coalesce(e.payload->>'pageUrl', ''),
    e.payload ?& ARRAY['value', 'currency'], cardinality(s.allowed_origins) > 0,
    EXISTS (SELECT 1 FROM events_event o WHERE o.event_id = e.event_id AND o.source_id <> e.source_id)
FROM events_event e JOIN events_source s ON s.id = e.source_id
WHERE e.id >= %s AND e.id < %s ORDER BY e.id
"""
SPAN_SQL = """
SELECT (SELECT min(id) FROM (SELECT id FROM events_event WHERE id < %(cursor)s ORDER BY id DESC LIMIT %(back)s) b),
    (SELECT max(id) FROM (SELECT id, received_at FROM events_event WHERE id >= %(cursor)s ORDER BY id LIMIT %(rows)s) n
     WHERE received_at < %(until)s)
"""


def step(now: datetime | None = None) -> int:
    """Look at the next events; returns how many. 0: nothing is old enough, or another process is at it."""
    until = (now or timezone.now()) - BEHIND
    with transaction.atomic(), connection.cursor() as cursor:
        held = QualityCursor.objects.select_for_update(skip_locked=True).filter(pk=1).first()
        if held is None:
            QualityCursor.objects.get_or_create(pk=1)
            return 0
        first_new = _begin(held.cursor, until)
        cursor.execute(SPAN_SQL, {"cursor": first_new, "back": LOOK_BACK, "rows": ROWS_PER_STEP, "until": until})
        low, last = cursor.fetchone()
        if last is None:
            return 0
        cursor.execute(ROWS_SQL, [first_new if low is None else low, last + 1])
        rows = [Row(*row) for row in cursor.fetchall()]
        memory = _remembered(rows)
        before = dict(memory)
        _add_up(rows, first_new, memory)
        _remember(memory, before, until.date())
        count = sum(1 for row in rows if row.id >= first_new)
        QualityCursor.objects.filter(pk=1).update(cursor=last + 1)
    return count


def _begin(cursor: int, until: datetime) -> int:
    """The cursor; or, when what follows is older than the page shows, where that begins: a first run over years of
    events, or one after long trouble, looks at what somebody will read."""
    oldest = until - timedelta(days=SHOWN_DAYS)
    following = Event.objects.filter(pk__gte=cursor).order_by("pk").values_list("received_at", flat=True).first()
    if following is None or following >= oldest:
        return cursor
    return max(cursor, event_pk(first_batch(oldest) or 0, 0))


def _remembered(rows: Iterable[Row]) -> Memory:
    wanted = {key for row in rows for key in keys_of(row) if key is not None}
    known = QualityMemory.objects.in_bulk(wanted)
    return {key: Known(one.event_id, one.event_name, one.occurred_at) for key, one in known.items()}


def _remember(memory: Memory, before: Memory, day: date) -> None:
    fresh = [
        QualityMemory(key=key, day=day, event_id=one.event_id, event_name=one.name, occurred_at=one.occurred_at)
        for key, one in memory.items()
        if before.get(key) != one
    ]
    QualityMemory.objects.bulk_create(
        fresh,
        update_conflicts=True,
        unique_fields=["key"],
        update_fields=["day", "event_id", "event_name", "occurred_at"],
        batch_size=2_000,
    )


def _add_up(rows: Sequence[Row], first_new: int, memory: Memory) -> None:
    counts: dict[tuple[date, str, str], list[str]] = defaultdict(list)
    seen: dict[tuple[date, str, str], int] = defaultdict(int)
    for row in rows:
        if row.id >= first_new:
            seen[row.received_at.date(), "", row.name] += 1
    for found in findings(rows, first_new, memory):
        counts[found.row.received_at.date(), found.code, found.row.name].append(found.row.event_id)
    for key, number in [*seen.items(), *((key, len(ids)) for key, ids in counts.items())]:
        day, code, name = key
        ids = counts.get(key, [])[:MOST_SAMPLES]
        row, is_made = QualityCount.objects.select_for_update().get_or_create(
            day=day, code=code, event_name=name, defaults={"count": number, "samples": ids}
        )
        if not is_made:
            row.count += number
            row.samples = [*row.samples, *ids][-MOST_SAMPLES:]
            row.save(update_fields=["count", "samples"])


# --- Reading ---------------------------------------------------------------------------------------------------
class Trouble(NamedTuple):
    check: Check
    event: str
    found: int
    seen: int
    """Events of that name that were looked at."""
    samples: list[str]

    @property
    def share(self) -> float:
        """In percent of the events of that name."""
        return 100 * self.found / max(1, self.seen)

    @property
    def inflation(self) -> float:
        """By how many percent the count is higher than it should be."""
        return 100 * self.found / max(1, self.seen - self.found)

    @property
    def sentence(self) -> str:
        return str(self.check.sentence).format(event=self.event)

    @property
    def estimate(self) -> str:
        """What it does to the counts, in words; empty when it does nothing to them."""
        if not self.check.inflates:
            return ""
        sentence: str = gettext("%(event)s is counted %(share)s %% too often")
        return sentence % {"event": self.event, "share": f"{self.inflation:.1f}"}


def troubles(today: date | None = None) -> list[Trouble]:
    """Of the last days, the most frequent first."""
    since = (today or timezone.now().date()) - timedelta(days=SHOWN_DAYS - 1)
    seen: dict[str, int] = defaultdict(int)
    found: dict[tuple[str, str], tuple[int, list[str]]] = {}
    for row in QualityCount.objects.filter(day__gte=since).order_by("day"):
        if not row.code:
            seen[row.event_name] += row.count
        elif row.code in CHECKS:
            count, samples = found.get((row.code, row.event_name), (0, []))
            found[row.code, row.event_name] = count + row.count, [*samples, *row.samples][-MOST_SAMPLES:]
    made = [Trouble(CHECKS[code], name, count, seen[name], samples) for (code, name), (count, samples) in found.items()]
    return sorted(made, key=lambda one: -one.found)


COVERED = ("email", "phone", "externalId", "anonymousId", "clientIp", "userAgent", "clickIds", "value", "transactionId")
COVERAGE_LOOK = 20_000


class Covered(NamedTuple):
    event: str
    events: int
    percents: list[int]
    """In the order of COVERED."""


def coverage() -> list[Covered]:
    """How many of the newest events of each name carry what platforms match and value by."""
    parts = ", ".join(f"count(*) FILTER (WHERE payload ? '{name}')" for name in COVERED)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT name, count(*), {parts} FROM (SELECT name, payload FROM events_event ORDER BY id DESC LIMIT %s) n"
            " GROUP BY name ORDER BY count(*) DESC, name LIMIT 100",
            [COVERAGE_LOOK],
        )
        rows: list[Any] = cursor.fetchall()
    return [Covered(name, total, [round(100 * n / total) for n in counts]) for name, total, *counts in rows]

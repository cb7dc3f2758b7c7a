"""What Health shows: a row per destination, and figures over time. Read from rolled-up rows and bounded looks only."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
from django.db import connection
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from destinations import minutes, queries, standing
from destinations.models import AccessToken, Destination, Span
from destinations.queries import Status
from destinations.standing import Standing

ENOUGH_TRIES = 20
"""Below this a share says little, and worries nobody."""
GOOD_SHARE = 0.9
LATE_SECONDS = 60
TOKEN_WARNS, VERSION_WARNS = 14, 60
"""Days ahead of the end from which on it is a warning."""
SOON = 60
"""Days ahead of an end from which on lists of destinations tell it too."""
LAST_DAYS = 3
"""Days ahead of an end that are no time to lose."""


class Figures(NamedTuple):
    """What a destination's tries came to in a stretch of time. Latencies in milliseconds."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0
    attempts: int = 0
    p50: float | None = None
    p95: float | None = None
    answer_p50: float | None = None
    answer_p95: float | None = None

    @property
    def tries(self) -> int:
        return self.delivered + self.failed + self.dead

    @property
    def share(self) -> float | None:
        """Of the tries that ended, those that were delivered; None when there was none."""
        return self.delivered / self.tries if self.tries else None

    @property
    def is_poor(self) -> bool:
        return self.tries >= ENOUGH_TRIES and self.delivered < GOOD_SHARE * self.tries


class End(NamedTuple):
    """Something that ends by itself."""

    key: str
    """The same in every language."""
    what: str
    short: str
    at: datetime
    days: int
    tone: str


class Row(NamedTuple):
    destination: Destination
    status: Status
    hour: Figures
    day: Figures
    standing: Standing
    ends: list[End]

    @property
    def waiting(self) -> int:
        return 0 if self.destination.hold else self.standing.waiting

    @property
    def held(self) -> int:
        return self.standing.waiting if self.destination.hold else 0

    @property
    def lag(self) -> float:
        """Seconds. Held destinations have none: they wait for somebody."""
        return 0.0 if self.destination.hold else self.standing.overdue


FIGURES_SQL = """
WITH part AS MATERIALIZED (
    SELECT * FROM destinations_deliveryminute WHERE span IN (0, %(span)s) AND minute >= %(since)s
), counts AS (
    SELECT destination_id, sum(delivered) AS delivered, sum(failed) AS failed, sum(dead) AS dead, sum(attempts) AS made
    FROM part GROUP BY 1
), delivery AS (
    SELECT destination_id, array_agg(n ORDER BY bucket) AS histogram FROM (
        SELECT destination_id, bucket, sum(n)::bigint AS n
        FROM part, unnest(delivery_histogram) WITH ORDINALITY AS x (n, bucket) GROUP BY 1, 2
    ) summed GROUP BY 1
), attempt AS (
    SELECT destination_id, array_agg(n ORDER BY bucket) AS histogram FROM (
        SELECT destination_id, bucket, sum(n)::bigint AS n
        FROM part, unnest(attempt_histogram) WITH ORDINALITY AS x (n, bucket) GROUP BY 1, 2
    ) summed GROUP BY 1
)
SELECT destination_id, delivered, failed, dead, made, delivery.histogram, attempt.histogram
FROM counts LEFT JOIN delivery USING (destination_id) LEFT JOIN attempt USING (destination_id)
"""


def figures(since: datetime, span: Span) -> dict[int, Figures]:
    """By destination id, from the beginning of that span on."""
    with connection.cursor() as cursor:
        cursor.execute(FIGURES_SQL, {"span": span.value, "since": since})
        found = {}
        for pk, delivered, failed, dead, made, delivery, attempt in cursor.fetchall():
            ends = [minutes.percentile(counts or [], share) for counts in (delivery, attempt) for share in (0.5, 0.95)]
            found[pk] = Figures(int(delivered), int(failed), int(dead), int(made), *ends)
    return found


def hour_ago(now: datetime) -> datetime:
    return _floor(now, timedelta(minutes=1)) - timedelta(hours=1)


def day_ago(now: datetime) -> datetime:
    return _floor(now, timedelta(minutes=15)) - timedelta(days=1)


def _floor(at: datetime, step: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return epoch + (at - epoch) // step * step


def rows(now: datetime | None = None) -> list[Row]:
    """Every destination, the built-in one last."""
    now = now or timezone.now()
    hour, day = figures(hour_ago(now), Span.MINUTE), figures(day_ago(now), Span.QUARTER)
    standings = standing.standings()
    tokens = ending_tokens()
    found = []
    for destination in Destination.objects.present().defer("secrets"):
        pk = destination.pk
        last, stands = hour.get(pk, Figures()), standings.get(pk, Standing())
        status = _worst(queries.status_of(destination), last, stands)
        ends = ends_of(destination, tokens.get(pk), now)
        found.append(Row(destination, status, last, day.get(pk, Figures()), stands, ends))
    return sorted(found, key=lambda row: row.destination.platform.is_builtin)


def _worst(status: Status, hour: Figures, stands: Standing) -> Status:
    """A destination that is on may do badly all the same."""
    if status.tone != "good":
        return status
    if hour.is_poor:
        return Status("warn", _("Failing"), _("The platform refuses many of the requests; they are tried again."))
    if stands.overdue > LATE_SECONDS:
        return Status("warn", _("Behind"), _("More comes in than is sent, or no worker runs."))
    return status


def ending_tokens(only: int | None = None) -> dict[int, AccessToken]:
    """By destination id; without what they hold. only: of one destination."""
    rows = AccessToken.objects.defer("values").filter(expires_at__isnull=False)
    return {token.pk: token for token in (rows if only is None else rows.filter(pk=only))}


def ends_of(destination: Destination, token: AccessToken | None, now: datetime) -> list[End]:
    """When its access token ends, unless it is renewed by itself, its credentials, where a day was entered, and its
    API version, where the vendor named one.
    """
    found = []
    is_renewed = token is not None and token.renew_at is not None and destination.platform.oauth is not None
    if token is not None and token.expires_at is not None and not is_renewed:
        found.append(_end("access token", _("access token"), _("Token"), token.expires_at, now, TOKEN_WARNS))
    if destination.credentials_end is not None:
        # They work to the end of that day.
        at = datetime.combine(destination.credentials_end, datetime.max.time(), tzinfo=UTC)
        found.append(_end("credentials", _("token or key"), _("Token or key"), at, now, TOKEN_WARNS))
    platform = destination.platform
    if (last_day := platform.sunset(destination.settings)) is not None and platform.version is not None:
        version = destination.settings.get("api_version") or platform.version.default
        at = datetime.combine(last_day, datetime.min.time(), tzinfo=UTC)
        words = {"version": version}
        what, short = _("API version %(version)s") % words, _("API %(version)s") % words
        found.append(_end(f"API version {version}", what, short, at, now, VERSION_WARNS))
    return found


def _end(key: str, what: str, short: str, at: datetime, now: datetime, warns: int) -> End:
    days = (at - now) // timedelta(days=1)
    return End(key, what, short, at, days, "bad" if days < LAST_DAYS else "warn" if days <= warns else "quiet")


# --- Charts ----------------------------------------------------------------------------------------------


class Range(NamedTuple):
    key: str
    label: str | Promise
    length: timedelta
    step: timedelta
    span: Span


RANGES = {
    chosen.key: chosen
    for chosen in (
        Range("1h", gettext_lazy("1 hour"), timedelta(hours=1), timedelta(minutes=1), Span.MINUTE),
        Range("24h", gettext_lazy("24 hours"), timedelta(days=1), timedelta(minutes=15), Span.QUARTER),
        Range("7d", gettext_lazy("7 days"), timedelta(days=7), timedelta(hours=2), Span.QUARTER),
    )
}


class Bin(NamedTuple):
    """What happened in one step of a chart."""

    at: datetime
    until: datetime
    delivered: int = 0
    failed: int = 0
    dead: int = 0
    lag: int = 0
    """Seconds, at most."""

    def __bool__(self) -> bool:
        return bool(self.delivered or self.failed or self.dead or self.lag)


class Chart(NamedTuple):
    range: Range
    bins: list[Bin]

    @property
    def total(self) -> dict[str, int]:
        counted = {name: sum(getattr(b, name) for b in self.bins) for name in ("delivered", "failed", "dead")}
        return counted | {"lag": max(b.lag for b in self.bins)}

    def plot(self, *names: str) -> str:
        """Columns of numbers as JSON: Unix times, then the named figures."""
        columns: list[list[int]] = [[int(b.at.timestamp()) for b in self.bins]]
        columns += [[getattr(b, name) for b in self.bins] for name in names]
        return msgspec.json.encode(columns).decode()

    @property
    def plots(self) -> dict[str, str]:
        return {"delivered": self.plot("delivered"), "failed": self.plot("failed", "dead"), "lag": self.plot("lag")}

    @property
    def told(self) -> Iterable[Bin]:
        """The steps in which anything happened, newest first."""
        return (b for b in reversed(self.bins) if b)


CHART_SQL = """
SELECT date_bin(%(step)s, minute, 'epoch') AS began, sum(delivered), sum(failed), sum(dead), max(lag_seconds)
FROM destinations_deliveryminute
WHERE span IN (0, %(span)s) AND minute >= %(since)s AND (%(only)s::int IS NULL OR destination_id = %(only)s)
GROUP BY 1
"""


def chart(chosen: Range, only: int | None = None, now: datetime | None = None) -> Chart:
    """Figures over time; every step is there, also those in which nothing happened. only: one destination's."""
    first = _floor((now or timezone.now()) - chosen.length, chosen.step) + chosen.step
    values: dict[str, Any] = {"step": chosen.step, "span": chosen.span.value, "since": first, "only": only}
    with connection.cursor() as cursor:
        cursor.execute(CHART_SQL, values)
        found = {began: [int(n) for n in counts] for began, *counts in cursor.fetchall()}
    starts = [first + number * chosen.step for number in range(chosen.length // chosen.step)]
    return Chart(chosen, [Bin(at, at + chosen.step, *found.get(at, ())) for at in starts])

"""Where it goes: configured accounts, the deliveries owed to them, and the requests made."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Least
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from destinations import platforms
from destinations.credentials import EncryptedJSONField
from destinations.platforms.base import Platform
from events.models import Event, Source

DESTINATION_BITS = 12
MAX_DESTINATION_ID = (1 << DESTINATION_BITS) - 1


def delivery_pk(event_pk: int, destination_id: int) -> int:
    """The primary key of the delivery of an event to a destination.

    One index thus serves three jobs: a second routing of the same pair fails, the deliveries of an event are a range,
    and the newest come last.
    """
    return event_pk << DESTINATION_BITS | destination_id


class EventMode(models.TextChoices):
    RECOMMENDED = "recommended", _("Recommended")
    CUSTOM = "custom", _("Custom")
    EVERYTHING = "everything", _("Everything")


class Hold(models.TextChoices):
    """Why deliveries are written but not sent."""

    NONE = "", _("Not held")
    PAUSED = "paused", _("Paused")
    CREDENTIALS = "credentials", _("Credentials refused")
    CONFIGURATION = "configuration", _("Configuration refused")


class DestinationQuerySet(models.QuerySet["Destination"]):
    def present(self) -> DestinationQuerySet:
        """Those that were not deleted. What is deleted stays as the name of its past: deliveries, attempts, counts."""
        return self.filter(removed_at=None)


class Destination(models.Model):
    """One configured account of a platform."""

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(max_length=64, unique=True)
    platform_key = models.CharField("platform", max_length=32)
    is_enabled = models.BooleanField("enabled", default=True)
    is_sandbox = models.BooleanField(
        "sandbox",
        default=False,
        help_text="Send to the built-in sandbox instead of the platform.",
    )
    event_mode = models.CharField(max_length=16, choices=EventMode, default=EventMode.RECOMMENDED)
    all_sources = models.BooleanField("every source", default=True)
    sources = models.ManyToManyField(Source, blank=True, related_name="destinations")
    settings = models.JSONField(default=dict, blank=True, help_text="The platform's fields that are not secret.")
    secrets = EncryptedJSONField(default=dict, blank=True, help_text="The platform's secret fields, encrypted.")
    credentials_end = models.DateField(
        null=True,
        blank=True,
        help_text="The last day of a token or key that was entered here; empty: not known to end.",
    )
    hold = models.CharField(max_length=16, choices=Hold, default=Hold.NONE, blank=True)
    hold_detail = models.CharField(max_length=400, blank=True)
    held_at = models.DateTimeField(null=True, blank=True)
    backoff_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="The platform failed as a whole: nothing is sent before this.",
    )
    failures = models.PositiveSmallIntegerField(default=0, editable=False, help_text="Failed requests in a row.")
    breaker_since = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="The breaker is open: since then one row at a time is tried."
    )
    breaker_detail = models.CharField(max_length=400, blank=True, default="", db_default="", editable=False)
    checked_at = models.DateTimeField(null=True, editable=False, help_text="When its connection was last checked.")
    is_check_good = models.BooleanField(null=True, editable=False, help_text="Empty: not since its settings changed.")
    check_said = models.CharField(max_length=400, blank=True, default="", db_default="", editable=False)
    closing_at = models.DateTimeField(
        null=True, editable=False, help_text="To end as soon as what waits is sent; nothing new is routed to it."
    )
    is_kept_when_closed = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="It ends by being switched off, not deleted."
    )
    removed_at = models.DateTimeField(null=True, editable=False, help_text="Deleted: kept for the name of its past.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = DestinationQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(id__lte=MAX_DESTINATION_ID, id__gte=1),
                name="destination_id_fits_delivery_key",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def platform(self) -> Platform:
        return platforms.get(self.platform_key)

    @property
    def config(self) -> dict[str, str]:
        """Settings and secrets as the adapter takes them. Never render this."""
        return {**self.settings, **self.secrets}


class AccessToken(models.Model):
    """The short-lived token of a destination whose platform speaks OAuth; see `destinations.tokens`."""

    destination = models.OneToOneField(
        Destination, on_delete=models.CASCADE, primary_key=True, related_name="access_token"
    )
    values = EncryptedJSONField(default=dict, blank=True, help_text="What `build` gets, encrypted.")
    fetched_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)
    renew_at = models.DateTimeField(null=True)
    fetching_until = models.DateTimeField(null=True, help_text="A worker is fetching a new one, until then at most.")

    def __str__(self) -> str:
        return f"token of {self.destination_id}"


class State(models.IntegerChoices):
    WAITING = 1, _("Waiting")
    DELIVERED = 2, _("Delivered")
    SKIPPED = 3, _("Skipped")
    DEAD = 4, _("Dead")


class Delivery(models.Model):
    """One event × destination. Waiting rows are the queue; `due_at` is pushed forward by a claim (the lease)."""

    id = models.BigIntegerField(primary_key=True)
    event = models.ForeignKey(Event, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    destination = models.ForeignKey(Destination, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    state = models.SmallIntegerField(choices=State, default=State.WAITING)
    reason = models.CharField(max_length=32, default="", db_default="")
    detail = models.CharField(max_length=400, default="", db_default="")
    due_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0, db_default=0, help_text="Claims so far; counted when claimed.")
    attempts = ArrayField(
        models.BigIntegerField(),
        default=list,
        db_default=[],
        help_text="Ids of the attempts that carried it.",
    )
    created_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            # What was never tried apart from what is tried again: see `destinations.waiting`.
            models.Index(
                "destination",
                Least("tries", 1),
                "due_at",
                name="delivery_due",
                condition=models.Q(state=State.WAITING),
            ),
            models.Index(
                fields=["destination", "id"],
                name="delivery_dead",
                condition=models.Q(state=State.DEAD),
            ),
        ]

    def __str__(self) -> str:
        return f"delivery {self.pk}"


class Attempt(models.Model):
    """One HTTP request to a platform, carrying 1..n deliveries. Masked and capped when written."""

    destination = models.ForeignKey(Destination, on_delete=models.DO_NOTHING, db_constraint=False)
    delivery_ids = ArrayField(models.BigIntegerField())
    started_at = models.DateTimeField()
    latency_ms = models.PositiveIntegerField()
    method = models.CharField(max_length=8)
    url = models.CharField(max_length=500)
    request_body = models.TextField()
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP status; empty when no answer came.")
    response_body = models.TextField(default="")
    outcome = models.CharField(max_length=16)
    detail = models.CharField(max_length=400, default="")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.method} {self.status or 'no answer'}"


class LaneSlot(models.Model):
    """A slot in which one worker delivers to a destination. Leased, so that a killed worker's slot frees itself."""

    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="lane_slots")
    slot = models.PositiveSmallIntegerField()
    leased_until = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["destination", "slot"], name="lane_slot_once")]

    def __str__(self) -> str:
        return f"{self.destination_id}/{self.slot}"


class LedgerState(models.TextChoices):
    RECEIVED = "received"
    DELIVERED = "delivered"
    SKIPPED = "skipped"
    DEAD = "dead"


class LedgerEntry(models.Model):
    """Counts per day × destination × event, written in the transaction that changes the state they count.

    Workers only add entries (no hot rows to wait for); beat alone folds them into one total per key. Reading is always
    a SUM over both.
    """

    day = models.DateField(help_text="UTC day on which the event was received.")
    destination = models.ForeignKey(Destination, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    event_name = models.CharField(max_length=64)
    state = models.CharField(max_length=16, choices=LedgerState)
    reason = models.CharField(max_length=32, default="")
    count = models.BigIntegerField()
    is_total = models.BooleanField(default=False, db_default=False)

    class Meta:
        indexes = [
            models.Index(fields=["id"], name="ledger_to_fold", condition=models.Q(is_total=False)),
            models.Index(fields=["day", "destination"], name="ledger_by_day"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["day", "destination", "event_name", "state", "reason"],
                name="ledger_one_total",
                condition=models.Q(is_total=True),
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.event_name} {self.state} {self.count}"


class EventHour(models.Model):
    """What was counted within an hour of an event at a destination: what `destinations.silence` compares weeks by.

    Folding the ledger adds to it, so an hour is that of the fold: at most a minute after what it counts.
    """

    hour = models.DateTimeField()
    destination = models.ForeignKey(Destination, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    event_name = models.CharField(max_length=64)
    received = models.BigIntegerField()
    delivered = models.BigIntegerField()
    refused = models.BigIntegerField(help_text="Skipped or dead.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["hour", "destination", "event_name"], name="event_hour_once")]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.event_name} {self.delivered}"


class Span(models.IntegerChoices):
    """Minutes that a row of `DeliveryMinute` is about."""

    PART = 0, "One flush of a worker"
    MINUTE = 1, "A minute"
    QUARTER = 15, "A quarter of an hour"


class DeliveryMinute(models.Model):
    """What became of a destination's deliveries in a minute: what Health reads instead of the deliveries.

    Workers only add parts, one a flush, in the transaction that records what they count; beat folds them into one row
    a minute and one a quarter of an hour (`destinations.minutes`). Reading is always a sum over a span and the parts.
    """

    minute = models.DateTimeField(help_text="When the minute, or the quarter of an hour, began.")
    span = models.SmallIntegerField(choices=Span, default=Span.PART)
    destination = models.ForeignKey(Destination, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    delivered = models.IntegerField(default=0, db_default=0)
    failed = models.IntegerField(default=0, db_default=0, help_text="Tries that failed and will be repeated.")
    dead = models.IntegerField(default=0, db_default=0)
    attempts = models.IntegerField(default=0, db_default=0, help_text="Requests made.")
    delivery_histogram = ArrayField(
        models.IntegerField(),
        default=list,
        db_default=[],
        help_text="Deliveries by the time from accepted to delivered, in the buckets of minutes.BOUNDS_MS.",
    )
    attempt_histogram = ArrayField(
        models.IntegerField(),
        default=list,
        db_default=[],
        help_text="Requests by latency, in the same buckets.",
    )
    lag_seconds = models.IntegerField(default=0, db_default=0, help_text="How overdue its oldest due row was, at most.")

    class Meta:
        indexes = [models.Index(fields=["span", "minute"], name="minute_by_span")]
        constraints = [
            models.UniqueConstraint(
                fields=["destination", "span", "minute"],
                name="minute_once_per_span",
                condition=models.Q(span__gt=Span.PART),
            )
        ]

    def __str__(self) -> str:
        return f"{self.destination_id} {self.minute:%Y-%m-%d %H:%M}"


class ReplayKind(models.TextChoices):
    DEAD = "dead", _("Dead deliveries")
    MISSED = "missed", _("Events that were not sent")


class ReplayState(models.TextChoices):
    RUNNING = "running", _("Running")
    PAUSED = "paused", _("Paused")
    CANCELLED = "cancelled", _("Cancelled")
    DONE = "done", _("Done")


class Replay(models.Model):
    """Sending the past again, or for the first time, to one destination: at its own pace, behind live traffic.

    It walks the events of a range of keys once, from `cursor` on (`destinations.replays`). All it knows is here, so it
    goes on after any restart.
    """

    kind = models.CharField(max_length=8, choices=ReplayKind)
    state = models.CharField(max_length=12, choices=ReplayState, default=ReplayState.RUNNING)
    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="replays")
    event = models.CharField(max_length=64, blank=True, help_text="Only this event name.")
    source = models.ForeignKey(Source, on_delete=models.DO_NOTHING, db_constraint=False, null=True, blank=True)
    reason = models.CharField(max_length=32, blank=True, help_text="Only what died of this.")
    detail = models.CharField(max_length=400, blank=True, help_text="Only what the platform refused with these words.")
    only = ArrayField(models.BigIntegerField(), default=list, blank=True, help_text="Only these deliveries, by key.")
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    lowest = models.BigIntegerField(help_text="Event key at which it begins.")
    highest = models.BigIntegerField(help_text="Event key before which it ends.")
    cursor = models.BigIntegerField(help_text="Event key that is looked at next.")
    rate = models.PositiveIntegerField(help_text="Deliveries a second, at most.")
    expected = models.PositiveIntegerField(default=0, help_text="Deliveries that the estimate promised.")
    moved = models.PositiveIntegerField(default=0, help_text="Deliveries handed to the queue so far.")
    left = models.JSONField(default=dict, help_text="{reason: count} of what was looked at and not sent.")
    waits_for = models.CharField(max_length=200, blank=True, help_text="Why nothing moves just now.")
    started_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now)
    stepped_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["id"], name="replay_running", condition=models.Q(state=ReplayState.RUNNING)),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} to {self.destination_id}"


from destinations.alert_models import AlertChannel, AlertIncident, AlertNotice, AlertRule  # noqa: E402, F401

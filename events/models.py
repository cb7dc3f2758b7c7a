"""What comes in: the taxonomy, the sources with their keys, and every accepted or rejected event.

The hot tables (IngestBatch, Event) carry no foreign-key constraints: rows are written by COPY in one place
(`events.ingest.accept_batch`), and a constraint would cost a look-up for each row.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

POSITION_BITS = 7  # 0..127 events in a batch; the contract allows 100
POSITION_MASK = (1 << POSITION_BITS) - 1


def event_pk(batch_id: int, position: int) -> int:
    """The primary key of the event at `position` of a batch.

    Packing both into one bigint makes the key known before the row is written (COPY returns none), finds the events
    of a batch by a range of the primary key (no second index on the hottest table), and keeps newest last.
    """
    return batch_id << POSITION_BITS | position


def batch_of(event_pk: int) -> int:
    return event_pk >> POSITION_BITS


class Stage(models.Model):
    """One of the six funnel stages."""

    key = models.SlugField(primary_key=True, max_length=32)
    label = models.CharField(max_length=64)
    position = models.PositiveSmallIntegerField(unique=True)
    purpose = models.CharField(max_length=200)

    class Meta:
        ordering = ["position"]

    def __str__(self) -> str:
        return self.label


class RoutingClass(models.TextChoices):
    STANDARD = "standard", _("Standard")
    PRODUCT = "product", _("Product")
    WAREHOUSE_ONLY = "warehouse_only", _("Warehouse only")


class CanonicalEvent(models.Model):
    """A name that product code may send: one of the 66 shipped ones, or an extension the team registered."""

    name = models.CharField(max_length=64, unique=True)
    stage = models.ForeignKey(Stage, on_delete=models.PROTECT, related_name="events")
    position = models.PositiveSmallIntegerField(default=1000, help_text="Order within the stage.")
    description = models.CharField(max_length=300, blank=True)
    routing_class = models.CharField(max_length=16, choices=RoutingClass, default=RoutingClass.STANDARD)
    when_to_fire = models.CharField(max_length=300, blank=True)
    avoid = models.CharField(max_length=300, blank=True)
    is_extension = models.BooleanField(default=False, editable=False)
    edited_fields = ArrayField(
        models.CharField(max_length=32),
        default=list,
        editable=False,
        help_text="What the team changed; kept on sync.",
    )
    retired_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["stage__position", "position", "name"]

    def __str__(self) -> str:
        return self.name


class SeenName(models.Model):
    """An accepted name that nobody registered yet: counted by the routing task, registered in one click."""

    name = models.CharField(max_length=64, primary_key=True)
    count = models.BigIntegerField(default=0)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        ordering = ["-count", "name"]

    def __str__(self) -> str:
        return self.name


class Source(models.Model):
    """An app or site that sends events."""

    name = models.CharField(max_length=64, unique=True)
    allowed_origins = ArrayField(
        models.CharField(max_length=200),
        default=list,
        blank=True,
        help_text="Browser origins that may send with this source's keys, such as https://app.example.com. "
        "Empty: server-side only.",
    )
    default_marketing_consent = models.BooleanField(
        default=True,
        help_text=_("What holds for ad platforms and CRMs when an event says nothing about consent."),
    )
    default_analytics_consent = models.BooleanField(
        default=True,
        help_text=_("What holds for analytics, warehouses and webhooks when an event says nothing."),
    )
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class ApiKey(models.Model):
    """A write-only ingest key: shown once, kept as prefix and keyed digest."""

    source = models.ForeignKey(Source, on_delete=models.CASCADE, related_name="api_keys")
    label = models.CharField(max_length=64, blank=True)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.prefix}…"


class IngestBatch(models.Model):
    """One accepted HTTP request. Routed as a whole: `routed_at` empty means the routing task has it to do."""

    source = models.ForeignKey(Source, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    received_at = models.DateTimeField()
    client_ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=512, default="")
    sdk = models.CharField(max_length=64, default="")
    trace_id = models.CharField(max_length=32)
    accepted = models.PositiveSmallIntegerField()
    duplicates = models.PositiveSmallIntegerField(default=0)
    rejected = models.PositiveSmallIntegerField(default=0)
    routed_at = models.DateTimeField(null=True)
    routing_version = models.BigIntegerField(null=True)
    skips = models.JSONField(
        default=dict,
        help_text="{destination id: {reason: [event position, …]}}: why an event got no delivery.",
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["source", "id"],
                name="ingestbatch_unrouted",
                condition=models.Q(routed_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"batch {self.pk}"


class Event(models.Model):
    """One accepted event. Its key is `event_pk(batch, position)`; `payload` is the contract's normal form."""

    id = models.BigIntegerField(primary_key=True)
    source = models.ForeignKey(Source, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    event_id = models.CharField(max_length=128)
    name = models.CharField(max_length=64)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    payload = models.JSONField()

    class Meta:
        ordering = ["-id"]
        constraints = [
            # event_id first: the same index answers `trace EVENT_ID`, which knows no source.
            models.UniqueConstraint(fields=["event_id", "source"], name="event_once_per_source"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.event_id}"

    @property
    def batch_id(self) -> int:
        return batch_of(self.pk)

    @property
    def position(self) -> int:
        return self.pk & POSITION_MASK


class RejectedEvent(models.Model):
    """An event that failed the contract: kept as sent, with the reason, until it is re-submitted or expires."""

    source = models.ForeignKey(Source, on_delete=models.DO_NOTHING, db_constraint=False)
    batch_id = models.BigIntegerField()
    received_at = models.DateTimeField(db_index=True)
    trace_id = models.CharField(max_length=32)
    index = models.PositiveSmallIntegerField(help_text="Position in the request, from 0.")
    event_name = models.CharField(max_length=128, default="")
    event_id = models.CharField(max_length=128, default="")
    field = models.CharField(max_length=64)
    code = models.CharField(max_length=32)
    sentence = models.CharField(max_length=400)
    payload = models.TextField(help_text="The event's JSON text as received.")
    resubmitted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.sentence


class RejectedTotal(models.Model):
    """How many events were ever rejected with a code, however many of them retention has forgotten."""

    code = models.CharField(max_length=32, primary_key=True)
    count = models.BigIntegerField()
    counted_to = models.DateTimeField(help_text="Rejections received up to then are counted; the same for every code.")

    def __str__(self) -> str:
        return f"{self.code} {self.count}"


class QualityCursor(models.Model):
    """Up to which event `events.quality` has looked."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    cursor = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return str(self.cursor)


class QualityCount(models.Model):
    """What was found in the events of a day; without a code, how many were looked at."""

    day = models.DateField()
    code = models.CharField(max_length=32, default="")
    event_name = models.CharField(max_length=64)
    count = models.BigIntegerField(default=0)
    samples = ArrayField(models.CharField(max_length=128), default=list, help_text="Event ids, as evidence.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "code", "event_name"], name="quality_once_a_day")]

    def __str__(self) -> str:
        return f"{self.day} {self.code} {self.event_name} {self.count}"


class QualityMemory(models.Model):
    """What `events.quality` must know of earlier events to judge later ones, however far apart: of each transaction
    the first event, of each person who paid the last payment. Hashes only, kept as long as the counts."""

    key = models.BigIntegerField(primary_key=True)
    day = models.DateField(db_index=True)
    event_id = models.CharField(max_length=128)
    event_name = models.CharField(max_length=64)
    occurred_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.event_name} {self.event_id}"

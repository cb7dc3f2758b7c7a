"""Who gets what: the toggles, their version and their history."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from destinations.models import Destination


class Route(models.Model):
    """What a team said of one event at one destination. `is_on` counts in Custom mode only; the rest always."""

    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="routes")
    event_name = models.CharField(max_length=64)
    is_on = models.BooleanField(default=False)
    native_name = models.CharField(max_length=100, blank=True)
    native_id = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["destination", "event_name"], name="route_once")]
        permissions = [
            ("toggle_route", "Can switch events on and off per destination"),
            ("export_route", "Can export mappings"),
        ]

    def __str__(self) -> str:
        return f"{self.event_name} → {self.destination_id}"


class RoutingVersion(models.Model):
    """The single row that every running process compares its snapshot with."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    version = models.BigIntegerField(default=1)

    def __str__(self) -> str:
        return str(self.version)


class RoutingChange(models.Model):
    """One entry of the change history: append-only."""

    version = models.BigIntegerField()
    at = models.DateTimeField(default=timezone.now)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    actor = models.CharField(max_length=150, help_text="User name, or the command that did it.")
    action = models.CharField(max_length=32)
    destination_name = models.CharField(max_length=64, blank=True, help_text="As it was called then.")
    destination_pk = models.SmallIntegerField(null=True, help_text="Kept when the destination is renamed or deleted.")
    sentences = models.JSONField(default=list)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    note = models.CharField(max_length=400, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"v{self.version} {self.action}"


class MatrixLook(models.Model):
    """How somebody left Configure → Events; `routing.looks` reads and writes it. Who has no row here sees all of it."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True)
    folded = models.JSONField(default=list, help_text="Keys of the folded stages.")
    show = models.CharField(max_length=16, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"user {self.user_id}"


class ConfigToken(models.Model):
    """Opens the configuration API for a program: shown once, kept as prefix and keyed digest."""

    name = models.CharField(max_length=64)
    prefix = models.CharField(max_length=16, unique=True)
    digest = models.CharField(max_length=64)
    may_write = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.name} (tsc_{self.prefix}_…)"


class Collecting(models.Model):
    """Whose switches go into a draft; who has no row here changes things at once."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"user {self.user_id}"


class DraftState(models.TextChoices):
    OPEN = "open", _("Open")
    IN_REVIEW = "in_review", _("In review")
    APPROVED = "approved", _("Approved")
    SCHEDULED = "scheduled", _("Scheduled")
    PUBLISHED = "published", _("Published")
    DISCARDED = "discarded", _("Discarded")


class Draft(models.Model):
    """Changes that somebody collects, to be in force all at once. Only an open one takes changes."""

    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="drafts")
    state = models.CharField(max_length=16, choices=DraftState, default=DraftState.OPEN)
    note = models.CharField(max_length=400, blank=True)
    revision = models.IntegerField(default=1, help_text="Raised by each change, so that nobody acts on an old view.")
    created_at = models.DateTimeField(default=timezone.now)
    collects_since = models.DateTimeField(
        default=timezone.now, help_text="Of an author's open drafts, the latest takes the switches."
    )
    reviewer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="drafts_to_review",
        help_text="Who is asked; then who decided.",
    )
    approved_at = models.DateTimeField(null=True, blank=True)
    comment = models.CharField(max_length=400, blank=True, help_text="What the reviewer said last.")
    publish_at = models.DateTimeField(null=True, blank=True)
    publisher = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    problem = models.TextField(blank=True, help_text="Why it was not published when it was to be.")
    closed_at = models.DateTimeField(null=True, blank=True)
    version = models.BigIntegerField(null=True, blank=True, help_text="The routing version that publishing it made.")
    sentences = models.JSONField(default=list, help_text="What was published, in the words of the history.")
    undo = models.JSONField(
        default=dict, help_text="What the last collected change replaced; void after any other edit."
    )
    untold = models.CharField(max_length=16, blank=True, help_text="What somebody is yet to be told of by mail.")
    tell_at = models.DateTimeField(null=True, blank=True, help_text="When that is tried next.")
    tell_tries = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["-id"]
        default_permissions = ("view",)
        permissions = [("review_draft", "Can review the drafts of others")]
        indexes = [
            models.Index(fields=["publish_at"], condition=models.Q(state="scheduled"), name="draft_due"),
            models.Index(fields=["state", "author"], name="draft_by_state"),
            models.Index(fields=["tell_at"], condition=~models.Q(untold=""), name="draft_untold"),
        ]

    def __str__(self) -> str:
        return f"Draft {self.pk}"


class DraftField(models.TextChoices):
    MODE = "mode"
    ENABLED = "enabled"
    NATIVE_NAME = "native_name"
    NATIVE_ID = "native_id"


class DraftChange(models.Model):
    """One thing that is to be different, and what it was when its author decided so."""

    draft = models.ForeignKey(Draft, on_delete=models.CASCADE, related_name="changes")
    destination = models.ForeignKey(Destination, on_delete=models.CASCADE, related_name="+")
    event_name = models.CharField(max_length=64, blank=True, help_text="Empty for a mode.")
    field = models.CharField(max_length=16, choices=DraftField)
    wanted = models.CharField(max_length=200, blank=True, help_text="Of a switch: 1 or 0.")
    seen = models.CharField(max_length=200, blank=True, help_text="In force when it was collected.")
    seen_version = models.BigIntegerField(help_text="The routing version then.")

    class Meta:
        ordering = ["id"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["draft", "destination", "event_name", "field"], name="draft_change_once")
        ]

    def __str__(self) -> str:
        return f"{self.field} of {self.event_name or 'all'} at {self.destination_id}"

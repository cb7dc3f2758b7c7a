"""What is watched, who is told, and what was told."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from destinations.credentials import EncryptedJSONField


class ChannelKind(models.TextChoices):
    EMAIL = "email", _("E-mail")
    SLACK = "slack", _("Slack or alike (incoming webhook)")
    WEBHOOK = "webhook", _("Signed webhook")


class AlertChannel(models.Model):
    """Where notices go. The address is a secret: whoever knows a hook's address can post there."""

    name = models.CharField(max_length=64, unique=True)
    kind = models.CharField(max_length=8, choices=ChannelKind)
    values = EncryptedJSONField(default=dict, help_text="`to` or `url`, and `secret`; encrypted.")
    is_enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class RuleKind(models.TextChoices):
    SUCCESS = "success", _("Success rate")
    DEAD = "dead", _("Dead letters")
    LAG = "lag", _("Lag")
    STOPPED = "stopped", _("Stopped")
    ENDING = "ending", _("Ending credentials and API versions")
    REJECTED = "rejected", _("Rejected events")
    SILENCE = "silence", _("Silence")


class AlertRule(models.Model):
    """One thing that is watched, at every destination."""

    kind = models.CharField(max_length=12, choices=RuleKind, unique=True)
    threshold = models.FloatField(default=0)
    is_enabled = models.BooleanField(default=True)
    muted_until = models.DateTimeField(null=True, blank=True)
    channels = models.ManyToManyField(AlertChannel, blank=True, related_name="rules")

    class Meta:
        ordering = ["id"]

    def __str__(self) -> str:
        return str(self.get_kind_display())

    @property
    def is_muted(self) -> bool:
        return self.muted_until is not None and self.muted_until > timezone.now()


class AlertIncident(models.Model):
    """From when a rule was first broken somewhere until it held again: told once at either end."""

    rule = models.ForeignKey(AlertRule, on_delete=models.CASCADE, related_name="incidents")
    key = models.CharField(max_length=160, help_text="Where: the destination's key, and the event for a silence.")
    sentence = models.CharField(max_length=400)
    url = models.CharField(max_length=300, default="")
    opened_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "key"], name="incident_once_at_a_time", condition=models.Q(closed_at=None)
            )
        ]

    def __str__(self) -> str:
        return self.sentence


class NoticeState(models.TextChoices):
    WAITING = "waiting", _("Waiting")
    SENT = "sent", _("Sent")
    FAILED = "failed", _("Failed")


class AlertNotice(models.Model):
    """One message to one channel, until it is sent or given up."""

    channel = models.ForeignKey(AlertChannel, on_delete=models.CASCADE, related_name="notices")
    incident = models.ForeignKey(AlertIncident, on_delete=models.CASCADE, null=True, related_name="notices")
    subject = models.CharField(max_length=200)
    text = models.TextField()
    state = models.CharField(max_length=8, choices=NoticeState, default=NoticeState.WAITING)
    tries = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now, help_text="A claim pushes it on, so that one process sends it.")
    detail = models.CharField(max_length=300, default="")
    created_at = models.DateTimeField(default=timezone.now)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["due_at"], name="notice_due", condition=models.Q(state=NoticeState.WAITING)),
        ]

    def __str__(self) -> str:
        return self.subject

"""Who gets what: the toggles, their version and their history."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

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

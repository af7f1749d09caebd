"""A small access-management product: who may ask for what, and who says yes."""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Integration(models.Model):
    """A system that access is given to."""

    class Kind(models.TextChoices):
        AWS = "aws", "AWS"
        GITHUB = "github", "GitHub"
        KUBERNETES = "kubernetes", "Kubernetes"
        POSTGRESQL = "postgresql", "PostgreSQL"

    class Status(models.TextChoices):
        CONNECTED = "connected", "connected"
        ERROR = "error", "error"
        DISABLED = "disabled", "disabled"

    name = models.CharField(max_length=100, unique=True)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.CONNECTED)
    # Its name looks like a secret: events show ***, and whether it has changed.
    api_token = models.CharField("API token", max_length=200, blank=True)
    # Keys that look like a secret are masked in events, too.
    options = models.JSONField(default=dict, blank=True)
    connected_on = models.DateField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Bundle(models.Model):
    """Permissions of one integration that are given together."""

    name = models.CharField(max_length=100, unique=True)
    integration = models.ForeignKey(Integration, on_delete=models.PROTECT, related_name="bundles")
    description = models.TextField(blank=True)
    permissions = models.JSONField(default=list, blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class AccessFlow(models.Model):
    """Who may ask for which bundles, for how long, and who approves."""

    class Status(models.TextChoices):
        DRAFT = "draft", "draft"
        ACTIVE = "active", "active"
        PAUSED = "paused", "paused"

    class Approval(models.TextChoices):
        AUTOMATIC = "automatic", "automatic"
        APPROVER = "approver", "the approver"
        ON_CALL = "on_call", "whoever is on call"

    name = models.CharField(max_length=100, unique=True)
    status = models.CharField(max_length=20, choices=Status.choices, default=Status.DRAFT)
    requesters = models.CharField(max_length=100, help_text="The group that may ask.")
    bundles = models.ManyToManyField(Bundle, blank=True, related_name="access_flows")
    approval = models.CharField(max_length=20, choices=Approval.choices, default=Approval.APPROVER)
    approver = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    max_hours = models.PositiveSmallIntegerField(default=4)
    valid_from = models.DateField()
    valid_until = models.DateField(null=True, blank=True)
    conditions = models.JSONField(default=dict, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        verbose_name = "access flow"
        verbose_name_plural = "access flows"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

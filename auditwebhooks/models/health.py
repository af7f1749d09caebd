from __future__ import annotations

from datetime import datetime

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy

from auditwebhooks.enums import PauseReason
from auditwebhooks.querysets import PrimaryQuerySet


class WebhookHealth(models.Model):
    """How a webhook's deliveries went. A table of its own: it changes with every delivery, and
    the configuration must not."""

    webhook = models.OneToOneField(
        "auditwebhooks.Webhook", on_delete=models.CASCADE, primary_key=True, related_name="health"
    )
    last_success_at = models.DateTimeField(null=True)
    last_failure_at = models.DateTimeField(null=True)
    consecutive_failures = models.PositiveIntegerField(default=0)
    # The first failure since the last success.
    failing_since = models.DateTimeField(null=True)
    # Of those, the failures that the circuit breaker counts, and the first of them.
    outages = models.PositiveIntegerField(default=0)
    outage_since = models.DateTimeField(null=True)
    # How often the breaker opened since the last success; 0: it is closed.
    openings = models.PositiveSmallIntegerField(default=0)
    # The invocation that is tried while it is open.
    probe_id = models.BigIntegerField(null=True)
    paused_until = models.DateTimeField(null=True)
    pause_reason = models.CharField(max_length=20, choices=PauseReason.choices, blank=True)
    # ``updated_at`` of the configuration that was in use when it was paused.
    paused_configuration = models.DateTimeField(null=True)
    disabled_reason = models.CharField(max_length=255, blank=True)

    objects = PrimaryQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        verbose_name = gettext_lazy("webhook health")
        verbose_name_plural = gettext_lazy("webhook health")

    def __str__(self) -> str:
        return f"{self.webhook_id}"

    def is_pausing(self, updated_at: datetime) -> bool:
        """Whether the pause still holds: most end when the configuration changes. ``updated_at``:
        of the present one."""
        if self.paused_until is None or self.paused_until <= timezone.now():
            return False
        if self.pause_reason == PauseReason.RETRY_AFTER:
            return True
        return self.paused_configuration == updated_at

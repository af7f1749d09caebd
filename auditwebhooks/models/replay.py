from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from auditwebhooks.enums import ReplayStatus
from auditwebhooks.models.event import COLUMN_LENGTH
from auditwebhooks.models.webhook import Webhook
from auditwebhooks.querysets import PrimaryQuerySet
from auditwebhooks.rules import NAME_LENGTH


class Replay(models.Model):
    """Recorded events that somebody wants a webhook to get, and how far that has come."""

    id = models.BigAutoField(primary_key=True)
    webhook = models.ForeignKey(
        Webhook,
        verbose_name=_("webhook"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="replays",
    )
    # Kept when the webhook is deleted.
    webhook_name = models.CharField(_("webhook name"), max_length=NAME_LENGTH)
    # Events recorded from then on, and before then.
    since = models.DateTimeField(_("since"))
    until = models.DateTimeField(_("until"))
    # Patterns as a webhook has them, beside its own; none: every event.
    event_types = models.JSONField(_("event types"), default=list, blank=True)
    only_failed = models.BooleanField(_("only failed or never attempted"), default=False)
    requested_by = models.CharField(_("requested by"), max_length=COLUMN_LENGTH)
    status = models.CharField(
        _("status"),
        max_length=10,
        choices=ReplayStatus.choices,
        default=ReplayStatus.RUNNING,
    )
    # How many events there were to send when it was asked for, and how many are queued.
    count = models.PositiveIntegerField(_("events"), default=0)
    queued = models.PositiveIntegerField(_("queued"), default=0)
    # The last event that was looked at: they go by time, then by id.
    cursor_time = models.DateTimeField(null=True, editable=False)
    cursor = models.BigIntegerField(null=True, editable=False)
    # The last invocation of the newest batch, and of the one before it.
    batch_end = models.BigIntegerField(null=True, editable=False)
    previous_batch_end = models.BigIntegerField(null=True, editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    objects = PrimaryQuerySet.as_manager()

    class Meta:
        verbose_name = _("replay")
        verbose_name_plural = _("replays")
        default_permissions = ("view",)

    def __str__(self) -> str:
        return f"{self.webhook_name} #{self.pk}"

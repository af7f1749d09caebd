from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage
from django.db import models
from django.utils.translation import gettext_lazy as _

from auditwebhooks.enums import Outcome, Status, Trigger
from auditwebhooks.models.event import Event
from auditwebhooks.models.replay import Replay
from auditwebhooks.models.webhook import Webhook
from auditwebhooks.querysets import InvocationQuerySet
from auditwebhooks.rules import NAME_LENGTH


class Invocation(models.Model):
    """One attempt, made before it is tried: what was sent, what came back, why it was judged so.

    Header values, URL path and query are masked in what is stored.
    """

    id = models.BigAutoField(primary_key=True)
    webhook = models.ForeignKey(
        Webhook,
        verbose_name=_("webhook"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="invocations",
        # The composite indexes below begin with it.
        db_index=False,
    )
    # Kept when the webhook is deleted.
    webhook_name = models.CharField(_("webhook name"), max_length=NAME_LENGTH)
    # Null for tests.
    event = models.ForeignKey(
        Event,
        verbose_name=_("event"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="invocations",
    )
    # The replay that asked for this chain.
    replay = models.ForeignKey(
        Replay,
        verbose_name=_("replay"),
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="invocations",
        # Looked for among the pending rows of one webhook only. A replay that is pruned leaves its
        # number behind: finding the rows that have it would read the whole table.
        db_index=False,
        db_constraint=False,
    )
    trigger = models.CharField(_("trigger"), max_length=10, choices=Trigger.choices)
    attempt = models.PositiveSmallIntegerField(_("attempt"), default=1)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING
    )
    outcome = models.CharField(_("outcome"), max_length=20, choices=Outcome.choices, blank=True)
    message = models.TextField(_("message"), blank=True)

    request_method = models.CharField(_("request method"), max_length=10, blank=True)
    request_url = models.TextField(_("request URL"), blank=True)
    request_headers = models.JSONField(_("request headers"), default=dict, blank=True)
    request_body = models.TextField(_("request body"), blank=True)

    response_status = models.PositiveSmallIntegerField(_("response status"), null=True, blank=True)
    response_headers = models.JSONField(_("response headers"), default=dict, blank=True)
    response_body = models.TextField(_("response body"), blank=True)
    response_truncated = models.BooleanField(_("response cut"), default=False)
    validation_results = models.JSONField(_("validation results"), default=list, blank=True)

    duration_ms = models.PositiveIntegerField(_("duration in ms"), null=True, blank=True)
    # enums.Phase -> milliseconds.
    timings = models.JSONField(_("timings"), default=dict, blank=True)
    created_at = models.DateTimeField(_("created at"))
    due_at = models.DateTimeField(_("due at"))
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    # First attempts with one key are sent one after another; null: in any order.
    order_key = models.BigIntegerField(null=True, editable=False)
    # Whose result is believed, and until when.
    claim_token = models.CharField(max_length=32, blank=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)
    # How often it was claimed: more than once where a worker died.
    claims = models.PositiveSmallIntegerField(default=0, editable=False)

    objects = InvocationQuerySet.as_manager()

    class Meta:
        verbose_name = _("invocation")
        verbose_name_plural = _("invocations")
        default_permissions = ("view",)
        permissions = [("resend_invocation", "Can send an invocation again")]
        indexes = [
            # What is due for one webhook, oldest first.
            models.Index(
                fields=["webhook", "status", "due_at", "id"],
                name="auditwebhooks_inv_due",
            ),
            # Leases that ran out.
            models.Index(fields=["status", "lease_until"], name="auditwebhooks_inv_lease"),
            # What is old enough to be deleted, and how attempts ended lately.
            models.Index(
                fields=["status", "finished_at", "outcome", "trigger"],
                name="auditwebhooks_inv_finished",
            ),
            # The log, newest first, with what it may be filtered by: rows that do not match are
            # passed over without being read. An index of each would cost every delivery more.
            models.Index(
                fields=[
                    "created_at",
                    "id",
                    "webhook_name",
                    "trigger",
                    "attempt",
                    "status",
                    "outcome",
                    "response_status",
                ],
                name="auditwebhooks_inv_time",
            ),
            # What was asked for by hand, or failed before: most attempts are neither, and cost
            # nothing here. MariaDB and MySQL have them in it, too, but do not move them.
            models.Index(
                fields=["trigger", "created_at", "id"],
                name="auditwebhooks_inv_trigger",
                condition=~models.Q(trigger=Trigger.EVENT),
            ),
            # The log of one webhook.
            models.Index(fields=["webhook", "id"], name="auditwebhooks_inv_webhook"),
            # Rate limit, and by itself, without the rows, how a webhook's attempts went.
            models.Index(
                fields=["webhook", "started_at", "status", "outcome", "trigger"],
                name="auditwebhooks_inv_started",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.webhook_name} #{self.pk}"

    @classmethod
    def check(cls, **kwargs: Any) -> list[CheckMessage]:
        """MariaDB and MySQL know no condition of an index: as it is meant, and no warning."""
        return [one for one in super().check(**kwargs) if one.id != "models.W037"]

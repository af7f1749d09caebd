"""What follows when a webhook is deleted."""

from __future__ import annotations

from typing import Any

from django.db.models.signals import pre_delete

from auditwebhooks.delivery.claim import WEBHOOK_DELETED
from auditwebhooks.enums import Status
from auditwebhooks.models import Invocation, Webhook


def connect() -> None:
    pre_delete.connect(_cancel_waiting, Webhook, dispatch_uid="auditwebhooks.cancel_waiting")


def _cancel_waiting(instance: Webhook, using: str, **kwargs: Any) -> None:
    """What waits for the webhook is cancelled; its invocations are kept."""
    waiting = Invocation.objects.using(using).filter(webhook=instance, status=Status.PENDING)
    waiting.cancel(WEBHOOK_DELETED)

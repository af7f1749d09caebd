"""What follows when a webhook is deleted."""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import QuerySet
from django.db.models.signals import pre_delete

from auditwebhooks.delivery.claim import WEBHOOK_DELETED
from auditwebhooks.enums import Status
from auditwebhooks.models import Invocation, Replay, Webhook
from auditwebhooks.rows import locked, take_write_lock


def connect() -> None:
    pre_delete.connect(_cancel_waiting, Webhook, dispatch_uid="auditwebhooks.cancel_waiting")


def _cancel_waiting(instance: Webhook, using: str, **kwargs: Any) -> None:
    """What waits for the webhook is cancelled; its invocations are kept."""
    # Before anything is read: the DELETE comes last.
    take_write_lock(connections[using], Invocation)
    _keep_workers_out(instance, using)
    waiting = Invocation.objects.using(using).filter(webhook=instance, status=Status.PENDING)
    waiting.cancel(WEBHOOK_DELETED)


def _keep_workers_out(webhook: Webhook, using: str) -> None:
    """Until the deletion commits nobody stores a result, which may make the row of the health or
    of a next attempt after the deletion has looked for such rows, and nobody commits what a
    fan-out or a replay gives to the webhook.

    Who stores a result holds its row, and who claims one the webhook's. The rows come first, since
    a result that is stored refers to the webhook, and again for what was claimed in between. Last
    the webhook's row is held as its DELETE will hold it: who refers to it waits for that one.
    """
    row: QuerySet[Webhook] = QuerySet(Webhook, using=using).filter(pk=webhook.pk)
    _hold(_sending(webhook, using), using)
    _hold(row, using)
    _hold(_sending(webhook, using), using)
    _hold(Replay.objects.using(using).filter(webhook=webhook).order_by("pk"), using)
    _hold(row, using, for_delete=True)


def _sending(webhook: Webhook, using: str) -> QuerySet[Invocation]:
    rows = Invocation.objects.using(using).filter(webhook=webhook, status=Status.SENDING)
    return rows.order_by("pk")


def _hold(rows: QuerySet[Any], using: str, *, for_delete: bool = False) -> None:
    list(locked(rows, using, for_delete=for_delete).values_list("pk"))

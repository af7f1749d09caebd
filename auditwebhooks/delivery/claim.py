"""Who sends what: rows are claimed by token and lease, so that no two workers send one.

A claim is a conditional update of pending rows; its token is asked for again before a result is
stored, so a worker that was given up for dead cannot write. What a dead worker had claimed is due
again when its lease ends.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections, router, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from auditwebhooks.enums import Outcome, PauseReason, Status
from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.querysets import PrimaryQuerySet

# Beyond the timeout of the call: rendering, judging and storing. Renewed while a row is held.
_LEASE_MARGIN = timedelta(seconds=20)

WEBHOOK_DELETED = gettext_lazy("The webhook was deleted.")

# A row that was claimed so often and never finished kills its workers.
MAX_CLAIMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWebhook:
    """A webhook that may be called now and has something due."""

    id: uuid.UUID
    # Tells whether a copy of the configuration is still the present one.
    updated_at: datetime
    max_per_minute: int | None


def due_webhooks(now: datetime) -> list[DueWebhook]:
    """The webhooks with something to send at that moment, which may be a little ahead."""
    due = Invocation.objects.filter(webhook=OuterRef("pk"), status=Status.PENDING, due_at__lte=now)
    rows = (
        Webhook.objects.primary()
        .filter(may_send(now), Exists(due))
        .values_list("pk", "updated_at", "max_per_minute")
    )
    return [DueWebhook(id=pk, updated_at=at, max_per_minute=most) for pk, at, most in rows]


def may_send(now: datetime) -> Q:
    """Webhooks that are on and not paused. A pause for a bad configuration ends when the
    configuration changes."""
    mended = Q(health__pause_reason=PauseReason.CONFIGURATION) & ~Q(
        health__paused_configuration=F("updated_at")
    )
    never_paused = Q(health__paused_until__isnull=True)
    return Q(active=True) & (never_paused | Q(health__paused_until__lte=now) | mended)


def claim(webhook: Webhook, limit: int, now: datetime, token: str) -> list[Invocation]:
    """Take up to so many of the webhook's due rows, oldest first, with their events."""
    using = router.db_for_write(Invocation)
    features = connections[using].features
    skips = features.has_select_for_update_skip_locked
    due = Invocation.objects.using(using).filter(
        webhook=webhook, status=Status.PENDING, due_at__lte=now
    )
    with transaction.atomic(using=using) if skips else nullcontext():
        candidates = due.order_by("due_at", "id").values_list("pk", flat=True)
        if skips:
            candidates = candidates.select_for_update(skip_locked=True)
        ids = list(candidates[:limit])
        if not ids:
            return []
        # The condition is repeated: without row locks this update is what decides.
        due.filter(pk__in=ids).update(
            status=Status.SENDING,
            claim_token=token,
            lease_until=now + lease(webhook),
            started_at=now,
            claims=F("claims") + 1,
        )
    mine = Invocation.objects.using(using).filter(pk__in=ids, claim_token=token)
    return list(mine.select_related("event").order_by("due_at", "id"))


def room_in_minute(webhook: DueWebhook, now: datetime) -> int | None:
    """How many calls ``max_per_minute`` leaves for now; None: no limit."""
    if webhook.max_per_minute is None:
        return None
    started = (
        Invocation.objects.primary()
        .filter(webhook_id=webhook.id, started_at__gt=now - timedelta(minutes=1))
        .exclude(status=Status.PENDING)
        .count()
    )
    return max(webhook.max_per_minute - started, 0)


def lease(webhook: Webhook) -> timedelta:
    return timedelta(seconds=webhook.timeout) + _LEASE_MARGIN


def renew(webhook: Webhook, ids: Collection[int], token: str) -> None:
    """The rows are still held: being sent, or waiting for their turn in this process."""
    _held(ids, token).update(lease_until=timezone.now() + lease(webhook))


def give_back(ids: Collection[int], token: str) -> None:
    """Rows that were claimed and not sent are due again."""
    _held(ids, token).update(
        status=Status.PENDING, claim_token="", lease_until=None, claims=F("claims") - 1
    )


def recover(now: datetime) -> int:
    """Make what dead workers held due again; how many rows.

    Rows that keep killing their workers are left for ``exhausted``; those whose webhook was
    deleted while they were held are cancelled.
    """
    Invocation.objects.primary().filter(webhook__isnull=True, status=Status.PENDING).update(
        status=Status.FAILED,
        outcome=Outcome.CANCELLED,
        message=WEBHOOK_DELETED,
        finished_at=now,
    )
    return (
        _expired(now)
        .filter(claims__lt=MAX_CLAIMS)
        .update(status=Status.PENDING, claim_token="", lease_until=None)
    )


def exhausted(now: datetime, token: str) -> list[Invocation]:
    """Claim the rows that no worker survived, to end them."""
    using = router.db_for_write(Invocation)
    ids = list(_expired(now).filter(claims__gte=MAX_CLAIMS).values_list("pk", flat=True)[:100])
    if not ids:
        return []
    _expired(now).filter(pk__in=ids).update(claim_token=token, lease_until=now + _LEASE_MARGIN)
    mine = Invocation.objects.using(using).filter(pk__in=ids, claim_token=token)
    return list(mine.select_related("event", "webhook"))


def _held(ids: Collection[int], token: str) -> PrimaryQuerySet[Invocation]:
    return Invocation.objects.primary().filter(
        pk__in=ids, claim_token=token, status=Status.SENDING
    )


def _expired(now: datetime) -> PrimaryQuerySet[Invocation]:
    return Invocation.objects.primary().filter(status=Status.SENDING, lease_until__lt=now)

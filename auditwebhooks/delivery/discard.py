"""What waits for a webhook that is switched off is ended by a person.

In batches, each a short transaction under the lock that a worker claims with: what it holds is
left to it, and nobody waits for long.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import connections, router, transaction
from django.utils.translation import gettext_lazy

from auditwebhooks.delivery import replay
from auditwebhooks.enums import ReplayStatus, Status
from auditwebhooks.models import Invocation, Replay, Webhook
from auditwebhooks.querysets import InvocationQuerySet, PrimaryQuerySet
from auditwebhooks.rows import let_others_write, locked, take_write_lock

BATCH = 2000

# Somebody waits for the page.
SECONDS = 20

DISCARDED = gettext_lazy("Discarded by hand while the webhook was switched off.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    # How many deliveries were ended.
    ended: int
    # False: the time was over, and more may wait.
    complete: bool


def waiting(webhook_id: uuid.UUID) -> int:
    """How many deliveries wait for it; what is being sent does not count."""
    return _waiting(webhook_id).count()


def discard(webhook_id: uuid.UUID) -> Discarded:
    """End what waits for a webhook that is off, its running replays with it. Begins no batch
    after ``SECONDS``, and none once the webhook is on again."""
    started = time.monotonic()
    if not Webhook.objects.primary().filter(pk=webhook_id, active=False).exists():
        return Discarded(ended=0, complete=True)
    ended = sum(replay.cancel(one) or 0 for one in _running(webhook_id))
    after: datetime | None = None
    while True:
        found, changed, after = _batch(webhook_id, after)
        ended += changed
        if found < BATCH:
            return Discarded(ended=ended, complete=True)
        if time.monotonic() - started >= SECONDS:
            return Discarded(ended=ended, complete=False)
        let_others_write(router.db_for_write(Invocation))


def _running(webhook_id: uuid.UUID) -> PrimaryQuerySet[Replay]:
    return Replay.objects.primary().filter(webhook=webhook_id, status=ReplayStatus.RUNNING)


def _waiting(webhook_id: uuid.UUID) -> InvocationQuerySet[Invocation]:
    return Invocation.objects.primary().filter(webhook=webhook_id, status=Status.PENDING)


def _batch(webhook_id: uuid.UUID, after: datetime | None) -> tuple[int, int, datetime | None]:
    """How many rows were found and how many ended, and where the next batch begins: what was
    ended before is still in the index, and would be read again and again."""
    using = router.db_for_write(Invocation)
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Invocation)
        off = Webhook.objects.using(using).filter(pk=webhook_id, active=False)
        if locked(off, using).values_list("pk").first() is None:
            return 0, 0, after
        rows = _waiting(webhook_id)
        ahead = rows if after is None else rows.filter(due_at__gte=after)
        ordered = ahead.order_by("due_at", "id").values_list("pk", "due_at")
        batch = list(ordered[:BATCH])
        changed = rows.filter(pk__in=[pk for pk, _due in batch]).cancel(DISCARDED)
    return len(batch), changed, batch[-1][1] if batch else after

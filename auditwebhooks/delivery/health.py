"""How webhooks fare, and what follows: pauses, and switching off what its receiver refused."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connections, router, transaction
from django.db.models import QuerySet

from auditwebhooks import wake
from auditwebhooks.context import context
from auditwebhooks.delivery import breaker
from auditwebhooks.delivery.reschedule import Finished, Pause, disables, pause_of
from auditwebhooks.enums import PauseReason, Source, Status
from auditwebhooks.models import Webhook, WebhookHealth
from auditwebhooks.retry import NEEDS_MENDING
from auditwebhooks.rows import locked, take_write_lock
from auditwebhooks.signals import webhook_disabled
from auditwebhooks.statements import upsert

# A webhook with so many failures and no success in so long a time is switched off.
HOPELESS_FAILURES = 20
HOPELESS_AFTER = timedelta(days=3)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hopeless:
    reason: str
    # ``updated_at`` of the configuration that was used.
    configuration: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdicts:
    """What follows for whole webhooks."""

    # Must not be called now.
    held: set[uuid.UUID]
    # To be switched off.
    hopeless: dict[uuid.UUID, Hopeless]


def note(finished: Mapping[uuid.UUID, Sequence[Finished]], using: str) -> Verdicts:
    """Write the health of the webhooks, in the transaction that stores their results."""
    # Always in the order of their keys: two workers must not wait for each other.
    known = _locked(sorted(finished), using)
    verdicts = Verdicts(held=set(), hopeless={})
    for webhook_id in sorted(finished):
        health = known.setdefault(webhook_id, WebhookHealth(webhook_id=webhook_id))
        for one in finished[webhook_id]:
            _count(health, one)
            for pause in filter(None, (breaker.note(health, one), pause_of(one))):
                _pause(health, pause)
                verdicts.held.add(webhook_id)
            reason = one.result.message if disables(one.result) else _why_hopeless(health, one)
            if reason:
                verdicts.hopeless[webhook_id] = Hopeless(
                    reason=reason, configuration=one.webhook.updated_at
                )
    _upsert(known.values(), using)
    return verdicts


def _why_hopeless(health: WebhookHealth, finished: Finished) -> str:
    since = health.failing_since
    if since is None or health.consecutive_failures < HOPELESS_FAILURES:
        return ""
    if finished.result.finished_at - since < HOPELESS_AFTER:
        return ""
    return (
        f"{health.consecutive_failures} deliveries failed since {since:%Y-%m-%d %H:%M} UTC, and "
        f"none succeeded. The last: {finished.result.message}"
    )


def _locked(ids: list[uuid.UUID], using: str) -> dict[uuid.UUID, WebhookHealth]:
    rows = WebhookHealth.objects.using(using).filter(pk__in=ids).order_by("pk")
    return {health.pk: health for health in locked(rows, using)}


def _count(health: WebhookHealth, finished: Finished) -> None:
    result = finished.result
    if result.status == Status.SUCCEEDED:
        health.last_success_at = result.finished_at
        health.consecutive_failures = 0
        health.failing_since = None
        return
    health.last_failure_at = result.finished_at
    if result.outcome not in NEEDS_MENDING:
        health.consecutive_failures += 1
        health.failing_since = health.failing_since or result.finished_at


def _pause(health: WebhookHealth, pause: Pause) -> None:
    """The later end counts: what is in flight may come back in any order."""
    if health.paused_until is None or pause.until >= health.paused_until:
        health.paused_until = pause.until
        health.pause_reason = pause.reason
        health.paused_configuration = pause.configuration


def _upsert(rows: Iterable[WebhookHealth], using: str) -> None:
    fields = [field.name for field in WebhookHealth._meta.concrete_fields if not field.primary_key]
    upsert(WebhookHealth, rows, fields, using)


def revive(webhook: Webhook) -> None:
    """A Test of the saved values succeeded: a pause ends, and what the system had switched off is
    on again. What a person switched off, and what the receiver asked to wait for, stays so."""
    using = router.db_for_write(WebhookHealth)
    with transaction.atomic(using=using):
        present = _held(Webhook.objects.using(using).filter(pk=webhook.pk), using)
        health = _locked([webhook.pk], using).get(webhook.pk)
        if present is None or health is None:
            return
        breaker.close(health)
        if health.pause_reason == PauseReason.CONFIGURATION:
            health.paused_until = None
        _upsert([health], using)
        if present.disabled_reason:
            present.active = True
            present.save(using=using, update_fields=["active"])
        wake.ring_after_commit(using)


def switch_off(webhook_id: uuid.UUID, why: Hopeless) -> bool:
    """Switch a webhook off by the system: its events keep queueing, and a person is told. One
    that was changed since is left: nobody knows of what it is now."""
    using = router.db_for_write(Webhook)
    as_used = Webhook.objects.using(using).filter(pk=webhook_id, updated_at=why.configuration)
    with transaction.atomic(using=using):
        webhook = _held(as_used.filter(active=True), using)
        if webhook is None:
            return False
        # Switched on again, it has its three days anew.
        WebhookHealth.objects.using(using).update_or_create(
            webhook=webhook, defaults={"disabled_reason": why.reason[:255], "failing_since": None}
        )
        with context(actor="system", actor_type="system", source=Source.BACKGROUND_TASK.value):
            webhook.switch_off_by_system()
    logger.warning('The webhook "%s" was switched off: %s', webhook.name, why.reason)
    webhook_disabled.send_robust(sender=Webhook, webhook=webhook, reason=why.reason)
    return True


def _held(webhooks: QuerySet[Webhook], using: str) -> Webhook | None:
    """The only one of them, as nobody else changes it meanwhile. Before its health, everywhere:
    two who change both must not wait for each other."""
    take_write_lock(connections[using], Webhook)
    return locked(webhooks, using).first()

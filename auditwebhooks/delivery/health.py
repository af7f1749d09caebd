"""How webhooks fare, and what follows: pauses, and switching off what its receiver refused."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from django.db import connections, router
from django.db.models import Model

from auditwebhooks.context import context
from auditwebhooks.delivery.reschedule import Finished, Pause, disables, pause_of
from auditwebhooks.enums import Source, Status
from auditwebhooks.models import Webhook, WebhookHealth
from auditwebhooks.retry import NEEDS_MENDING
from auditwebhooks.signals import webhook_disabled

M = TypeVar("M", bound=Model)

logger = logging.getLogger(__name__)


def note(finished: Mapping[uuid.UUID, Sequence[Finished]], using: str) -> set[uuid.UUID]:
    """Write the health of the webhooks, in the transaction that stores their results.

    Returns those that must not be called now.
    """
    # Always in the order of their keys: two workers must not wait for each other.
    known = _locked(sorted(finished), using)
    held: set[uuid.UUID] = set()
    for webhook_id in sorted(finished):
        health = known.setdefault(webhook_id, WebhookHealth(webhook_id=webhook_id))
        for one in finished[webhook_id]:
            _count(health, one)
            pause = pause_of(one)
            if pause is not None:
                _pause(health, pause)
                held.add(webhook_id)
    _upsert(known.values(), using)
    return held


def _locked(ids: list[uuid.UUID], using: str) -> dict[uuid.UUID, WebhookHealth]:
    rows = WebhookHealth.objects.using(using).filter(pk__in=ids).order_by("pk")
    if connections[using].features.has_select_for_update:
        rows = rows.select_for_update()
    return {health.pk: health for health in rows}


def _count(health: WebhookHealth, finished: Finished) -> None:
    result = finished.result
    if result.status == Status.SUCCEEDED:
        health.last_success_at = result.finished_at
        health.consecutive_failures = 0
        return
    health.last_failure_at = result.finished_at
    if result.outcome not in NEEDS_MENDING:
        health.consecutive_failures += 1


def _pause(health: WebhookHealth, pause: Pause) -> None:
    """The later end counts: what is in flight may come back in any order."""
    if health.paused_until is None or pause.until >= health.paused_until:
        health.paused_until = pause.until
        health.pause_reason = pause.reason
        health.paused_configuration = pause.configuration


def _upsert(rows: Iterable[WebhookHealth], using: str) -> None:
    fields = [field.name for field in WebhookHealth._meta.concrete_fields if not field.primary_key]
    upsert(WebhookHealth, rows, fields, using)


def upsert(model: type[M], rows: Iterable[M], fields: Sequence[str], using: str) -> None:
    """One statement for all rows: 50 to 100 us a row, bulk_update takes more than 1,000."""
    with_target = connections[using].features.supports_update_conflicts_with_target
    model._base_manager.using(using).bulk_create(
        rows,
        update_conflicts=True,
        update_fields=fields,
        unique_fields=[model._meta.pk.name] if with_target else None,
    )


def switch_off_gone(finished: Iterable[Finished]) -> set[uuid.UUID]:
    """Switch off the webhooks whose receiver answered 410; returns them."""
    gone = {one.webhook.pk: one for one in finished if disables(one.result)}
    return {pk for pk, one in gone.items() if switch_off(pk, one.result.message)}


def switch_off(webhook_id: uuid.UUID, reason: str) -> bool:
    """Switch a webhook off by the system: its events keep queueing, and a person is told."""
    using = router.db_for_write(Webhook)
    webhook = Webhook.objects.using(using).filter(pk=webhook_id, active=True).first()
    if webhook is None:
        return False
    WebhookHealth.objects.using(using).update_or_create(
        webhook=webhook, defaults={"disabled_reason": reason[:255]}
    )
    with context(actor="system", actor_type="system", source=Source.BACKGROUND_TASK.value):
        webhook.switch_off_by_system()
    logger.warning('The webhook "%s" was switched off: %s', webhook.name, reason)
    webhook_disabled.send_robust(sender=Webhook, webhook=webhook, reason=reason)
    return True

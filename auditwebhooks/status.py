"""How deliveries fare: what waits and since when, whether workers come, and what is wrong. The
command, the metrics and the admin ask here. Every query is answered by an index."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from auditwebhooks import queue, wake
from auditwebhooks.conf import conf
from auditwebhooks.delivery.claim import may_send
from auditwebhooks.enums import PauseReason, Status, WebhookState
from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
from auditwebhooks.receivers.schedule import errands
from auditwebhooks.sentences import shown

# The schedule brings a worker every 30 seconds, a lost wake-up costs 60.
SILENT_AFTER = timedelta(minutes=2)

# What may be sent and is not sent so long after its time, is not on its way.
LATE_AFTER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookStatus:
    id: uuid.UUID
    name: str
    state: WebhookState
    # Attempts that are still to come, those that are being made with them.
    backlog: int
    # Since when the oldest of them is due; None: none is.
    oldest_waiting_seconds: float | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    consecutive_failures: int
    paused_until: datetime | None
    # Why the system switched it off; empty otherwise.
    disabled_reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStatus:
    at: datetime
    # ENABLED and SEND.
    sending: bool
    # Of all webhooks.
    backlog: int
    # Only what may be sent: not what waits for a webhook that is off or paused.
    oldest_waiting_seconds: float | None
    # For their fan-out.
    events_waiting: int
    oldest_event_seconds: float | None
    worker_seen_at: datetime | None
    worker_seen_seconds: float | None
    webhooks: tuple[WebhookStatus, ...]
    # A sentence each, with the way out.
    problems: tuple[str, ...]

    @property
    def worker_is_silent(self) -> bool:
        return _is_silent(self.worker_seen_seconds)

    @property
    def healthy(self) -> bool:
        return not self.problems


def status() -> DeliveryStatus:
    now = timezone.now()
    rows = list(_webhooks())
    able = set(Webhook.objects.primary().filter(may_send(now)).values_list("pk", flat=True))
    webhooks = tuple(_webhook_status(row, now) for row in rows)
    unseen = Event.objects.primary().filter(fanned_out_at__isnull=True)
    seen_at = wake.last_seen()
    found = _Found(
        now=now,
        oldest_event=_age(_oldest(unseen), now),
        seen=_age(seen_at, now),
        able=tuple(one for one in webhooks if one.id in able),
        off=tuple(one for one in webhooks if one.disabled_reason),
        to_mend=tuple(row.name for row in rows if _is_to_mend(row)),
        limited=frozenset(row.pk for row in rows if row.max_per_minute),
    )
    sending = conf.enabled and conf.send
    return DeliveryStatus(
        at=now,
        sending=sending,
        backlog=sum(one.backlog for one in webhooks),
        oldest_waiting_seconds=found.oldest_waiting,
        events_waiting=unseen.count(),
        oldest_event_seconds=found.oldest_event,
        worker_seen_at=seen_at,
        worker_seen_seconds=found.seen,
        webhooks=webhooks,
        problems=tuple(_problems(found)) if sending else (),
    )


def state_of(webhook: Webhook) -> WebhookState:
    if not webhook.active:
        return WebhookState.OFF
    return WebhookState.ACTIVE if webhook.paused_until is None else WebhookState.PAUSED


def _webhooks() -> QuerySet[Webhook]:
    of_webhook = Invocation.objects.primary().filter(webhook=OuterRef("pk")).order_by()
    open_ones = of_webhook.filter(status__in=[Status.PENDING, Status.SENDING])
    counted = open_ones.values("webhook").annotate(number=Count("pk")).values("number")
    oldest = of_webhook.filter(status=Status.PENDING).order_by("due_at").values("due_at")[:1]
    return (
        Webhook.objects.primary()
        .annotate(
            backlog=Coalesce(Subquery(counted, output_field=IntegerField()), 0),
            oldest_due_at=Subquery(oldest),
        )
        .select_related("health")
        .order_by("name_key")
        .only("name", "active", "updated_at", "max_per_minute", "health")
    )


def _webhook_status(webhook: Any, now: datetime) -> WebhookStatus:
    return WebhookStatus(
        id=webhook.pk,
        name=webhook.name,
        state=state_of(webhook),
        backlog=webhook.backlog,
        oldest_waiting_seconds=_overdue(webhook.oldest_due_at, now),
        last_success_at=webhook.last_success_at,
        last_failure_at=webhook.last_failure_at,
        consecutive_failures=webhook.consecutive_failures,
        paused_until=webhook.paused_until,
        disabled_reason=webhook.disabled_reason,
    )


def _oldest(waiting: QuerySet[Event]) -> datetime | None:
    # In the order of the index: by the key alone all that wait would be sorted.
    ordered = waiting.order_by("fanned_out_at", "id")
    return ordered.values_list("created_at", flat=True).first()


def _age(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max((now - moment).total_seconds(), 0.0)


def _overdue(due_at: datetime | None, now: datetime) -> float | None:
    return _age(due_at, now) if due_at and due_at <= now else None


def _is_to_mend(webhook: Webhook) -> bool:
    try:
        health = webhook.health
    except WebhookHealth.DoesNotExist:
        return False
    is_held = webhook.active and health.is_pausing(webhook.updated_at)
    return is_held and health.pause_reason == PauseReason.CONFIGURATION


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    now: datetime
    oldest_event: float | None
    seen: float | None
    # Webhooks that may be called now.
    able: Sequence[WebhookStatus]
    # Switched off by the system.
    off: Sequence[WebhookStatus]
    to_mend: Sequence[str]
    # With a limit of calls a minute.
    limited: frozenset[uuid.UUID]

    @property
    def oldest_waiting(self) -> float | None:
        ages = [one.oldest_waiting_seconds for one in self.able]
        return max((age for age in ages if age is not None), default=None)

    @property
    def is_due(self) -> bool:
        return self.oldest_event is not None or self.oldest_waiting is not None


def _is_silent(seen: float | None) -> bool:
    return seen is None or seen > SILENT_AFTER.total_seconds()


def _problems(found: _Found) -> Iterator[str]:
    is_silent = _is_silent(found.seen)
    if found.is_due and is_silent:
        yield _silence(found)
    elif (found.oldest_event or 0) > LATE_AFTER.total_seconds():
        yield _(
            "Events wait for more than %(minutes)d minutes to be handed to their webhooks though "
            "a worker was there: look into its log."
        ) % {"minutes": LATE_AFTER.total_seconds() // 60}
    for one in found.able:
        if not is_silent and (one.oldest_waiting_seconds or 0) > LATE_AFTER.total_seconds():
            yield _late(one, is_limited=one.id in found.limited)
    for one in found.off:
        yield _(
            'The webhook "%(name)s" was switched off by the system (%(reason)s): mend it and '
            "switch it on again; its events wait."
        ) % {"name": one.name, "reason": shown(one.disabled_reason).rstrip(".")}
    for name in found.to_mend:
        yield _(
            'The webhook "%(name)s" cannot be called as it is configured: one of its waiting '
            "invocations says why; its events wait until it is changed."
        ) % {"name": name}
    stale = queue.stale_schedules(errands())
    if stale:
        yield _(
            "The schedules %(names)s are missing or do not follow the settings: run "
            "manage.py migrate."
        ) % {"names": ", ".join(stale)}


def _silence(found: _Found) -> str:
    if found.seen is None:
        return _(
            "No worker has been there yet and something is due: start manage.py qcluster, or "
            "restart it where it runs and stands still; manage.py auditwebhooks_deliver --once "
            "delivers meanwhile."
        )
    seen_at = found.now - timedelta(seconds=found.seen)
    return _(
        "No worker was there since %(moment)s and something is due: start manage.py qcluster, or "
        "restart it where it runs and stands still; manage.py auditwebhooks_deliver --once "
        "delivers meanwhile."
    ) % {"moment": date_format(_local(seen_at), "Y-m-d H:i:s")}


def _local(moment: datetime) -> datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment


def _late(webhook: WebhookStatus, *, is_limited: bool) -> str:
    told = (
        _(
            'Events for the webhook "%(name)s" are more than %(minutes)d minutes late: it may be '
            "called only so often: raise its limit of calls a minute."
        )
        if is_limited
        else _(
            'Events for the webhook "%(name)s" are more than %(minutes)d minutes late: look into '
            "the worker's log, and have more or larger workers where there is none."
        )
    )
    return told % {"name": webhook.name, "minutes": LATE_AFTER.total_seconds() // 60}

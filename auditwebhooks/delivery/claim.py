"""Who sends what: rows are claimed by token and lease, so that no two workers send one.

A claim is a conditional update of pending rows; its token is asked for again before a result is
stored, so a worker that was given up for dead cannot write. What a dead worker had claimed is due
again when its lease ends.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import connections, router, transaction
from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext_lazy

from auditwebhooks.enums import PauseReason, Status
from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
from auditwebhooks.querysets import Among, InvocationQuerySet
from auditwebhooks.rows import AnyMoment, SelectAt, instance_of, locked, take_write_lock

# Beyond the timeout of the call: rendering, judging and storing. Renewed while a row is held.
_LEASE_MARGIN = timedelta(seconds=20)

# No lease lasts as long, MAX_TIMEOUT is an hour at most: the clock was wrong when it was given.
_NEVER = timedelta(hours=2)

WEBHOOK_DELETED = gettext_lazy("The webhook was deleted.")

# So many rows of one target are held at most: they go one after another, and others wait behind.
SAME_TARGET = 8

# A row that was claimed so often and never finished kills its workers.
MAX_CLAIMS = 5

# The rest is for the next time, a second later.
_MOST_RECOVERED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class DueWebhook:
    """A webhook that may be called now and has something due."""

    id: uuid.UUID
    # Tells whether a copy of the configuration is still the present one.
    updated_at: datetime
    max_per_minute: int | None
    # The breaker is open: one delivery at a time is tried.
    is_probed: bool
    paused_until: datetime | None
    # It has never succeeded, or not since its last failure.
    is_doubtful: bool
    # Its last call found nobody.
    is_failing: bool


def due_webhooks(now: datetime) -> list[DueWebhook]:
    """The webhooks with something to send at that moment, which may be a little ahead."""
    using = router.db_for_write(Webhook)
    rows = _due_webhooks(using, settings.USE_TZ).run(now, connections[using])
    return [
        DueWebhook(
            id=pk,
            updated_at=updated_at,
            max_per_minute=most,
            is_probed=bool(openings),
            paused_until=paused_until,
            is_doubtful=last_success_at is None or bool(outages),
            is_failing=bool(outages),
        )
        for pk, updated_at, most, openings, paused_until, last_success_at, outages in rows
    ]


@cache
def _due_webhooks(using: str, use_tz: bool) -> SelectAt:
    """Asked at each look: to build and compile it takes longer than the database does."""
    waiting = Invocation.objects.filter(webhook=OuterRef("pk"), status=Status.PENDING)
    # Not Exists: PostgreSQL would join, and while its statistics know nothing of the backlog of a
    # dead webhook, it would read all of it at each look.
    first = waiting.order_by("due_at", "id").values("due_at")[:1]
    rows = (
        Webhook.objects.using(using)
        .alias(first_due_at=Subquery(first))
        .filter(may_send(AnyMoment()), first_due_at__lte=AnyMoment())
        .values_list(
            "pk",
            "updated_at",
            "max_per_minute",
            "health__openings",
            "health__paused_until",
            "health__last_success_at",
            "health__outages",
        )
    )
    return SelectAt.of(rows, using)


def may_send(now: datetime | AnyMoment) -> Q:
    """Webhooks that are on and not paused. But for a receiver that asked to wait, a pause ends
    when the configuration changes."""
    mended = ~Q(health__pause_reason=PauseReason.RETRY_AFTER) & ~Q(
        health__paused_configuration=F("updated_at")
    )
    never_paused = Q(health__paused_until__isnull=True)
    return Q(active=True) & (never_paused | Q(health__paused_until__lte=now) | mended)


def claim(
    webhook: Webhook,
    limit: int,
    now: datetime,
    token: str,
    held: Mapping[int, int] = MappingProxyType({}),
) -> list[Invocation]:
    """Take up to so many of the webhook's due rows, oldest first, with their events.

    Of one target no more than ``SAME_TARGET``, and none while another worker holds one: first
    attempts keep the order of their events. ``held``: order key -> rows held here already.
    """
    using = router.db_for_write(Invocation)
    due = Invocation.objects.using(using).filter(
        webhook=webhook, status=Status.PENDING, due_at__lte=now
    )
    with transaction.atomic(using=using):
        # One worker at a time: it must see what the others hold.
        _lock(webhook, using)
        in_minute = room_in_minute(webhook, now)
        limit = limit if in_minute is None else min(limit, in_minute)
        ids = _candidates(due, limit, Counter(held), _held_elsewhere(webhook, token, using))
        if not ids:
            return []
        # The condition is repeated: a row may have been cancelled meanwhile.
        due.filter(Among("pk", ids)).update(
            status=Status.SENDING,
            claim_token=token,
            lease_until=now + lease(webhook),
            started_at=now,
            claims=F("claims") + 1,
        )
    mine = Invocation.objects.using(using).filter(Among("pk", ids), claim_token=token)
    return _read(mine.order_by("due_at", "id"), using)


# What it takes to send a row and to settle it; the rest is written then.
_NEEDED = (
    "id",
    "webhook_id",
    "webhook_name",
    "event_id",
    "replay_id",
    "attempt",
    "trigger",
    "status",
    "order_key",
    "claims",
    "started_at",
)
_OF_EVENT = ("id", "event_id", "payload_text")


def _read(rows: InvocationQuerySet[Invocation], using: str) -> list[Invocation]:
    """The rows with their events. As instances of ``only`` they would take more time than it
    takes the database to claim them."""
    found = rows.values_list(*_NEEDED, *(f"event__{name}" for name in _OF_EVENT))
    return [_row_of(values, using) for values in found]


def _row_of(values: tuple[Any, ...], using: str) -> Invocation:
    count = len(_NEEDED)
    row = instance_of(Invocation, zip(_NEEDED, values[:count], strict=True), using)
    if row.event_id is not None:
        row.event = instance_of(Event, zip(_OF_EVENT, values[count:], strict=True), using)
    return row


def _lock(webhook: Webhook, using: str) -> None:
    take_write_lock(connections[using], Invocation)
    row: QuerySet[Webhook] = QuerySet(Webhook, using=using).filter(pk=webhook.pk)
    locked(row, using).values_list("pk").first()


def _held_elsewhere(webhook: Webhook, token: str, using: str) -> set[int]:
    """The order keys that other workers hold."""
    rows = Invocation.objects.using(using).filter(
        webhook=webhook, status=Status.SENDING, order_key__isnull=False
    )
    # Never null, as they were asked for.
    keys = rows.exclude(claim_token=token).values_list("order_key", flat=True)
    return {key for key in keys if key is not None}


def _candidates(
    due: QuerySet[Invocation], limit: int, held: Counter[int], closed: set[int]
) -> list[int]:
    """The rows to claim. Where one target has too many, the places are given to others."""
    closed |= {key for key, count in held.items() if count >= SAME_TARGET}
    ids: list[int] = []
    while len(ids) < limit:
        rows = due.exclude(Among("pk", ids)) if ids else due
        if closed:
            # NULL is in no list, and in none it is not, either.
            rows = rows.exclude(Among("order_key", closed), order_key__isnull=False)
        ordered = rows.order_by("due_at", "id").values_list("pk", "order_key")
        full = set()
        for pk, key in ordered[: limit - len(ids)]:
            if key is not None:
                if held[key] >= SAME_TARGET:
                    full.add(key)
                    continue
                held[key] += 1
            ids.append(pk)
        if not full:
            break
        closed |= full
    return ids


def begin_probe(due: DueWebhook, webhook: Webhook, invocation: Invocation, now: datetime) -> bool:
    """Have this row be the one that is tried. False: another worker was faster.

    Until its result is stored, or its worker is given up, the webhook is paused for all.
    """
    unchanged = WebhookHealth.objects.primary().filter(
        pk=due.id, openings__gt=0, paused_until=due.paused_until
    )
    return bool(
        unchanged.update(
            probe_id=invocation.pk,
            paused_until=now + lease(webhook),
            pause_reason=PauseReason.BREAKER,
            paused_configuration=webhook.updated_at,
        )
    )


def room_in_minute(webhook: DueWebhook | Webhook, now: datetime) -> int | None:
    """How many calls ``max_per_minute`` leaves for now; None: no limit. What is held counts: its
    call may begin at any time."""
    if webhook.max_per_minute is None:
        return None
    theirs = Invocation.objects.primary().filter(webhook_id=webhook.id)
    # Two counts, since each goes along an index of its own. What began later than now was written
    # by a clock that was wrong, or goes back an hour once a year.
    minute = timedelta(minutes=1)
    lately = theirs.filter(started_at__gt=now - minute, started_at__lt=now + minute)
    started = lately.exclude(status__in=(Status.PENDING, Status.SENDING)).count()
    held = theirs.filter(status=Status.SENDING).count()
    return max(webhook.max_per_minute - started - held, 0)


def lease(webhook: Webhook) -> timedelta:
    return timedelta(seconds=webhook.timeout) + _LEASE_MARGIN


def renew(ids: Collection[int], token: str, lease: timedelta) -> None:
    """The rows are still held: being sent, or waiting for their turn in this process. Written
    once a fifth of the lease is over, which few rows are held for."""
    now = timezone.now()
    ending = _held(ids, token).filter(lease_until__lt=now + lease * 4 / 5)
    ending.update(lease_until=now + lease)


def give_back(ids: Collection[int], token: str) -> None:
    """Rows that were claimed and not sent are due again."""
    _unclaim(_held(ids, token))


def give_back_others(known: Collection[int], token: str) -> None:
    """All rows of the token but these."""
    mine = Invocation.objects.primary().filter(status=Status.SENDING, claim_token=token)
    ids = set(mine.values_list("pk", flat=True)).difference(known)
    if ids:
        _unclaim(_held(ids, token))


def _unclaim(rows: InvocationQuerySet[Invocation]) -> None:
    rows.update(status=Status.PENDING, claim_token="", lease_until=None, claims=F("claims") - 1)


def recover(now: datetime) -> int:
    """Make what dead workers held due again; how many rows.

    Rows that keep killing their workers are left for ``exhausted``; those whose webhook was
    deleted while they were held are cancelled.
    """
    orphans = Invocation.objects.primary().filter(webhook__isnull=True, status=Status.PENDING)
    _by_key(orphans).cancel(WEBHOOK_DELETED)
    expired = _by_key(_expired(now).filter(claims__lt=MAX_CLAIMS))
    return expired.update(status=Status.PENDING, claim_token="", lease_until=None)


def _by_key(rows: InvocationQuerySet[Invocation]) -> InvocationQuerySet[Invocation]:
    """The first of the rows, by key: MariaDB would lock what an update passes on its way through
    another index, and a worker that stores its results could wait for that in a circle."""
    ids = list(rows.order_by("pk").values_list("pk", flat=True)[:_MOST_RECOVERED])
    return rows.filter(Among("pk", ids))


def exhausted(now: datetime, token: str) -> list[Invocation]:
    """Claim the rows that no worker survived, to end them."""
    using = router.db_for_write(Invocation)
    ids = list(_expired(now).filter(claims__gte=MAX_CLAIMS).values_list("pk", flat=True)[:100])
    if not ids:
        return []
    _expired(now).filter(pk__in=ids).update(claim_token=token, lease_until=now + _LEASE_MARGIN)
    mine = Invocation.objects.using(using).filter(Among("pk", ids), claim_token=token)
    return list(mine.select_related("event", "webhook"))


def _held(ids: Collection[int], token: str) -> InvocationQuerySet[Invocation]:
    return Invocation.objects.primary().filter(
        Among("pk", ids), claim_token=token, status=Status.SENDING
    )


def _expired(now: datetime) -> InvocationQuerySet[Invocation]:
    over = Q(lease_until__lt=now) | Q(lease_until__gt=now + _NEVER)
    return Invocation.objects.primary().filter(over, status=Status.SENDING)

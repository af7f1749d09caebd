"""Send again: a new chain for an event that was sent, or refused, before."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from django.db import connections, router, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from auditwebhooks import wake
from auditwebhooks.delivery.chain import first_attempt, hold, hold_webhooks
from auditwebhooks.delivery.claim import WEBHOOK_DELETED
from auditwebhooks.delivery.fanout import matches
from auditwebhooks.enums import Trigger
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.rows import pages, take_write_lock

# Rows that one transaction makes: on SQLite nobody else writes meanwhile.
BATCH = 1000

# Webhook and event.
Pair = tuple[uuid.UUID, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why something cannot be sent again, under the name of the field that stands in the way."""

    field: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What sending again would do."""

    # Each once.
    pairs: list[Pair]
    refused: list[Refusal] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    queued: list[Invocation] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    # Of those queued: how many wait until their webhook is switched on.
    resting: int = 0


def send_again(invocations: Iterable[Invocation]) -> Again:
    """A new chain for the event and webhook of each; several attempts of one chain are one.

    A retry that waits is left as it is: receivers drop what they have seen by its ``webhook-id``.
    """
    return carry_out(plan(invocations))


def send_events_again(events: Collection[Event]) -> Again:
    """Each event to the webhooks that have an invocation of it, else to every active one whose
    filter it passes."""
    return carry_out(plan_events(events))


def plan(invocations: Iterable[Invocation]) -> Plan:
    refused, pairs = [], []
    for invocation in invocations:
        refusal = _refusal(invocation)
        if refusal is not None:
            refused.append(refusal)
        elif invocation.webhook_id and invocation.event_id:
            pairs.append((invocation.webhook_id, invocation.event_id))
    return Plan(pairs=list(dict.fromkeys(pairs)), refused=refused)


def plan_events(events: Collection[Event]) -> Plan:
    refused, pairs = [], []
    known = _known_pairs([event.pk for event in events])
    webhooks = list(Webhook.objects.primary().filter(active=True).only("id", "event_types"))
    for event in events:
        if event.fanned_out_at is None:
            refused.append(_refused("event", _("The event waits for its first delivery.")))
            continue
        ids = known.get(event.pk) or list(_takers(event, webhooks))
        pairs += [(webhook_id, event.pk) for webhook_id in ids]
        if not ids:
            refused.append(_refused("event", _("No active webhook gets this event.")))
    return Plan(pairs=pairs, refused=refused)


def carry_out(plan: Plan) -> Again:
    """In batches, each in a transaction of its own where the caller has none."""
    done = Again(refused=plan.refused)
    for wanted in pages(plan.pairs, BATCH):
        queued = _queue(wanted)
        done = Again(
            queued=done.queued + queued.queued,
            refused=done.refused + queued.refused,
            resting=done.resting + queued.resting,
        )
    return done


def _refusal(invocation: Invocation) -> Refusal | None:
    if invocation.trigger == Trigger.TEST:
        return _refused("event", _("A test has no event: press Test on the webhook's page."))
    if invocation.event_id is None:
        return _pruned()
    return _deleted() if invocation.webhook_id is None else None


def _refused(field_name: str, reason: str) -> Refusal:
    return Refusal(field=field_name, reason=reason)


def _pruned() -> Refusal:
    return _refused("event", _("The event is kept no longer: there is nothing to send."))


def _deleted() -> Refusal:
    return _refused("webhook", str(WEBHOOK_DELETED))


def _known_pairs(event_ids: Sequence[int]) -> dict[int, list[uuid.UUID]]:
    """Event -> the webhooks that have an invocation of it."""
    rows = Invocation.objects.primary().filter(event__in=event_ids, webhook__isnull=False)
    known: dict[int, list[uuid.UUID]] = {}
    for event_id, webhook_id in rows.order_by("id").values_list("event_id", "webhook_id"):
        webhooks = known.setdefault(event_id, [])
        if webhook_id not in webhooks:
            webhooks.append(webhook_id)
    return known


def _takers(event: Event, webhooks: Iterable[Webhook]) -> Iterator[uuid.UUID]:
    for webhook in webhooks:
        if matches(event.event_type, webhook.event_types):
            yield webhook.pk


def _queue(wanted: Sequence[Pair]) -> Again:
    using = router.db_for_write(Invocation)
    now = timezone.now()
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Invocation)
        present = hold({event_id for _webhook_id, event_id in wanted}, using)
        webhooks = hold_webhooks({webhook_id for webhook_id, _event_id in wanted}, using)
        rows = [
            first_attempt(webhooks[webhook_id], event_id, trigger=Trigger.MANUAL, now=now)
            for webhook_id, event_id in wanted
            if webhook_id in webhooks and event_id in present
        ]
        _insert(rows, using)
        wake.ring_after_commit(using)
    deleted = [_deleted() for webhook_id, _event_id in wanted if webhook_id not in webhooks]
    pruned = [_pruned() for _webhook_id, event_id in wanted if event_id not in present]
    return Again(
        queued=rows,
        refused=deleted + pruned,
        resting=sum(not webhooks[one.webhook_id].active for one in rows if one.webhook_id),
    )


def _insert(rows: Sequence[Invocation], using: str) -> None:
    """One row is saved by itself: not every database tells the keys of many."""
    if len(rows) == 1:
        rows[0].save(using=using, force_insert=True)
    else:
        Invocation.objects.using(using).bulk_create(rows)

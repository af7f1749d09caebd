"""Deletes what RETENTION says is old enough, while deliveries go on.

In batches, each a short transaction, found by index and in the order of time. Rows that anybody
else holds are left for the next time: nobody waits for this, and several runs do no harm. What
waits is never deleted: an event that was not fanned out, or has an attempt that is still to come.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from django.db import connections, router, transaction
from django.db.models import Exists, Model, OuterRef, Q, QuerySet
from django.utils import timezone

from auditwebhooks.conf import conf
from auditwebhooks.enums import ReplayStatus, Status
from auditwebhooks.models import Event, Invocation, Replay
from auditwebhooks.querysets import EventQuerySet, PrimaryQuerySet
from auditwebhooks.rows import let_others_write, locked, take_write_lock

M = TypeVar("M", bound=Model)

BATCH = 1000

# What the hourly run may take of a worker's time; what is left is taken up the next time.
RUN_SECONDS = 60

# Their days stand in RETENTION under the same name.
_FINISHED = (Status.SUCCEEDED, Status.FAILED)

# A replay is kept as long as any attempt of it may be.
_REPLAYS = Status.FAILED


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """How many rows went, or would go."""

    events: int = 0
    invocations: int = 0
    replays: int = 0
    # False: the time was over before the work was.
    complete: bool = True

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            events=self.events + other.events,
            invocations=self.invocations + other.invocations,
            replays=self.replays + other.replays,
            complete=self.complete and other.complete,
        )


def prune(
    *,
    seconds: float | None = None,
    on_batch: Callable[[Pruned], object] = lambda pruned: None,
) -> Pruned:
    """Delete what is older than RETENTION allows; what went.

    ``seconds``: begins no batch after them. ``on_batch`` is told after each what went so far.
    """
    started = time.monotonic()
    pruned = Pruned()
    # A batch of each in turn: a big backlog of one does not keep the others waiting.
    turns = list(_batches(timezone.now()))
    while turns:
        for batches in list(turns):
            if seconds is not None and time.monotonic() - started >= seconds:
                return pruned + Pruned(complete=False)
            batch = next(batches, None)
            if batch is None:
                turns.remove(batches)
            else:
                pruned += batch
                on_batch(pruned)
                let_others_write(router.db_for_write(Event))
    return pruned


def count_prunable() -> Pruned:
    """What ``prune`` would delete now."""
    now = timezone.now()
    events, of_events = 0, Q(pk__in=[])
    cutoff = _cutoff("events", now)
    if cutoff is not None:
        waits = Invocation.objects.primary().filter(event=OuterRef("pk")).exclude(_finished())
        prunable = _old_events(cutoff).filter(~Exists(waits))
        events = prunable.count()
        of_events = Q(Exists(prunable.filter(pk=OuterRef("event_id"))))
    invocations = Invocation.objects.primary().filter(of_events).count()
    for status in _FINISHED:
        cutoff = _cutoff(status, now)
        if cutoff is not None:
            invocations += _old_invocations(status, cutoff).exclude(of_events).count()
    cutoff = _cutoff(_REPLAYS, now)
    old = _old_replays(cutoff).values_list("pk", "webhook_id") if cutoff is not None else ()
    replays = _over(old, router.db_for_write(Invocation))
    return Pruned(events=events, invocations=invocations, replays=len(replays))


def _batches(now: datetime) -> Iterator[Iterator[Pruned]]:
    for status in _FINISHED:
        cutoff = _cutoff(status, now)
        if cutoff is not None:
            yield _prune_invocations(status, cutoff)
    cutoff = _cutoff("events", now)
    if cutoff is not None:
        yield _prune_events(cutoff)
    cutoff = _cutoff(_REPLAYS, now)
    if cutoff is not None:
        yield _prune_replays(cutoff)


def _cutoff(key: str, now: datetime) -> datetime | None:
    days = conf.retention[key]
    return None if days is None else now - timedelta(days=days)


def _finished() -> Q:
    return Q(status__in=_FINISHED)


def _old_invocations(status: Status, cutoff: datetime) -> PrimaryQuerySet[Invocation]:
    return Invocation.objects.primary().filter(status=status, finished_at__lt=cutoff)


def _old_events(cutoff: datetime) -> EventQuerySet[Event]:
    return Event.objects.primary().filter(created_at__lt=cutoff, fanned_out_at__isnull=False)


def _prune_invocations(status: Status, cutoff: datetime) -> Iterator[Pruned]:
    """A batch each time. Their events stay."""
    old = _old_invocations(status, cutoff)
    # The next batch is looked for where this one ended: what was deleted before is still in the
    # index, and would be read again and again.
    after = Q()
    while True:
        with _batch(Invocation) as using:
            candidates = _free(old.filter(after), using).order_by("finished_at")
            rows = list(candidates.values_list("pk", "finished_at")[:BATCH])
            _delete_invocations([pk for pk, _at in rows], using)
        if rows:
            yield Pruned(invocations=len(rows))
        if len(rows) < BATCH:
            return
        after = Q(finished_at__gte=rows[-1][1])


def _prune_events(cutoff: datetime) -> Iterator[Pruned]:
    """A batch each time, with the events' invocations before them."""
    old = _old_events(cutoff)
    after = Q()
    while True:
        with _batch(Event) as using:
            # Whoever gives an old event another attempt must hold the event, too: on PostgreSQL
            # foreign keys are looked at by the commit only, which would fail.
            candidates = _free(old.filter(after), using).order_by("created_at", "id")
            rows = list(candidates.values_list("pk", "created_at")[:BATCH])
            ids, invocations = _without_waiting([pk for pk, _at in rows], using)
            _delete_invocations(invocations, using)
            Event.objects.using(using).filter(pk__in=ids)._prune()
        if rows:
            yield Pruned(events=len(ids), invocations=len(invocations))
        if len(rows) < BATCH:
            return
        pk, at = rows[-1]
        # Those that must stay are not looked at again.
        after = Q(created_at__gte=at) & (Q(created_at__gt=at) | Q(pk__gt=pk))


def _old_replays(cutoff: datetime) -> PrimaryQuerySet[Replay]:
    ended = Replay.objects.primary().exclude(status=ReplayStatus.RUNNING)
    return ended.filter(finished_at__lt=cutoff)


def _over(replays: Iterable[tuple[int, uuid.UUID | None]], using: str) -> list[int]:
    """Of these, with their webhooks, the ones of which nothing waits: they can be cancelled until
    then. Asked only where there are any, since it reads all that waits for their webhooks."""
    webhooks = dict(replays)
    if not webhooks:
        return []
    rows = Invocation.objects.using(using).filter(
        webhook__in=set(webhooks.values()), status=Status.PENDING, replay__in=list(webhooks)
    )
    waiting = set(rows.order_by().values_list("replay_id", flat=True).distinct())
    return [pk for pk in webhooks if pk not in waiting]


def _prune_replays(cutoff: datetime) -> Iterator[Pruned]:
    """A batch each time. Their attempts stay."""
    after = Q()
    while True:
        with _batch(Replay) as using:
            candidates = _free(_old_replays(cutoff).filter(after), using).order_by("pk")
            rows = list(candidates.values_list("pk", "webhook_id")[:BATCH])
            ids = _over(rows, using)
            Replay.objects.using(using).filter(pk__in=ids)._raw_delete(using)
        if rows:
            yield Pruned(replays=len(ids))
        if len(rows) < BATCH:
            return
        after = Q(pk__gt=rows[-1][0])


def _without_waiting(events: list[int], using: str) -> tuple[list[int], list[int]]:
    """Of locked events those that wait for nothing, and their invocations, locked too."""
    of_event = Invocation.objects.using(using).filter(event__in=events)
    rows = list(of_event.values_list("pk", "event_id", "status"))
    finished = [pk for pk, _event, status in rows if status in _FINISHED]
    mine = set(
        _free(of_event.filter(pk__in=finished), using).order_by().values_list("pk", flat=True)
    )
    kept = {event for pk, event, _status in rows if pk not in mine}
    return (
        [event for event in events if event not in kept],
        [pk for pk, event, _status in rows if event not in kept],
    )


def _delete_invocations(ids: list[int], using: str) -> None:
    # Not ``delete()``, which would read whole rows where a host listens to every deletion.
    Invocation.objects.using(using).filter(pk__in=ids)._raw_delete(using)


@contextmanager
def _batch(model: type[Model]) -> Iterator[str]:
    """A transaction that may write, and the database's alias."""
    using = router.db_for_write(model)
    with transaction.atomic(using=using):
        take_write_lock(connections[using], model)
        yield using


def _free(rows: QuerySet[M], using: str) -> QuerySet[M]:
    """The rows that nobody else holds; without such locks in the database nobody else writes."""
    return locked(rows, using, skip_held=True, for_delete=True)

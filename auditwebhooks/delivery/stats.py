"""How webhooks' deliveries went, and what waits for them: a few indexed queries."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db.models import Count, IntegerField, Q, Value

from auditwebhooks.delivery import count_cache
from auditwebhooks.delivery.count_cache import Span
from auditwebhooks.delivery.hours import spans
from auditwebhooks.enums import Outcome, Status, Trigger
from auditwebhooks.models import Invocation
from auditwebhooks.querysets import PrimaryQuerySet
from auditwebhooks.rows import pages

WINDOW = timedelta(hours=24)

# Durations are taken of so many of the latest attempts: sorting a day's would take seconds.
SAMPLE = 1000

# Webhooks asked about in one statement.
_AT_ONCE = 100

_OPEN = (Status.PENDING, Status.SENDING)

# Of which attempts the success rate is made, and how many there are of each.
_OfRate = tuple[int, int]
_OF_RATE = {
    "succeeded": Count(Value(1), filter=Q(status=Status.SUCCEEDED)),
    "ended": Count(
        Value(1),
        filter=Q(status__in=(Status.SUCCEEDED, Status.FAILED)) & ~Q(outcome=Outcome.CANCELLED),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Attempts are those that began in the last ``hours``; tests do not count."""

    hours: int
    by_status: dict[str, int]
    by_outcome: dict[str, int]
    # Succeeded, of those that came to an end; None: none did.
    success_rate: float | None
    # What waits or is being sent.
    backlog: int
    # Seconds since the first of what waits was due, 0 before that; None: nothing waits.
    oldest_pending_age: float | None
    # Milliseconds, of the latest attempts; None: none was made.
    duration_ms_p50: int | None
    duration_ms_p95: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """Of ``Stats`` what a list of webhooks shows."""

    success_rate: float | None
    backlog: int


def stats_of(webhook_id: uuid.UUID, now: datetime) -> Stats:
    theirs = Invocation.objects.filter(webhook=webhook_id)
    attempts = _attempts(theirs, now)
    # Rows and not keys are counted: PostgreSQL's indexes do not hold the key.
    grouped = attempts.order_by().values_list("status", "outcome")
    rows = list(grouped.annotate(number=Count("*"), **_OF_RATE))
    durations = _durations(attempts)
    return Stats(
        hours=WINDOW // timedelta(hours=1),
        by_status=_sums((status, number) for status, _outcome, number, *_of_rate in rows),
        by_outcome=_sums((outcome, number) for _, outcome, number, *_of_rate in rows if outcome),
        success_rate=_rate(
            sum(succeeded for *_group, succeeded, _ended in rows),
            sum(ended for *_group, ended in rows),
        ),
        backlog=theirs.filter(status__in=_OPEN).count(),
        oldest_pending_age=_age(theirs, now),
        duration_ms_p50=percentile(durations, 50),
        duration_ms_p95=percentile(durations, 95),
    )


def glances(webhook_ids: Collection[uuid.UUID], now: datetime) -> dict[uuid.UUID, Glance]:
    """Of each of the webhooks, by two queries for every hundred of them."""
    counts: dict[uuid.UUID, _OfRate] = {}
    for some in pages(webhook_ids, _AT_ONCE):
        counts |= _counted(some, now)
    waiting = backlogs(webhook_ids)
    return {
        one: Glance(success_rate=_rate(*counts[one]), backlog=waiting.get(one, 0))
        for one in webhook_ids
    }


def backlogs(webhook_ids: Collection[uuid.UUID]) -> dict[uuid.UUID, int]:
    """What waits or is being sent, of the webhooks that have any."""
    found: dict[uuid.UUID, int] = {}
    for some in pages(webhook_ids, _AT_ONCE):
        theirs = Invocation.objects.filter(webhook__in=some, status__in=_OPEN).order_by()
        found |= dict(theirs.values_list("webhook_id").annotate(number=Count("*")))
    return found


def _counted(webhook_ids: Collection[uuid.UUID], now: datetime) -> dict[uuid.UUID, _OfRate]:
    """Of the whole hours in the window, and of what is before them in it."""
    ids, whole = sorted(webhook_ids), spans(now)
    window = [Span(now - WINDOW, whole[0].start), *whole]
    question = " ".join(["rates", *(one.hex for one in ids)])
    using = Invocation.objects.db
    found = count_cache.counts(question, using, window, now, partial(_of_spans, ids))
    numbers = iter(map(sum, zip(*found, strict=True)))
    return {one: (next(numbers), next(numbers)) for one in ids}


def _of_spans(webhook_ids: Sequence[uuid.UUID], spans: Sequence[Span]) -> list[count_cache.Count]:
    """Of each span the numbers of one webhook after the other."""
    theirs = Invocation.objects.filter(webhook__in=webhook_ids).exclude(trigger=Trigger.TEST)
    # Each span is a range of the index for each webhook. Asked for a day in one, PostgreSQL would
    # find them to be most of the table and read all of it; not grouped by more, for which SQLite
    # would sort.
    first, *others = (
        theirs.filter(started_at__gte=start, started_at__lt=end)
        .order_by()
        .values_list(Value(slot, output_field=IntegerField()), "webhook_id")
        .annotate(**_OF_RATE)
        for slot, (start, end) in enumerate(spans)
    )
    rows = first.union(*others, all=True)
    counted = {(slot, one): of_rate for slot, one, *of_rate in rows}
    return [
        tuple(number for one in webhook_ids for number in counted.get((slot, one), (0, 0)))
        for slot in range(len(spans))
    ]


def kept_and_waiting(webhook_ids: Collection[uuid.UUID]) -> tuple[int, int]:
    """How many attempts of these webhooks stay when the webhooks are deleted, and how many of
    them wait."""
    theirs = Invocation.objects.filter(webhook__in=webhook_ids)
    return theirs.count(), theirs.filter(status=Status.PENDING).count()


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """By nearest rank: a value that was measured."""
    if not ordered:
        return None
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)]


def _attempts(theirs: PrimaryQuerySet[Invocation], now: datetime) -> PrimaryQuerySet[Invocation]:
    return theirs.filter(started_at__gte=now - WINDOW).exclude(trigger=Trigger.TEST)


def _sums(pairs: Iterable[tuple[str, int]]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for name, number in pairs:
        sums[name] += number
    return dict(sums)


def _rate(succeeded: int, ended: int) -> float | None:
    return round(succeeded / ended, 4) if ended else None


def _age(theirs: PrimaryQuerySet[Invocation], now: datetime) -> float | None:
    pending = theirs.filter(status=Status.PENDING).order_by("due_at", "id")
    due = pending.values_list("due_at", flat=True).first()
    return None if due is None else round(max((now - due).total_seconds(), 0), 3)


def _durations(attempts: PrimaryQuerySet[Invocation]) -> list[int]:
    """In order; an attempt that made no call has none."""
    called = attempts.filter(duration_ms__gt=0).order_by("-started_at")
    latest = called.values_list("duration_ms", flat=True)[:SAMPLE]
    return sorted(one for one in latest if one is not None)

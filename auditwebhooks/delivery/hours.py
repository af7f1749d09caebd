"""What happened in each of the last hours: one statement each, answered by an index alone, for
what is not kept of them.

Each span is a range of the index. Grouping by the hour would compute it for each row, on SQLite
in Python.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db.models import Count, IntegerField, QuerySet, Value
from django.utils import timezone

from auditwebhooks.delivery import count_cache
from auditwebhooks.delivery.count_cache import HOUR, Span
from auditwebhooks.enums import Outcome, Status, Trigger
from auditwebhooks.models import Event, Invocation

HOURS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """Of each hour; tests and what was cancelled do not count."""

    succeeded: list[int]
    failed: list[int]


def hours(now: datetime) -> list[datetime]:
    """The beginnings of the last hours in the viewer's zone, the present one with them."""
    local = timezone.localtime(now) if timezone.is_aware(now) else now
    begun = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return [now - begun - HOUR * back for back in reversed(range(HOURS))]


def spans(now: datetime) -> list[Span]:
    return [Span(start, start + HOUR) for start in hours(now)]


def events_by_hour(now: datetime) -> list[int]:
    """How many were recorded."""
    using = Event.objects.db
    return [number for (number,) in count_cache.counts("events", using, spans(now), now, _events)]


def deliveries_by_hour(now: datetime) -> Deliveries:
    """Attempts of all webhooks by the hour in which they ended."""
    using = Invocation.objects.db
    return _deliveries(count_cache.counts("deliveries", using, spans(now), now, _ended))


def attempts_by_hour(webhook_id: uuid.UUID, now: datetime) -> Deliveries:
    """Of one webhook by the hour in which they began."""
    question, using = f"attempts {webhook_id}", Invocation.objects.db
    began = partial(_began, webhook_id)
    return _deliveries(count_cache.counts(question, using, spans(now), now, began))


def _events(spans: Sequence[Span]) -> list[count_cache.Count]:
    counted = _count(
        Event.objects.filter(created_at__gte=start, created_at__lt=end).values(slot=_number(slot))
        for slot, (start, end) in enumerate(spans)
    )
    return [(counted.get((slot,), 0),) for slot in range(len(spans))]


def _ended(spans: Sequence[Span]) -> list[count_cache.Count]:
    ended = _that_count(Invocation.objects.all())
    counted = _count(
        ended.filter(status=status, finished_at__gte=start, finished_at__lt=end).values(
            "status", slot=_number(slot)
        )
        for slot, (start, end) in enumerate(spans)
        for status in (Status.SUCCEEDED, Status.FAILED)
    )
    return _pairs(counted, len(spans))


def _began(webhook_id: uuid.UUID, spans: Sequence[Span]) -> list[count_cache.Count]:
    theirs = _that_count(Invocation.objects.filter(webhook=webhook_id))
    counted = _count(
        theirs.filter(started_at__gte=start, started_at__lt=end).values(
            "status", slot=_number(slot)
        )
        for slot, (start, end) in enumerate(spans)
    )
    return _pairs(counted, len(spans))


def _that_count(rows: QuerySet[Invocation]) -> QuerySet[Invocation]:
    return rows.exclude(trigger=Trigger.TEST).exclude(outcome=Outcome.CANCELLED)


def _number(slot: int) -> Value:
    return Value(slot, output_field=IntegerField())


def _count(parts: Iterable[QuerySet[Any, Any]]) -> dict[tuple[Any, ...], int]:
    # Not the keys: PostgreSQL would look for them in the rows.
    first, *others = (part.order_by().annotate(number=Count("*")) for part in parts)
    found = first.union(*others, all=True)
    return {_key(row): row["number"] for row in found}


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["slot"], row["status"]) if "status" in row else (row["slot"],)


def _pairs(counted: Mapping[tuple[Any, ...], int], slots: int) -> list[count_cache.Count]:
    return [
        (
            counted.get((slot, Status.SUCCEEDED.value), 0),
            counted.get((slot, Status.FAILED.value), 0),
        )
        for slot in range(slots)
    ]


def _deliveries(pairs: Iterable[count_cache.Count]) -> Deliveries:
    succeeded, failed = zip(*pairs, strict=True)
    return Deliveries(succeeded=list(succeeded), failed=list(failed))

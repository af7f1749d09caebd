"""What happened in each of the last hours: one statement each, answered by an index alone.

Each hour is a range of the index. Grouping by the hour would compute it for each row, on SQLite
in Python.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, IntegerField, QuerySet, Value
from django.utils import timezone

from auditwebhooks.enums import Outcome, Status, Trigger
from auditwebhooks.models import Event, Invocation

HOURS = 24

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Deliveries:
    """Of each hour; tests and what was cancelled do not count."""

    succeeded: list[int]
    failed: list[int]


def hours(now: datetime) -> list[datetime]:
    """The beginnings of the last hours in the viewer's zone, the present one with them."""
    local = timezone.localtime(now) if timezone.is_aware(now) else now
    begun = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return [now - begun - _HOUR * back for back in reversed(range(HOURS))]


def events_by_hour(starts: Sequence[datetime]) -> list[int]:
    """How many were recorded."""
    counted = _count(
        Event.objects.filter(created_at__gte=start, created_at__lt=start + _HOUR).values(
            slot=_number(slot)
        )
        for slot, start in enumerate(starts)
    )
    return [counted.get((slot,), 0) for slot in range(len(starts))]


def deliveries_by_hour(starts: Sequence[datetime]) -> Deliveries:
    """Attempts of all webhooks by the hour in which they ended."""
    ended = _that_count(Invocation.objects.all())
    counted = _count(
        ended.filter(status=status, finished_at__gte=start, finished_at__lt=start + _HOUR).values(
            "status", slot=_number(slot)
        )
        for slot, start in enumerate(starts)
        for status in (Status.SUCCEEDED, Status.FAILED)
    )
    return _deliveries(counted, len(starts))


def attempts_by_hour(webhook_id: uuid.UUID, starts: Sequence[datetime]) -> Deliveries:
    """Of one webhook by the hour in which they began."""
    theirs = _that_count(Invocation.objects.filter(webhook=webhook_id))
    counted = _count(
        theirs.filter(started_at__gte=start, started_at__lt=start + _HOUR).values(
            "status", slot=_number(slot)
        )
        for slot, start in enumerate(starts)
    )
    return _deliveries(counted, len(starts))


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


def _deliveries(counted: dict[tuple[Any, ...], int], slots: int) -> Deliveries:
    succeeded, failed = (
        [counted.get((slot, status), 0) for slot in range(slots)]
        for status in (Status.SUCCEEDED.value, Status.FAILED.value)
    )
    return Deliveries(succeeded=succeeded, failed=failed)

"""From events to invocations: one pending row for each webhook that collects the event.

Events are found by ``fanned_out_at``, never by an id above a mark: ids commit out of order.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache, partial

from django.db import connections, router, transaction
from django.db.models import Max
from django.utils import timezone

from auditwebhooks.delivery.line import order_key
from auditwebhooks.enums import Trigger
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.querysets import Among
from auditwebhooks.rows import locked, take_write_lock
from auditwebhooks.statements import Row, columns_of, insert_rows

BATCH = 500


def fan_out(limit: int = BATCH, *, look_first: bool = True) -> int:
    """Give the oldest waiting events their invocations; how many events were done.

    ``look_first``: without a lock; False saves the question where there will be some.
    """
    using = router.db_for_write(Event)
    waiting = Event.objects.using(using).filter(fanned_out_at__isnull=True)
    if look_first and not waiting.exists():
        return 0
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Event)
        # Not skipped but waited for: the rows of later events must not be there before those of
        # earlier ones.
        ordered = waiting.order_by("fanned_out_at", "id").only(*_READ)
        events = list(locked(ordered, using)[:limit])
        if not events:
            return 0
        now = _after_all_before(using)
        insert_rows(Invocation, _rows(events, using, now), using)
        done = [event.pk for event in events]
        Event.objects.using(using).filter(Among("pk", done)).update(fanned_out_at=now)
    return len(events)


# Clocks that differ by more are broken, and not followed.
_CLOCKS_DIFFER = timedelta(seconds=10)


def _after_all_before(using: str) -> datetime:
    """Now, but not before what was fanned out last, by the clock of another machine: what is due
    first is sent first."""
    now = timezone.now()
    last = Event.objects.using(using).aggregate(last=Max("fanned_out_at"))["last"]
    return last if last and now < last < now + _CLOCKS_DIFFER else now


# What it takes to tell who gets an event, and in which order.
_READ = ("id", "event_type", "created_at", "target_type", "target_id")


def _rows(events: Sequence[Event], using: str, now: datetime) -> list[Row]:
    """The rows of the first attempts, as the database driver takes them."""
    # Not only the active ones: an event belongs to those that were active when it was recorded.
    webhooks = list(
        Webhook.objects.using(using).only("id", "name", "event_types", "active_periods")
    )
    blank = columns_of(Invocation(trigger=Trigger.EVENT, created_at=now, due_at=now), using)
    as_stored = partial(Webhook._meta.pk.get_db_prep_save, connection=connections[using])
    blanks = [
        (webhook, {**blank, "webhook_id": as_stored(webhook.pk), "webhook_name": webhook.name})
        for webhook in webhooks
    ]
    return [
        tuple({**blank, "event_id": event.pk, "order_key": key}.values())
        for event, key in ((event, order_key(event)) for event in events)
        for webhook, blank in blanks
        if webhook.was_collecting(event.created_at)
        and matches(event.event_type, webhook.event_types)
    ]


def matches(event_type: str, patterns: Sequence[str]) -> bool:
    """Whether an event passes a webhook's filter; ``*`` stands for any text, no filter for all."""
    return not patterns or any(_matches(event_type, pattern) for pattern in patterns)


@lru_cache(maxsize=4096)
def _matches(text: str, pattern: str) -> bool:
    """In one pass: a regular expression with many ``.*`` could take for ever."""
    first, *middle = pattern.split("*")
    if not middle:
        return text == pattern
    last = middle.pop()
    if not text.startswith(first) or not text[len(first) :].endswith(last):
        return False
    start, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True

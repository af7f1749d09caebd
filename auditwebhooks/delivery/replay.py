"""Replay: a webhook gets recorded events once more, or those that it never got.

The rows are made by the workers, in batches, each in one transaction with the cursor: a crash
neither loses nor doubles any, and the next look goes on. At most two batches wait at once, and
they stand in the line by the time at which they were queued: what waited before goes first, and a
new event waits for a thousand old ones at most.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connections, router, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy

from auditwebhooks import wake
from auditwebhooks.delivery.chain import first_attempt, hold
from auditwebhooks.delivery.line import order_key
from auditwebhooks.delivery.selection import Selection, count, unsent
from auditwebhooks.enums import ReplayStatus, Status, Trigger
from auditwebhooks.models import Event, Invocation, Replay, Webhook
from auditwebhooks.rows import locked, take_write_lock

# How many rows a step makes, and how many events it looks at for them.
BATCH = 500
PAGE = 1000

CANCELLED = gettext_lazy("The replay was cancelled.")


def would_send(webhook: Webhook, selection: Selection) -> int:
    """How many events a replay of the selection would send now."""
    return count(selection, webhook, router.db_for_write(Event))


def start(webhook: Webhook, selection: Selection, requested_by: str) -> Replay:
    """Have the workers send the selected events."""
    using = router.db_for_write(Replay)
    with transaction.atomic(using=using):
        replay = Replay.objects.using(using).create(
            webhook=webhook,
            webhook_name=webhook.name,
            since=selection.since,
            until=selection.until,
            event_types=list(selection.event_types),
            only_failed=selection.only_failed,
            requested_by=requested_by[: Replay._meta.get_field("requested_by").max_length],
            count=would_send(webhook, selection),
        )
        wake.ring_after_commit(using)
    return replay


def cancel(replay: Replay) -> int | None:
    """End the replay and what waits of it; how many attempts that were. None: it had ended, and
    nothing waited. What is being sent is sent. The given object is brought up to date."""
    using = router.db_for_write(Replay)
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Replay)
        # Not skipped but waited for: a step that runs now ends first.
        present = locked(Replay.objects.using(using).filter(pk=replay.pk), using).get()
        waiting = Invocation.objects.using(using).filter(
            webhook=present.webhook_id, status=Status.PENDING, replay=present
        )
        ended = waiting.cancel(CANCELLED)
        is_cancelled = ended > 0 or present.status == ReplayStatus.RUNNING
        if is_cancelled:
            _end(present, ReplayStatus.CANCELLED)
            present.save(using=using, update_fields=["status", "finished_at"])
    replay.status, replay.finished_at = present.status, present.finished_at
    return ended if is_cancelled else None


def is_due() -> bool:
    """Whether a step would do anything now."""
    return bool(_ready())


def step() -> int:
    """Queue the next batch of every replay that may go on; how many events were looked at."""
    return sum(_step(pk) for pk in _ready())


def _ready() -> list[int]:
    """The running replays whose last batch but one is on its way; of each webhook the oldest,
    so that two of them never queue one event."""
    running = Replay.objects.primary().filter(status=ReplayStatus.RUNNING).order_by("id")
    oldest: dict[object, Replay] = {}
    for replay in running.only("id", "webhook_id", "previous_batch_end"):
        oldest.setdefault(replay.webhook_id or replay.pk, replay)
    return [replay.pk for replay in oldest.values() if not _is_full(replay)]


def _is_full(replay: Replay) -> bool:
    """Rows are claimed in their order: the last of a batch tells of the whole."""
    if replay.previous_batch_end is None:
        return False
    end = Invocation.objects.primary().filter(pk=replay.previous_batch_end)
    return end.filter(status=Status.PENDING).exists()


def _step(pk: int) -> int:
    using = router.db_for_write(Replay)
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Replay)
        mine: QuerySet[Replay] = Replay.objects.using(using).filter(pk=pk)
        replay = locked(mine, using, skip_held=True).first()
        if replay is None or replay.status != ReplayStatus.RUNNING or _is_full(replay):
            # Another worker has it, or was here before.
            return 0
        if replay.webhook is None:
            _end(replay, ReplayStatus.CANCELLED)
            looked_at = 0
        else:
            looked_at = _queue_batch(replay, replay.webhook, using)
        replay.save(using=using)
    return looked_at


def _queue_batch(replay: Replay, webhook: Webhook, using: str) -> int:
    selection = Selection(
        since=replay.since,
        until=replay.until,
        event_types=replay.event_types,
        only_failed=replay.only_failed,
    )
    page = _page(replay, selection, using)
    matching = [event.pk for event in page if selection.takes(event.event_type, webhook)]
    events = Event.objects.using(using).filter(pk__in=matching)
    wanted = set(unsent(events, selection, webhook, using).values_list("pk", flat=True))
    present = hold(wanted, using)
    chosen = [event for event in page if event.pk in present][:BATCH]
    if chosen:
        _insert(replay, webhook, chosen, using)
    if len(present) > len(chosen):
        _move_to(replay, chosen[-1])
    elif page:
        _move_to(replay, page[-1])
    if len(page) < PAGE and len(present) == len(chosen):
        _end(replay, ReplayStatus.FINISHED)
    return len(page)


# What it takes to choose and to order.
_READ = ("id", "created_at", "event_type", "target_type", "target_id")


def _page(replay: Replay, selection: Selection, using: str) -> list[Event]:
    """The next events, by time and id: ids alone are not in the order of time."""
    events = selection.events(using)
    if replay.cursor_time is not None:
        beyond = Q(created_at__gt=replay.cursor_time) | Q(pk__gt=replay.cursor)
        events = events.filter(beyond, created_at__gte=replay.cursor_time)
    rows = events.order_by("created_at", "id").only(*_READ)
    return list(rows[:PAGE])


def _move_to(replay: Replay, event: Event) -> None:
    replay.cursor_time, replay.cursor = event.created_at, event.pk


def _insert(replay: Replay, webhook: Webhook, events: Sequence[Event], using: str) -> None:
    now = timezone.now()
    invocations = Invocation.objects.using(using)
    invocations.bulk_create(
        first_attempt(
            webhook,
            event.pk,
            trigger=Trigger.REPLAY,
            now=now,
            replay_id=replay.pk,
            order_key=order_key(event),
        )
        for event in events
    )
    replay.queued += len(events)
    replay.previous_batch_end = replay.batch_end
    # Not every database tells the keys of the rows that it was given. Nobody else queues for this
    # replay, but its retries may have been stored meanwhile.
    mine = invocations.filter(webhook=webhook, replay=replay, trigger=Trigger.REPLAY)
    latest = mine.order_by("-id")
    replay.batch_end = latest.values_list("pk", flat=True).first()


def _end(replay: Replay, status: ReplayStatus) -> None:
    replay.status = status
    replay.finished_at = timezone.now()

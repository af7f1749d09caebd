"""Waking a worker without flooding the broker.

A commit with events looks at slot 0 of the Wake table and calls a worker only where none runs and
none was called: ten thousand commits make one call. Every change of a slot is a compare-and-set,
and every state ends by itself, so a crash or a lost message costs seconds and no event.

Why nothing is missed: the event commits, then its committer reads the slot. Idle or expired: a run
starts after it. Pending: that run's acquire follows the read. Running: the release follows the
read, and the drain looks once more after its release (``delivery.drain``).
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from weakref import WeakKeyDictionary

from django.db import IntegrityError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Max
from django.utils import timezone

from auditwebhooks import queue
from auditwebhooks.conf import conf
from auditwebhooks.enums import WakeState
from auditwebhooks.models import Wake
from auditwebhooks.querysets import PrimaryQuerySet
from auditwebhooks.rows import WriterHook, look_at_row

logger = logging.getLogger(__name__)

DRAIN_TASK = "auditwebhooks.tasks.drain"

# A drain takes new work for so long, then hands over, so that the host's tasks get their turn.
DRAIN_SECONDS = 20

BELL = 0

# How long a worker that was called may take to come, and a running one to say that it lives.
_PENDING_FOR = timedelta(seconds=5)
RUNNING_FOR = timedelta(seconds=10)

# No state lasts as long: the clock was wrong when it was written.
_NEVER = timedelta(minutes=2)


@dataclass(slots=True)
class _Rung:
    """For one connection: events recorded, and how many of them the last ring covered."""

    recorded: int = 0
    covered: int = 0


_rung: WeakKeyDictionary[BaseDatabaseWrapper, _Rung] = WeakKeyDictionary()


def ring_after_commit(using: str) -> None:
    """Ring when the present transaction commits; call it for each event, once it is written.

    The callback must be registered for every event (a savepoint that is rolled back takes its
    callbacks along), but of those that run only the first has something to do.
    """
    connection = connections[using]
    if not (connection.in_atomic_block or connection.get_autocommit()):
        # The host commits by hand, and Django tells nobody: the sweep finds the event.
        return
    rung = _rung.get(connection)
    if rung is None:
        rung = _rung[connection] = _Rung()
    rung.recorded += 1
    connection.on_commit(WriterHook(_ring_once, rung), robust=True)


def _ring_once(rung: _Rung) -> None:
    if rung.covered != rung.recorded:
        rung.covered = rung.recorded
        ring()


def ring() -> None:
    """Call a worker unless one is on its way. Never raises: the sweep finds what is left."""
    if not (conf.enabled and conf.send) or queue.is_sync():
        return
    try:
        if call(BELL):
            queue.enqueue(DRAIN_TASK, timeout=longest_run())
    except Exception:
        logger.exception("No worker could be woken; the next change or the sweep tries again.")


def longest_run() -> int:
    """Seconds that a drain task may last: its own time, the calls in flight, and a margin."""
    return DRAIN_SECONDS + conf.max_timeout + 30


def call(slot: int) -> bool:
    """Mark the slot as called. False where a worker runs, was called, or someone was faster."""
    held = _read(slot)
    if held is None:
        return _create(slot, WakeState.PENDING, _new_token(), _PENDING_FOR)
    if held.is_live:
        return False
    return _swap(slot, held, WakeState.PENDING, _new_token(), _PENDING_FOR)


def last_seen() -> datetime | None:
    """When a worker was last there; None: never."""
    last: datetime | None = Wake.objects.primary().aggregate(last=Max("seen_at"))["last"]
    return last


def acquire(slots: range) -> Slot | None:
    """Run in the first of the slots that no live run holds; None when all are taken."""
    for slot in slots:
        held = _read(slot)
        token = _new_token()
        if held is None:
            won = _create(slot, WakeState.RUNNING, token, RUNNING_FOR)
        elif held.state == WakeState.RUNNING and held.is_live:
            won = False
        else:
            won = _swap(slot, held, WakeState.RUNNING, token, RUNNING_FOR)
        if won:
            return Slot(number=slot, token=token)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A slot that this process runs in."""

    number: int
    token: str

    def renew(self) -> bool:
        """Say that the run lives. False when the slot was lost to another."""
        now = timezone.now()
        return bool(self._mine().update(until=now + RUNNING_FOR, seen_at=now))

    def release(self) -> None:
        now = timezone.now()
        self._mine().update(state=WakeState.IDLE, until=now, seen_at=now)

    def _mine(self) -> PrimaryQuerySet[Wake]:
        return Wake.objects.primary().filter(
            slot=self.number, token=self.token, state=WakeState.RUNNING
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    state: str
    token: str
    is_live: bool


def _read(slot: int) -> _Held | None:
    row = look_at_row(Wake, ("state", "token", "until"), slot, router.db_for_write(Wake))
    if row is None:
        return None
    now = timezone.now()
    live = row["state"] != WakeState.IDLE and now < row["until"] < now + _NEVER
    return _Held(state=row["state"], token=row["token"], is_live=live)


def _create(slot: int, state: WakeState, token: str, lasts: timedelta) -> bool:
    try:
        with transaction.atomic(using=router.db_for_write(Wake)):
            Wake.objects.primary().create(slot=slot, **_values(state, token, lasts))
    except IntegrityError:
        return False
    return True


def _swap(slot: int, held: _Held, state: WakeState, token: str, lasts: timedelta) -> bool:
    unchanged = Wake.objects.primary().filter(slot=slot, token=held.token, state=held.state)
    return bool(unchanged.update(**_values(state, token, lasts)))


def _values(state: WakeState, token: str, lasts: timedelta) -> dict[str, Any]:
    now = timezone.now()
    values = {"state": state, "token": token, "until": now + lasts}
    # Only a worker runs; whoever calls one has not seen any.
    return {**values, "seen_at": now} if state == WakeState.RUNNING else values


def _new_token() -> str:
    return uuid.uuid4().hex

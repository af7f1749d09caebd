"""A worker's turn: take a free slot, drain, hand over."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from django.db import InterfaceError, OperationalError

from auditwebhooks import queue, wake
from auditwebhooks.conf import conf
from auditwebhooks.delivery.drain import Drain, is_due

logger = logging.getLogger(__name__)

# The leader stays so long after the last work: the next commit need not call anybody.
LINGER = 1.2

# What is due so soon is waited for: the first retry comes after five seconds.
PATIENCE = timedelta(seconds=6)


def take_turn() -> int:
    """Drain for at most DRAIN_SECONDS in a free slot; how many attempts were made.

    The slot's holder is the leader and stays a little; the others help while there is a backlog.
    """
    slot = wake.acquire(range(conf.drainers))
    if slot is None:
        return 0
    made = 0
    until = time.monotonic() + wake.DRAIN_SECONDS
    with Drain() as drain:
        while slot is not None:
            leads = slot.number == wake.BELL
            made += drain.run(
                seconds=max(until - time.monotonic(), 0),
                linger=LINGER if leads else 0,
                patience=PATIENCE if leads else timedelta(0),
                keep=lambda backlog, slot=slot: _keep(slot, backlog),  # type: ignore[misc]
            )
            slot = _hand_over(slot, time_is_over=time.monotonic() >= until)
        made += drain.finish()
    return made


def _keep(slot: wake.Slot, backlog: bool) -> bool:
    if not slot.renew():
        return False
    if backlog and slot.number == wake.BELL:
        call_helpers()
    return True


def call_helpers() -> None:
    """Have the free slots taken while there is more than one drain can do."""
    for number in range(1, conf.drainers):
        if wake.call(number):
            queue.enqueue(wake.DRAIN_TASK, timeout=wake.longest_run())


def _hand_over(slot: wake.Slot, *, time_is_over: bool) -> wake.Slot | None:
    """Where the database fails, the slot ends by itself and a sweep looks; what is in flight is
    still to be stored."""
    try:
        slot.release()
        return _after_release(slot.number == wake.BELL, time_is_over)
    except (InterfaceError, OperationalError):
        logger.warning("The database failed; a slot was not handed over.", exc_info=True)
        return None


def _after_release(leads: bool, time_is_over: bool) -> wake.Slot | None:
    """The look after the release: an event that was committed while the slot was still held has
    called nobody. Take the slot again for it, or have another worker take it."""
    if not leads or not is_due(within=PATIENCE if time_is_over else timedelta(0)):
        return None
    if time_is_over:
        wake.ring()
        return None
    return wake.acquire(range(1))

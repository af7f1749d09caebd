"""What the queue's workers run. No arguments, nothing returned, nothing raised: rows hold the
state, and a task that raises would be kept by the queue with its traceback."""

from __future__ import annotations

import logging

from auditwebhooks import retention
from auditwebhooks.delivery.turn import take_turn

logger = logging.getLogger(__name__)


def drain() -> None:
    try:
        take_turn()
    except Exception:
        logger.exception("A drain ended early; what it held is due again when its lease ends.")


def sweep() -> None:
    """Finds what nobody was woken for."""
    drain()


def prune() -> None:
    try:
        retention.prune(seconds=retention.RUN_SECONDS)
    except Exception:
        logger.exception("Pruning ended early; it goes on the next time.")

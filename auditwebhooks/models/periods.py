"""When a webhook was collecting events. Pure.

An event belongs to the webhooks that were active when it was recorded, but it may be fanned out
much later: with the worker down, a person can switch a webhook off and on again in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache

# [since, until] as ISO 8601 text; until is None while the period is open.
StoredPeriod = list[str | None]

# Older periods are forgotten; by then their events have been fanned out.
_MOST = 50


class ActivePeriods:
    def __init__(self, stored: Iterable[StoredPeriod]) -> None:
        self.stored: list[StoredPeriod] = [list(period) for period in stored]

    @property
    def is_open(self) -> bool:
        return bool(self.stored) and self.stored[-1][1] is None

    def open(self, now: datetime) -> None:
        """Collect from now on; nothing changes while a period is open."""
        if not self.is_open:
            self.stored = [*self.stored[1 - _MOST :], [now.isoformat(), None]]

    def close(self, now: datetime) -> None:
        if self.is_open:
            self.stored[-1][1] = now.isoformat()

    def contain(self, moment: datetime) -> bool:
        return any(
            _moment(str(since)) <= moment and (until is None or moment < _moment(until))
            for since, until in self.stored
        )


# A fan-out asks for the same few for each event.
_moment = lru_cache(maxsize=1024)(datetime.fromisoformat)

"""One call's bounds: a deadline from resolving to the last byte, and a limit for the head of the
response; and how long each phase took.

Sockets and connections are made deep inside the libraries, so the call that a thread is making is
kept in a ContextVar: ``present()``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http.client import IncompleteRead

from auditwebhooks.enums import Phase
from auditwebhooks.exceptions import LongHeadError

# Bytes of status lines and headers, interim responses included. http.client alone would keep
# a hundred lines of 64 KiB.
HEAD_LIMIT = 64 * 1024


class Call:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        # What the call is busy with; on a kept connection it begins with the waiting.
        self.phase = Phase.WAIT
        self._started = self._entered = time.monotonic()
        self._head = 0
        self._took: dict[Phase, float] = {}

    def enter(self, phase: Phase) -> None:
        now = time.monotonic()
        self._took[self.phase] = self._took.get(self.phase, 0.0) + now - self._entered
        self.phase, self._entered = phase, now

    def left(self) -> float:
        """Seconds until the deadline, above 0. Raises TimeoutError when it has passed."""
        left = self._started + self.seconds - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    def count(self, received: int) -> None:
        """So many bytes came in, 0 at the end of the stream.

        Raises LongHeadError when the head does not end, and IncompleteRead when it ends in its
        middle, which http.client takes for a whole one.
        """
        if self.phase is Phase.READ:
            return
        self._head += received
        if self._head > HEAD_LIMIT:
            raise LongHeadError
        if self._head and not received:
            raise IncompleteRead(b"")

    def timings(self) -> dict[str, float]:
        """Phase -> milliseconds, the present phase included."""
        self.enter(self.phase)
        return {phase.value: round(took * 1000, 1) for phase, took in self._took.items()}

    @property
    def duration_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)


_present: ContextVar[Call] = ContextVar("auditwebhooks_call")


def present() -> Call:
    """The call that this thread is making."""
    return _present.get()


def is_calling() -> bool:
    return _present.get(None) is not None


@contextmanager
def calling(seconds: float) -> Iterator[Call]:
    """A call begins, and is the present one inside the block."""
    token = _present.set(call := Call(seconds))
    try:
        yield call
    finally:
        _present.reset(token)

"""What ends the demo from outside: Ctrl-C and its relatives, and the time limit of a check."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from project.demo.errors import DemoError, StoppedError


class Stopping:
    """Signals as a flag, so that nothing is torn out of the middle of its work."""

    def __init__(self) -> None:
        self._asked = False

    def listen(self) -> None:
        """From now on the signals only set the flag."""
        signal.signal(signal.SIGINT, self._ask)
        signal.signal(signal.SIGTERM, self._ask)
        # nohup has it ignored, and that must stay so.
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            signal.signal(signal.SIGHUP, self._ask)

    def check(self) -> None:
        """Raises StoppedError when the demo was asked to end."""
        if self._asked:
            raise StoppedError

    def _ask(self, *args: object) -> None:
        self._asked = True


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises DemoError wherever the block is after so many seconds."""

    def end(*args: object) -> None:
        raise DemoError(f"It took longer than {seconds:.0f} seconds and was ended.")

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

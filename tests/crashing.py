"""An app for processes that are to be killed: with -9, once, right after a step of a delivery.

It patches the package from outside. CRASH names the step, CRASH_MARKER a file that the process
which dies makes, so that it happens once. Without CRASH it only shortens what a test would wait
for.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.apps import AppConfig

# In the process that makes a change; after the first two it leaves nothing.
WRITING = ("update", "event", "commit", "called", "wake")


def die() -> None:
    """The first that comes here is gone, without a word."""
    try:
        os.close(os.open(os.environ["CRASH_MARKER"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: Any, name: str) -> None:
    function = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        die()
        return function(*args, **kwargs)

    setattr(owner, name, wrapped)


def after(owner: Any, name: str, *, did_something: Callable[[Any], Any] = bool) -> None:
    """``did_something``: told by what the call gave."""
    function = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if did_something(result):
            die()
        return result

    setattr(owner, name, wrapped)


def always(result: Any) -> bool:
    return True


def _steps() -> dict[str, Callable[[], None]]:
    from auditwebhooks import queue, wake
    from auditwebhooks.capture import subject
    from auditwebhooks.delivery import calls, claim, drain, fanout, health, store, turn
    from auditwebhooks.transport.client import _GuardedHTTPConnection

    return {
        # In the process that makes the change.
        "update": lambda: before(subject, "insert_all"),
        "event": lambda: after(subject, "insert_all", did_something=always),
        "commit": lambda: before(wake, "ring"),
        "called": lambda: before(queue, "enqueue"),
        "wake": lambda: after(queue, "enqueue", did_something=always),
        # In the process that delivers.
        "fan-out begun": lambda: after(fanout, "insert_rows"),
        "fan-out": lambda: after(drain, "fan_out"),
        "claim": lambda: after(claim, "claim"),
        "probe": lambda: after(claim, "begin_probe"),
        "request": lambda: before(_GuardedHTTPConnection, "getresponse"),
        "response": lambda: after(calls, "_attempt"),
        "result begun": lambda: after(store, "update_rows", did_something=always),
        "result": lambda: after(drain, "store", did_something=always),
        "retry begun": lambda: before(health, "note"),
        "retry": lambda: after(drain, "store", did_something=always),
        "end": lambda: before(turn, "_after_release"),
    }


def shorten() -> None:
    """Leases, calls for a worker, and pauses that end soon."""
    from auditwebhooks import wake
    from auditwebhooks.delivery import breaker, claim

    breaker.OVER = breaker.FIRST_PAUSE = timedelta(seconds=1)
    breaker.LONGEST_PAUSE = timedelta(seconds=4)
    claim.lease = lambda webhook: timedelta(seconds=2)
    wake._PENDING_FOR = timedelta(seconds=1)
    wake.RUNNING_FOR = timedelta(seconds=2)


class Crashing(AppConfig):
    name = "tests.crashing"

    def ready(self) -> None:
        shorten()
        step = os.environ.get("CRASH")
        if step:
            _steps()[step]()

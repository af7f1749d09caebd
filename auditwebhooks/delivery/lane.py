"""One webhook in a drain: its configuration, its connections, and the rows that are held for it.

A slow receiver keeps its lane busy and no other.
"""

from __future__ import annotations

import time
from concurrent.futures import Future

from auditwebhooks.conf import conf
from auditwebhooks.delivery.line import Line
from auditwebhooks.delivery.reschedule import stops
from auditwebhooks.delivery.send import Result, Sender
from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.retry import is_outage
from auditwebhooks.transport.client import Client

# A lane holds about so many seconds of its own work: at least two rows for each of its calls.
_SECONDS = 0.5
_MOST = 512
# The rate of a lane is taken over so many seconds.
_RATE_OVER = 0.1
# A call that takes longer is a slow one.
_SLOW_MS = 1000

# A receiver that failed so often in a row rests before its next call, longer each time: until the
# breaker opens, one that refuses at once would take the time of all others.
_FAILURES = 5
_REST = 0.1
_LONGEST_REST = 1.0


class Lane:
    """One webhook: its configuration, its connections, and the rows claimed for it."""

    def __init__(self, webhook: Webhook, *, is_slow: bool, is_failing: bool) -> None:
        self.configure(webhook)
        # Its last call took long, or found nobody.
        self.is_slow = is_slow
        # Found nobody.
        self.is_failing = is_failing
        # When rows were looked for last, of a slow one.
        self.filled_at = 0.0
        self._failures = 0
        self._rests_until = 0.0
        # Whose result, once it is stored, holds the webhook.
        self._stopped_by: int | None = None
        self.waiting = Line()
        # Calls that threads make now, or will, by the keys of their rows.
        self.calls: dict[int, Future[None]] = {}
        # Started and not stored yet.
        self.unsettled: set[int] = set()
        self._rate = 0.0
        self._rated_at = self._idle_since = time.monotonic()
        self._finished = 0

    def configure(self, webhook: Webhook) -> None:
        self._most = conf.per_webhook_concurrency
        self.sender = Sender(webhook, Client(connections=self._most))

    @property
    def webhook(self) -> Webhook:
        return self.sender.webhook

    @property
    def held(self) -> int:
        return len(self.waiting) + len(self.unsettled)

    @property
    def in_flight(self) -> int:
        return len(self.calls)

    def cancel_calls(self) -> list[int]:
        """Those that no thread has begun; the keys of their rows."""
        cancelled = [key for key, call in self.calls.items() if call.cancel()]
        for key in cancelled:
            del self.calls[key]
        return cancelled

    def put_back(self, invocation: Invocation) -> None:
        """It was not sent after all, and waits again."""
        self.unsettled.discard(invocation.pk)
        self.waiting.put_back(invocation)

    def room(self) -> int:
        """How many more rows to claim: few for a slow receiver, many for a fast one."""
        if self._is_resting:
            return 0
        least = 2 * self._most
        aim = max(min(int(self._rate * _SECONDS), _MOST), least)
        # Rows that wait for another of their target leave their places to others.
        busy = self.waiting.ready + len(self.unsettled)
        return min(aim - busy, _MOST - self.held) if busy <= aim // 2 else 0

    @property
    def may_start(self) -> bool:
        if self._is_resting:
            return False
        return bool(self.waiting.ready) and self.in_flight < self._most

    @property
    def _is_resting(self) -> bool:
        return self._stopped_by is not None or time.monotonic() < self._rests_until

    def judge(self, invocation: Invocation, result: Result) -> None:
        """How the call that ended now went. What holds the webhook holds it from now on: what
        follows would spend an attempt, or overtake a row that stays."""
        self.is_failing = is_outage(result.outcome, result.response_status)
        self.is_slow = self.is_failing or result.duration_ms > _SLOW_MS
        self._failures = self._failures + 1 if self.is_failing else 0
        if self._failures >= _FAILURES:
            rest = min((self._failures - _FAILURES + 1) * _REST, _LONGEST_REST)
            self._rests_until = time.monotonic() + rest
        if stops(result):
            self._stopped_by = invocation.pk

    def take(self, invocations: list[Invocation]) -> None:
        if not self.held:
            # Time without work says nothing of the receiver.
            self._rated_at += time.monotonic() - self._idle_since
        self.waiting.extend(invocations)

    def finish(self, invocation: Invocation) -> None:
        self.unsettled.discard(invocation.pk)
        if self._stopped_by == invocation.pk:
            self._stopped_by = None
        self._finished += 1
        now = self._idle_since = time.monotonic()
        if now - self._rated_at >= _RATE_OVER:
            self._rate = self._finished / (now - self._rated_at)
            self._rated_at, self._finished = now, 0

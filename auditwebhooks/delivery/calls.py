"""The threads of a drain: they make the calls of its lanes, and touch no database."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter

from django.utils import translation

from auditwebhooks.delivery.lane import Lane
from auditwebhooks.delivery.message import Message
from auditwebhooks.delivery.reschedule import Finished
from auditwebhooks.delivery.send import Result, Sender
from auditwebhooks.identifiers import message_id
from auditwebhooks.models import Invocation

# Results are stored together: so many, or what came within so many seconds.
_STORE_ROWS = 200
_STORE_EVERY = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    lane: Lane
    invocation: Invocation
    # What the lane was when the call began.
    is_slow: bool
    is_failing: bool


class Calls:
    """Whoever reads or changes what the lanes hold takes ``lock``."""

    def __init__(self, threads: int) -> None:
        self.lock = threading.Lock()
        self._threads = threads
        self._pool = ThreadPoolExecutor(
            threads, "auditwebhooks", initializer=translation.deactivate_all
        )
        self._finished: list[Finished] = []
        self._finished_since = 0.0
        # There are results for a whole statement, or no more can come.
        self._enough = threading.Event()
        # Calls that threads make now or will; those to slow receivers, and to failing ones.
        self._under_way = self._slow = self._failing = 0
        # Those of them that no thread has begun, by the key of their row: a model's own hash and
        # comparison are many lines of Python.
        self._unbegun: dict[int, _Call] = {}
        self._is_leaving = False

    def start(self, lanes: Iterable[Lane], *, is_partial: bool) -> None:
        """Hand to threads what may be sent. Slow lanes take turns, one call each, and together
        have half of the threads, of which those that fail have half: fifty dead receivers must
        leave room for one that answers, and for one that answers late.

        ``is_partial``: not all slow lanes were filled, so none gets a second call before another
        its first.
        """
        with self.lock:
            slow: deque[Lane] = deque()
            for lane in lanes:
                while lane.may_start and not lane.is_slow:
                    self._submit(lane)
                if lane.may_start and not (is_partial and lane.in_flight):
                    slow.append(lane)
            # Those that answer first, then those that have the fewest calls under way.
            slow = deque(sorted(slow, key=attrgetter("is_failing", "in_flight")))
            while slow and self._slow < max(self._threads // 2, 1):
                lane = slow.popleft()
                if lane.is_failing and self._failing >= max(self._threads // 4, 1):
                    continue
                self._submit(lane)
                if lane.may_start and not is_partial:
                    slow.append(lane)

    def _submit(self, lane: Lane) -> None:
        """Hand the lane's next row to a thread; the lock is held."""
        call = self._next(lane)
        self._unbegun[call.invocation.pk] = call
        lane.calls[call.invocation.pk] = self._pool.submit(self._make, call)

    def _next(self, lane: Lane) -> _Call:
        invocation = lane.waiting.pop()
        lane.unsettled.add(invocation.pk)
        self._under_way += 1
        self._slow += lane.is_slow
        self._failing += lane.is_failing
        return _Call(
            lane=lane, invocation=invocation, is_slow=lane.is_slow, is_failing=lane.is_failing
        )

    def _make(self, first: _Call) -> None:
        """In a thread: the call, and the lane's next one as long as no other lane waits for a
        thread. Each handing over of a thread costs as much as a tenth of a call."""
        call: _Call | None = first
        with self.lock:
            del self._unbegun[first.invocation.pk]
        while call is not None:
            sender = call.lane.sender
            result = _attempt(sender, call.invocation)
            finished = Finished(invocation=call.invocation, webhook=sender.webhook, result=result)
            with self.lock:
                call = self._end(call, finished)

    def _end(self, call: _Call, finished: Finished) -> _Call | None:
        """Note what the call came to; the one that this thread makes next."""
        lane, following = call.lane, None
        thread = lane.calls.pop(call.invocation.pk)
        lane.waiting.done(call.invocation)
        lane.judge(call.invocation, finished.result)
        self._under_way -= 1
        self._slow -= call.is_slow
        self._failing -= call.is_failing
        if not self._finished:
            self._finished_since = time.monotonic()
        self._finished.append(finished)
        if lane.may_start and not lane.is_slow and not self._is_leaving:
            if self._unbegun:
                # To the end of the line.
                self._submit(lane)
            else:
                following = self._next(lane)
                lane.calls[following.invocation.pk] = thread
        if len(self._finished) >= _STORE_ROWS or not self._under_way:
            self._enough.set()
        return following

    def wait(self, seconds: float) -> None:
        """Until there are results for a whole statement, or no more can come; at most so long."""
        if self._under_way or not self._finished:
            self._enough.wait(seconds)
        self._enough.clear()

    @property
    def are_worth_storing(self) -> bool:
        """Together it takes less time: others that come soon are waited for."""
        if len(self._finished) >= _STORE_ROWS or not self._under_way:
            return bool(self._finished)
        return time.monotonic() - self._finished_since >= _STORE_EVERY

    def results(self) -> list[Finished]:
        """What calls came to, the oldest first, until one says that it is ``stored``."""
        with self.lock:
            return self._finished[:_STORE_ROWS]

    def stored(self, results: Sequence[Finished]) -> None:
        with self.lock:
            del self._finished[: len(results)]
            self._finished_since = time.monotonic()

    def take_back(self, lane: Lane) -> list[Invocation]:
        """What no thread has begun of what the lane holds; it is the lane's no more."""
        with self.lock:
            for key in lane.cancel_calls():
                call = self._unbegun.pop(key)
                lane.put_back(call.invocation)
                self._under_way -= 1
                self._slow -= call.is_slow
                self._failing -= call.is_failing
            return lane.waiting.clear()

    def leave(self) -> None:
        """Threads begin no calls but those that they were handed: see ``take_back``."""
        with self.lock:
            self._is_leaving = True

    def end(self, *, wait: bool) -> None:
        """Without ``wait`` nobody stores what the calls come to, so no more of them are begun."""
        with self.lock:
            self._is_leaving = True
        self._pool.shutdown(wait=wait, cancel_futures=True)


def _attempt(sender: Sender, invocation: Invocation) -> Result:
    event = invocation.event
    assert event is not None  # noqa: S101 - only tests have none, and they are not queued
    message = Message(
        id=message_id(event.event_id, sender.webhook.pk),
        attempt=invocation.attempt,
        payload_text=event.payload_text,
    )
    return sender.attempt(message)

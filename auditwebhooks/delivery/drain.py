"""The engine: fans out, claims, has threads send, stores in batches.

One thread owns the database connection; the sending threads touch no database: see ``calls``. Each
webhook has a lane with its own connections and its own limit, so a slow receiver keeps its lane
busy and no other. What a drain holds is renewed while it lives and is given back when it leaves.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TypeVar

from django.db import IntegrityError, InterfaceError, OperationalError, connections, router
from django.utils import timezone

from auditwebhooks.conf import conf
from auditwebhooks.delivery import claim, replay
from auditwebhooks.delivery.calls import Calls
from auditwebhooks.delivery.fanout import BATCH, fan_out
from auditwebhooks.delivery.lane import Lane
from auditwebhooks.delivery.reschedule import Finished
from auditwebhooks.delivery.send import Result
from auditwebhooks.delivery.store import store
from auditwebhooks.enums import Outcome
from auditwebhooks.models import Event, Invocation, Webhook

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How often the tables are looked at while nothing is found.
LOOK_EVERY = 0.05
# Right after work more is likely: half of this is what a change waits on average.
_LOOK_SOON = 0.015
_SOON_FOR = 1.5
# The same while rows wait for threads: a look takes time from these.
_LOOK_LESS = 0.1
# How often leases and the state of webhooks are looked after.
_TEND_EVERY = 1.0
_HAND_MOST = 2048
# Of one look, for claims of webhooks whose receivers are slow or dead.
_SLOW_SECONDS = 0.01
# How long a database may fail before the run ends.
_TROUBLE_SECONDS = 15.0


class Drain:
    """Use as a context manager; ``run`` may be called again and again, ``finish`` ends it."""

    def __init__(self) -> None:
        self._token = uuid.uuid4().hex
        self._calls = Calls(conf.concurrency)
        # Since when the database fails; None while it works.
        self._trouble_since: float | None = None
        # A step failed, so rows may be claimed that nobody here knows of.
        self._is_unsure = False
        self._lanes: dict[uuid.UUID, Lane] = {}
        self._behind = False
        # Whoever is called is called for events, and after some there are often more.
        self._expects_events = True
        # Slow lanes were not all looked at: none gets a second call before another its first.
        self._is_partial = False
        self._looked_at = self._tended_at = 0.0

    def __enter__(self) -> Drain:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # After an error nobody stores what the calls come to.
        self._calls.end(wait=kind is None)
        for lane in self._lanes.values():
            lane.sender.client.close()

    def run(
        self,
        *,
        seconds: float | None = None,
        linger: float = 0.0,
        patience: timedelta = timedelta(0),
        keep: Callable[[bool], bool] = lambda backlog: True,
    ) -> int:
        """Work until nothing is due for ``linger`` seconds, or ``seconds`` are over.

        ``patience``: what is due so soon is waited for. ``keep`` is asked every second, and told
        whether more is due than is held here; False ends the run. Calls may still be in flight
        then: see ``finish``. Returns how many attempts were made.
        """
        made = 0
        started = last_found = last_work = time.monotonic()
        while True:
            found = self._is_time_to_look and self._try(self._look, False)
            if found:
                last_found = time.monotonic()
            # Calls that last, to receivers that hang, say nothing of what comes.
            is_soon = time.monotonic() - last_found < _SOON_FOR and not self._has_enough
            self._calls.wait(_LOOK_SOON if is_soon else LOOK_EVERY)
            if self._calls.are_worth_storing:
                made += self._try(self._store, 0)
            now = time.monotonic()
            if found or self._held:
                last_work = now
            if seconds is not None and now - started >= seconds:
                break
            # Before the end: what a dead worker held may be all there is to do.
            if not self._try(lambda: self._tend(keep), True):
                break
            is_idle = now - last_work >= linger and not self._held
            if is_idle and not self._try(lambda: is_due(within=patience), True):
                break
        return made

    def finish(self) -> int:
        """Give back what was not started, wait for what is in flight, and store it."""
        made = 0
        self._trouble_since = None
        self._calls.leave()
        for lane in self._lanes.values():
            self._try(partial(self._give_back, lane), None)
        while self._held or self._is_unsure:
            self._try(self._find_lost, None)
            self._calls.wait(_TEND_EVERY if self._held else 0)
            made += self._try(self._store, 0)
            self._try(self._renew, None)
        return made

    def _try(self, step: Callable[[], T], otherwise: T) -> T:
        """A step on the database. A deadlock, a restart, or a webhook that is deleted while it is
        given its rows costs a little time and no result: only trouble that lasts is raised, which
        ``_look`` sees the end of."""
        try:
            return step()
        except (IntegrityError, InterfaceError, OperationalError):
            now = time.monotonic()
            self._trouble_since = self._trouble_since or now
            self._is_unsure = True
            if now - self._trouble_since > _TROUBLE_SECONDS:
                raise
            logger.warning("The database failed; the step is tried again.", exc_info=True)
            connections[router.db_for_write(Invocation)].close_if_unusable_or_obsolete()
            time.sleep(LOOK_EVERY)
            return otherwise

    @property
    def _held(self) -> int:
        return sum(lane.held for lane in self._lanes.values())

    @property
    def _is_time_to_look(self) -> bool:
        return not self._has_enough or time.monotonic() - self._looked_at >= _LOOK_LESS

    def _look(self) -> bool:
        """Fan out what is new and claim what is due; whether there was any."""
        if not (conf.enabled and conf.send):
            return False
        self._looked_at = time.monotonic()
        self._find_lost()
        has_room = self._held < _HAND_MOST
        events = fan_out(look_first=not self._expects_events) if has_room else 0
        found = self._expects_events = events > 0
        self._behind = events == BATCH
        self._trouble_since = None
        now = timezone.now()
        lanes = [(due, self._lane(due)) for due in claim.due_webhooks(now)]
        slow: list[tuple[claim.DueWebhook, Lane]] = []
        for due, lane in lanes:
            if lane is None:
                continue
            if lane.is_slow:
                slow.append((due, lane))
            else:
                found = self._fill(due, lane, now) or found
        self._calls.start(self._lanes.values(), is_partial=self._is_partial)
        # A claim for each of fifty dead receivers takes a quarter of a second, in which nothing
        # would be begun for the others: the rest has its turn at the next look.
        until = time.monotonic() + _SLOW_SECONDS
        self._is_partial = False
        for due, lane in sorted(slow, key=lambda one: one[1].filled_at):
            if time.monotonic() > until:
                found = self._is_partial = True
                break
            found = self._fill(due, lane, now) or found
            lane.filled_at = time.monotonic()
        self._calls.start(self._lanes.values(), is_partial=self._is_partial)
        # Last, since a change that was just made waits for it; the next look claims these.
        replayed = replay.step() if has_room else 0
        return found or replayed > 0

    def _fill(self, due: claim.DueWebhook, lane: Lane, now: datetime) -> bool:
        """Claim what the lane has room for; whether there was any."""
        room = min(lane.room(), _HAND_MOST - self._held)
        in_minute = claim.room_in_minute(due, now)
        if in_minute is not None:
            room = min(room, in_minute)
        if due.is_probed:
            room = min(room, 1 - lane.held)
        if room <= 0:
            return False
        claimed = self._claim(due, lane, room, now)
        lane.take(claimed)
        self._behind = self._behind or (len(claimed) == room and not due.is_probed)
        return bool(claimed)

    def _find_lost(self) -> None:
        """Rows of a claim whose answer was lost, and those that could not be given back: nobody
        sends them, and what follows them must not go first."""
        if self._is_unsure:
            known = [pk for lane in self._lanes.values() for pk in self._ids(lane)]
            claim.give_back_others(known, self._token)
            self._is_unsure = False

    def _claim(
        self, due: claim.DueWebhook, lane: Lane, room: int, now: datetime
    ) -> list[Invocation]:
        webhook = lane.webhook
        with self._calls.lock:
            held = lane.waiting.count_by_key()
        # What was taken for lost while this worker stood still is its own again, and goes on.
        known = set(self._ids(lane))
        claimed = [
            one
            for one in claim.claim(webhook, room, now, self._token, held)
            if one.pk not in known
        ]
        if due.is_probed and claimed and not claim.begin_probe(due, webhook, claimed[0], now):
            claim.give_back([one.pk for one in claimed], self._token)
            return []
        return claimed

    def _lane(self, due: claim.DueWebhook) -> Lane | None:
        """The webhook's lane with its present configuration; None when it is gone."""
        lane = self._lanes.get(due.id)
        if lane is not None and lane.webhook.updated_at == due.updated_at:
            return lane
        webhook = Webhook.objects.primary().filter(pk=due.id).first()
        if webhook is None:
            return None
        if lane is None:
            lane = self._lanes[due.id] = Lane(
                webhook, is_slow=due.is_doubtful, is_failing=due.is_failing
            )
        else:
            lane.configure(webhook)
        return lane

    @property
    def _has_enough(self) -> bool:
        """Whether rows wait for threads: then looking for more takes time from them."""
        return any(lane.waiting.ready and not lane.is_slow for lane in self._lanes.values())

    def _store(self) -> int:
        results = self._calls.results()
        if not results:
            return 0
        stopped = store(results, self._token)
        self._calls.stored(results)
        with self._calls.lock:
            for one in results:
                self._lanes[one.webhook.pk].finish(one.invocation)
        for webhook_id in stopped:
            self._give_back(self._lanes[webhook_id])
        return len(results)

    def _tend(self, keep: Callable[[bool], bool]) -> bool:
        """Once a second: is the run still wanted, are the leases, are the webhooks still on?"""
        now = time.monotonic()
        if now - self._tended_at < _TEND_EVERY:
            return True
        self._tended_at = now
        self._renew()
        self._give_back_stopped()
        self._recover()
        return keep(self._behind)

    def _renew(self) -> None:
        """With one statement for all webhooks of the same timeout: a hundred receivers that hang
        must not hold up the others."""
        held: dict[timedelta, list[int]] = defaultdict(list)
        for lane in self._lanes.values():
            held[claim.lease(lane.webhook)] += self._ids(lane)
        for lease, ids in held.items():
            if ids:
                claim.renew(ids, self._token, lease)

    def _ids(self, lane: Lane) -> list[int]:
        with self._calls.lock:
            return [*lane.unsettled, *(invocation.pk for invocation in lane.waiting)]

    def _give_back_stopped(self) -> None:
        """A webhook that was switched off or paused meanwhile keeps what it has not sent; one that
        was changed gets it again, to be sent as it is now."""
        waiting = [key for key, lane in self._lanes.items() if lane.waiting or lane.calls]
        if not waiting:
            return
        on = Webhook.objects.primary().filter(claim.may_send(timezone.now()), pk__in=waiting)
        present = dict(on.values_list("pk", "updated_at"))
        for webhook_id in waiting:
            lane = self._lanes[webhook_id]
            if present.get(webhook_id) != lane.webhook.updated_at:
                self._give_back(lane)

    def _give_back(self, lane: Lane) -> None:
        ids = [invocation.pk for invocation in self._calls.take_back(lane)]
        if ids:
            claim.give_back(ids, self._token)

    def _recover(self) -> None:
        """What dead workers held is due again; what killed them again and again is ended."""
        now = timezone.now()
        recovered = claim.recover(now)
        if recovered:
            logger.warning("%d attempts of a worker that stopped are due again.", recovered)
        hopeless = claim.exhausted(now, self._token)
        if hopeless:
            store([_gave_up(invocation) for invocation in hopeless], self._token)


def is_due(*, within: timedelta = timedelta(0)) -> bool:
    """Whether there is anything to fan out or replay now, or to send by then."""
    if not (conf.enabled and conf.send):
        return False
    unseen = Event.objects.primary().filter(fanned_out_at__isnull=True)
    if unseen.exists() or replay.is_due():
        return True
    return bool(claim.due_webhooks(timezone.now() + within))


def _gave_up(invocation: Invocation) -> Finished:
    now = timezone.now()
    return Finished(
        invocation=invocation,
        webhook=invocation.webhook or Webhook(),
        result=Result(
            outcome=Outcome.ERROR,
            message=f"{invocation.claims} workers stopped while they were sending this.",
            started_at=invocation.started_at or now,
            finished_at=now,
        ),
    )

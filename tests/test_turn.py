"""A worker's turn: slots, handing over, helpers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.utils import timezone

from auditwebhooks import tasks, wake
from auditwebhooks.delivery import turn
from auditwebhooks.delivery.turn import take_turn
from auditwebhooks.models import Invocation, Wake
from tests.broker import empty, queued
from tests.conftest import Inbox
from tests.factories import make_event, make_webhook

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "LINGER", 0)
    monkeypatch.setattr(turn, "PATIENCE", timedelta(0))


def calls() -> int:
    return len(queued())


def test_a_turn_delivers_and_leaves_the_slot_free(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    make_event()

    assert take_turn() == 1

    assert Invocation.objects.get().status == "succeeded"
    assert Wake.objects.get(slot=0).state == "idle"


def test_a_task_runs_a_turn(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    for task in (tasks.drain, tasks.sweep):
        make_event()
        task()

    assert len(inbox.deliveries) == 2


def test_a_task_never_raises(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tasks, "take_turn", explode)
    tasks.drain()

    assert "A drain ended early" in caplog.text


def test_without_a_free_slot_nothing_is_done(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    make_event()
    holders = [wake.acquire(range(2)) for _ in range(2)]
    assert None not in holders

    assert take_turn() == 0
    assert inbox.deliveries == []


def test_beside_a_leader_a_turn_helps_in_the_next_slot(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    make_event()
    leader = wake.acquire(range(1))

    assert take_turn() == 1
    assert leader.renew()
    assert Wake.objects.get(slot=1).state == "idle"


def test_an_event_committed_during_the_release_is_not_missed(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_webhook(url=inbox.url)
    release = wake.Slot.release
    late = iter([True])

    def release_late(slot: wake.Slot) -> None:
        # Its committer saw the slot running, and called nobody.
        if next(late, False):
            make_event()
        release(slot)

    monkeypatch.setattr(wake.Slot, "release", release_late)
    take_turn()

    assert len(inbox.deliveries) == 1


def test_a_slot_that_cannot_be_released_costs_no_result(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(slot: wake.Slot) -> None:
        raise OperationalError("terminating connection due to administrator command")

    monkeypatch.setattr(wake, "DRAIN_SECONDS", 0)
    monkeypatch.setattr(wake.Slot, "release", fail)
    make_webhook(url=inbox.url)
    make_event()

    assert take_turn() == 1

    assert list(Invocation.objects.values_list("status", flat=True)) == ["succeeded"]


def test_when_its_time_is_over_a_turn_calls_the_next(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wake, "DRAIN_SECONDS", 0)
    make_webhook(url=inbox.url, max_per_minute=1)
    empty()
    Wake.objects.all().delete()
    for _ in range(3):
        make_event()

    take_turn()

    assert calls() == 1
    assert Wake.objects.get(slot=0).state == "pending"


def test_with_nothing_left_nobody_is_called(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    make_event()
    empty()
    Wake.objects.all().delete()

    take_turn()

    assert calls() == 0


def test_helpers_are_called_for_the_free_slots_once(configure: Any) -> None:
    configure(DRAINERS=3)
    turn.call_helpers()
    turn.call_helpers()

    assert calls() == 2
    assert set(Wake.objects.values_list("slot", "state")) == {(1, "pending"), (2, "pending")}


def test_a_leader_that_lost_its_slot_stops_taking_work() -> None:
    lost = wake.acquire(range(1))
    Wake.objects.update(until=timezone.now() - timedelta(seconds=1))
    present = wake.acquire(range(1))

    assert turn._keep(lost, backlog=True) is False
    assert turn._keep(present, backlog=False) is True
    assert calls() == 0

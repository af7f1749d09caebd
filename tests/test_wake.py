"""Waking a worker: one call for many commits, and none that is missed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.conf import Conf

from auditwebhooks import queue, wake
from auditwebhooks.models import Event, Wake
from tests.broker import empty, queued
from tests.testapp.models import Article

pytestmark = pytest.mark.django_db(transaction=True)


def calls() -> list[str]:
    return [task["func"] for task in queued()]


def age(slot: int = wake.BELL) -> None:
    """The slot's state is believed no more."""
    Wake.objects.filter(slot=slot).update(until=timezone.now() - timedelta(seconds=1))


def test_a_commit_calls_a_worker() -> None:
    Article.objects.create(title="Hello")

    assert calls() == ["auditwebhooks.tasks.drain"]


def test_a_burst_of_commits_calls_once() -> None:
    for number in range(50):
        Article.objects.create(title=str(number))

    assert Event.objects.count() == 50
    assert len(calls()) == 1


def test_one_transaction_looks_at_the_slot_once() -> None:
    Article.objects.create(title="The call is made")
    with CaptureQueriesContext(connection) as queries, transaction.atomic():
        for number in range(20):
            Article.objects.create(title=str(number))

    looks = [query for query in queries.captured_queries if "auditwebhooks_wake" in query["sql"]]
    assert len(looks) == 1


def test_nobody_is_called_for_what_was_rolled_back() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Article.objects.create(title="Never")
        raise ZeroDivisionError

    assert calls() == []


def test_a_rolled_back_savepoint_does_not_swallow_the_call() -> None:
    with transaction.atomic():
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            Article.objects.create(title="Never")
            raise ZeroDivisionError
        Article.objects.create(title="Kept")

    assert len(calls()) == 1


def test_the_call_is_repeated_when_nobody_came() -> None:
    Article.objects.create(title="Lost message")
    empty()
    age()
    Article.objects.create(title="Next")

    assert len(calls()) == 1


def test_nobody_is_called_while_a_worker_runs() -> None:
    slot = wake.acquire(range(1))
    Article.objects.create(title="The worker sees it")
    assert calls() == []

    slot.release()
    Article.objects.create(title="Now it is gone")
    assert len(calls()) == 1


def test_a_dead_worker_is_replaced_when_its_time_is_over() -> None:
    wake.acquire(range(1))
    age()
    Article.objects.create(title="Hello")

    assert len(calls()) == 1


def test_a_dead_worker_whose_clock_was_ahead_is_replaced() -> None:
    """Else nothing would be delivered until the time that its clock had."""
    wake.acquire(range(1))
    Wake.objects.update(until=timezone.now() + timedelta(hours=5))
    Article.objects.create(title="Hello")

    assert len(calls()) == 1
    assert wake.acquire(range(1)) is not None


def test_a_slot_is_held_by_one() -> None:
    first = wake.acquire(range(2))
    second = wake.acquire(range(2))

    assert (first.number, second.number) == (0, 1)
    assert wake.acquire(range(2)) is None


def test_a_called_slot_can_be_acquired_and_a_running_one_cannot_be_called() -> None:
    assert wake.call(0) is True
    assert wake.call(0) is False
    assert wake.acquire(range(1)) is not None
    assert wake.call(0) is False


def test_a_holder_that_was_replaced_notices() -> None:
    first = wake.acquire(range(1))
    assert first.renew() is True
    age()
    second = wake.acquire(range(1))

    assert first.renew() is False
    first.release()
    assert Wake.objects.get().state == "running"
    assert second.renew() is True


def test_of_two_that_saw_the_same_state_one_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wake.call(0)
    age()
    seen = wake._read(0)
    monkeypatch.setattr(wake, "_read", lambda slot: seen)

    assert [wake.call(0), wake.call(0)] == [True, False]


def test_two_first_calls_make_one_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wake, "_read", lambda slot: None)

    assert [wake.call(0), wake.call(0)] == [True, False]


def test_a_broker_that_fails_never_breaks_the_commit(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*args: object, **kwargs: object) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(queue, "enqueue", explode)
    Article.objects.create(title="Hello")

    assert Event.objects.count() == 1
    assert "No worker could be woken" in caplog.text


def test_sync_sends_nothing_inside_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "SYNC", True)
    Article.objects.create(title="Hello")

    assert calls() == []
    assert Event.objects.get().fanned_out_at is None


@pytest.mark.parametrize("key", ["SEND", "ENABLED"])
def test_nobody_is_called_while_sending_is_off(configure: Any, key: str) -> None:
    configure(**{key: False})
    wake.ring()

    assert calls() == []

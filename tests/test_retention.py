"""What RETENTION says is old enough goes, and nothing that waits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from auditwebhooks import retention, rows, tasks
from auditwebhooks.models import Event, Invocation, Replay, Webhook
from auditwebhooks.retention import Pruned, count_prunable, prune
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PAUSE", 0)


def days_ago(days: float) -> datetime:
    return timezone.now() - timedelta(days=days)


@pytest.fixture
def webhook() -> Webhook:
    webhook = make_webhook()
    # Of its own making there is an event, too.
    QuerySet(Event).all().delete()
    return webhook


@pytest.fixture
def keep(configure: Callable[..., None]) -> Callable[..., None]:
    def keep(**days: int | None) -> None:
        configure(RETENTION={"events": None, "succeeded": None, "failed": None, **days})

    return keep


def old_event(days: float = 100, **overrides: Any) -> Event:
    at = days_ago(days)
    return make_event(**{"created_at": at, "fanned_out_at": at, **overrides})


def finished(webhook: Webhook, status: str, days: float, **overrides: Any) -> Invocation:
    at = days_ago(days)
    return make_invocation(
        webhook, status=status, finished_at=at, started_at=at, created_at=at, **overrides
    )


def test_attempts_go_by_how_they_ended_and_when(webhook: Webhook) -> None:
    finished(webhook, "succeeded", 31)
    finished(webhook, "failed", 91)
    kept = [finished(webhook, "succeeded", 29), finished(webhook, "failed", 89)]
    kept.append(make_invocation(webhook, created_at=days_ago(500), due_at=days_ago(500)))

    assert prune() == Pruned(invocations=2)

    assert set(Invocation.objects.all()) == set(kept)
    assert Event.objects.count() == 5, "by default events are kept for ever"


def test_tests_go_like_other_attempts(webhook: Webhook) -> None:
    finished(webhook, "succeeded", 31, trigger="test", event=None)
    finished(webhook, "failed", 31, trigger="test", event=None)

    assert prune() == Pruned(invocations=1)


def test_none_keeps_for_ever(webhook: Webhook, keep: Callable[..., None]) -> None:
    keep()
    finished(webhook, "succeeded", 5000, event=old_event(5000))

    assert prune() == count_prunable() == Pruned()


def test_events_go_with_their_attempts(webhook: Webhook, keep: Callable[..., None]) -> None:
    keep(events=99)
    event, young = old_event(), old_event(98)
    for status in ("succeeded", "failed"):
        finished(webhook, status, 1, event=event)
        finished(webhook, status, 1, event=young)
    old_event()

    assert count_prunable() == Pruned(events=2, invocations=2)
    assert prune() == Pruned(events=2, invocations=2)

    assert list(Event.objects.all()) == [young]
    assert Invocation.objects.count() == 2


def test_what_waits_is_kept_with_all_that_belongs_to_it(
    webhook: Webhook, keep: Callable[..., None]
) -> None:
    keep(events=1)
    for status in ("pending", "sending"):
        event = old_event()
        finished(webhook, "failed", 50, event=event)
        make_invocation(make_webhook(), event=event, status=status)
    old_event(fanned_out_at=None)

    assert prune() == count_prunable() == Pruned()

    assert Event.objects.filter(created_at__lt=days_ago(1)).count() == 3
    assert Invocation.objects.count() == 4


def test_an_attempt_that_is_old_enough_goes_though_another_waits(webhook: Webhook) -> None:
    event = old_event()
    finished(webhook, "failed", 91, event=event)
    waiting = make_invocation(webhook, event=event)

    assert prune() == Pruned(invocations=1)
    assert list(Invocation.objects.all()) == [waiting]


def replayed(webhook: Webhook, days: float | None, status: str = "finished") -> Replay:
    return Replay.objects.create(
        webhook=webhook,
        webhook_name=webhook.name,
        since=days_ago(500),
        until=days_ago(400),
        requested_by="op",
        status=status,
        finished_at=None if days is None else days_ago(days),
    )


def test_replays_go_as_failed_attempts_do(webhook: Webhook, keep: Callable[..., None]) -> None:
    keep(failed=90)
    gone = [replayed(webhook, 91), replayed(webhook, 91, "cancelled")]
    young, running, waited_for = (
        replayed(webhook, 89),
        replayed(webhook, None, "running"),
        replayed(webhook, 91),
    )
    waiting = make_invocation(webhook, replay=waited_for, trigger="replay")
    done = finished(webhook, "succeeded", 1, replay=gone[0], trigger="replay")

    assert count_prunable() == prune() == Pruned(replays=2)

    assert set(Replay.objects.all()) == {young, running, waited_for}
    assert set(Invocation.objects.all()) == {waiting, done}


def test_the_backlog_is_not_read_where_no_replay_is_old(
    webhook: Webhook, keep: Callable[..., None]
) -> None:
    """A million rows may wait, and this is asked for every hour."""
    keep(failed=90)
    replayed(webhook, 89)

    with CaptureQueriesContext(connection) as queries:
        assert count_prunable() == prune() == Pruned()

    assert not [one["sql"] for one in queries if "replay_id" in one["sql"]]


def test_replays_are_kept_for_ever_where_failed_attempts_are(
    webhook: Webhook, keep: Callable[..., None]
) -> None:
    keep()
    replayed(webhook, 5000)

    assert count_prunable() == prune() == Pruned()


def test_many_replays_go_in_batches(
    webhook: Webhook, keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    keep(failed=90)
    for _ in range(5):
        replayed(webhook, 91)
    told: list[Pruned] = []

    assert prune(on_batch=told.append) == Pruned(replays=5)
    assert [one.replays for one in told] == [2, 4, 5]


def test_batches_get_to_the_end_past_what_is_kept(
    webhook: Webhook, keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    keep(events=99, succeeded=30)
    same_moment = days_ago(100)
    for number in range(20):
        event = old_event(created_at=same_moment) if number < 10 else old_event()
        if number % 4 == 0:
            make_invocation(webhook, event=event)
        else:
            finished(webhook, "succeeded", 40, event=event)
    young = old_event(1)
    for number in range(7):
        finished(webhook, "succeeded", 50 + number % 2, event=young)

    assert count_prunable() == Pruned(events=15, invocations=22)
    assert prune() == Pruned(events=15, invocations=22)
    assert Event.objects.count() == 6
    assert Invocation.objects.count() == 5
    assert prune() == Pruned()


def test_a_batch_takes_the_same_number_of_statements_for_any_number_of_rows(
    webhook: Webhook, keep: Callable[..., None]
) -> None:
    keep(events=99, succeeded=30)

    def statements(count: int) -> int:
        for _ in range(count):
            finished(webhook, "succeeded", 1, event=old_event())
            finished(webhook, "succeeded", 40)
        with CaptureQueriesContext(connection) as queries:
            assert prune() == Pruned(events=count, invocations=2 * count)
        return len(queries)

    assert statements(2) == statements(40) <= 14


def test_it_ends_in_time_and_goes_on_the_next_time(
    webhook: Webhook, keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 1)
    keep(events=99, succeeded=30)
    for _ in range(5):
        finished(webhook, "succeeded", 31)
        old_event()
    told: list[Pruned] = []
    seconds = iter(range(100))
    monkeypatch.setattr(retention.time, "monotonic", lambda: next(seconds))

    assert prune(seconds=5, on_batch=told.append) == Pruned(
        events=2, invocations=2, complete=False
    )
    # In turn, so that neither waits for the end of the other.
    assert told[:3] == [
        Pruned(invocations=1),
        Pruned(invocations=1, events=1),
        Pruned(invocations=2, events=1),
    ]
    assert prune() == Pruned(events=3, invocations=3)


def test_no_signal_is_sent_and_no_event_made(
    webhook: Webhook, keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(events=99)
    finished(webhook, "succeeded", 1, event=old_event())
    with CaptureQueriesContext(connection) as queries:
        prune()

    assert Event.objects.count() == 0
    read = [one["sql"] for one in queries if one["sql"].startswith("SELECT")]
    assert not any("payload_text" in sql or "request_body" in sql for sql in read)


def test_the_task_prunes_for_a_minute_at_most_and_never_raises(
    webhook: Webhook, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    finished(webhook, "succeeded", 31)
    tasks.prune()
    assert not Invocation.objects.exists()

    asked: list[float] = []

    def explode(seconds: float) -> None:
        asked.append(seconds)
        raise ZeroDivisionError

    monkeypatch.setattr(retention, "prune", explode)
    tasks.prune()
    assert asked == [60]
    assert "Pruning ended early" in caplog.text


@pytest.mark.django_db(transaction=True)
class TestBesideOthers:
    def in_thread(self, function: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                function()
            finally:
                connections.close_all()

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def test_several_runs_delete_everything_once(
        self, webhook: Webhook, keep: Callable[..., None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(retention, "BATCH", 5)
        keep(events=99, succeeded=30)
        for _ in range(30):
            finished(webhook, "succeeded", 31)
            finished(webhook, "failed", 1, event=old_event())
        results: list[Pruned] = []
        threads = [self.in_thread(lambda: results.append(prune())) for _ in range(3)]
        for thread in threads:
            thread.join(60)
        results.append(prune())

        assert sum(one.events for one in results) == 30
        assert sum(one.invocations for one in results) == 60
        assert Event.objects.count() == 30

    def test_what_others_hold_is_left_and_not_waited_for(
        self, webhook: Webhook, keep: Callable[..., None]
    ) -> None:
        if not connection.features.has_select_for_update_skip_locked:
            pytest.skip("only databases with row locks")
        keep(events=99, succeeded=30)
        free, held, half_held = old_event(), old_event(), old_event()
        old_attempt = finished(webhook, "succeeded", 31)
        finished(webhook, "succeeded", 1, event=half_held)
        last = finished(webhook, "failed", 1, event=half_held)
        results: list[Pruned] = []
        with transaction.atomic():
            list(Event.objects.select_for_update().filter(pk=held.pk))
            list(Invocation.objects.select_for_update().filter(pk__in=[old_attempt.pk, last.pk]))
            self.in_thread(lambda: results.append(prune())).join(20)

        assert results == [Pruned(events=1)]
        assert not Event.objects.filter(pk=free.pk).exists()
        assert prune() == Pruned(events=2, invocations=3)

    def test_an_event_that_is_given_another_attempt_is_kept(
        self, webhook: Webhook, keep: Callable[..., None]
    ) -> None:
        if not connection.features.has_select_for_update_skip_locked:
            pytest.skip("only databases with row locks")
        keep(events=99)
        event = old_event()
        results: list[Pruned] = []
        with transaction.atomic():
            # PostgreSQL looks for the event at the commit only, so it must be held until then.
            make_invocation(webhook, event=Event.objects.select_for_update().get(pk=event.pk))
            self.in_thread(lambda: results.append(prune())).join(20)

        assert results == [Pruned()]
        assert Event.objects.get() == event

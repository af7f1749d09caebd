"""Replay: recorded events go to a webhook once more."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.utils import timezone

from auditwebhooks import wake
from auditwebhooks.delivery import drain, replay
from auditwebhooks.delivery.drain import Drain
from auditwebhooks.delivery.selection import Selection
from auditwebhooks.identifiers import message_id
from auditwebhooks.models import Event, Invocation, Replay, Webhook
from auditwebhooks.querysets import InvocationQuerySet
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def selection(**overrides: Any) -> Selection:
    now = timezone.now()
    values = {"since": now - HOUR, "until": now + HOUR, "event_types": ["testapp.*"]}
    return Selection(**{**values, **overrides})


def old_event(**overrides: Any) -> Event:
    """One that was fanned out before the webhook was there."""
    return make_event(**{"fanned_out_at": timezone.now(), **overrides})


def queued(webhook: Webhook) -> list[int]:
    rows = Invocation.objects.filter(webhook=webhook, trigger="replay").order_by("id")
    return [pk for pk in rows.values_list("event_id", flat=True) if pk is not None]


def run(webhook: Webhook, chosen: Selection | None = None) -> Replay:
    """Start one, and step until it makes no more."""
    started = replay.start(webhook, chosen or selection(), "ada@example.com")
    while replay.step():
        pass
    started.refresh_from_db()
    return started


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "BATCH", 2)
    monkeypatch.setattr(replay, "PAGE", 4)


def test_events_from_before_the_webhook_are_queued() -> None:
    events = [old_event() for _ in range(3)]
    webhook = make_webhook()

    done = run(webhook)

    assert queued(webhook) == [event.pk for event in events]
    assert (done.status, done.count, done.queued) == ("finished", 3, 3)
    assert (done.webhook_name, done.requested_by) == (webhook.name, "ada@example.com")
    assert done.finished_at is not None
    row = Invocation.objects.filter(trigger="replay")[0]
    assert (row.attempt, row.status, row.replay_id) == (1, "pending", done.pk)
    assert row.due_at <= timezone.now()


def test_they_arrive_under_the_same_webhook_id(inbox: Inbox) -> None:
    event = old_event()
    webhook = make_webhook(url=inbox.url)
    replay.start(webhook, selection(), "ada")
    assert drain.is_due()

    with Drain() as engine:
        engine.run()
        engine.finish()

    [delivery] = inbox.deliveries
    assert delivery.headers["webhook-id"] == message_id(event.event_id, webhook.pk)
    assert Replay.objects.get().status == "finished"
    assert not drain.is_due()


def test_a_worker_is_woken_after_the_commit(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[bool] = []
    monkeypatch.setattr(wake, "ring", lambda: rung.append(True))
    webhook = make_webhook()

    with django_capture_on_commit_callbacks(execute=True):
        replay.start(webhook, selection(), "ada")
        assert rung == []
    assert rung == [True]


@pytest.mark.parametrize("only_failed", [False, True])
def test_the_range_begins_with_since_and_ends_before_until(only_failed: bool) -> None:
    at = datetime(2026, 11, 1, tzinfo=timezone.get_current_timezone())
    webhook = make_webhook()
    times = (at - HOUR, at, at + HOUR, at + 2 * HOUR)
    events = [old_event(created_at=moment) for moment in times]
    chosen = selection(since=at, until=at + 2 * HOUR, only_failed=only_failed)

    assert replay.would_send(webhook, chosen) == 2
    run(webhook, chosen)

    assert queued(webhook) == [events[1].pk, events[2].pk]


def test_the_patterns_of_the_replay_and_of_the_webhook_both_hold() -> None:
    webhook = make_webhook(event_types=["testapp.*", "own.*"])
    types = ("testapp.article.updated", "testapp.article.deleted", "auth.user.updated", "own.x")
    by_type = {name: old_event(event_type=name) for name in types}
    chosen = selection(event_types=["*.updated", "own.*"])

    assert replay.would_send(webhook, chosen) == 2
    run(webhook, chosen)

    assert queued(webhook) == [by_type[types[0]].pk, by_type["own.x"].pk]


# Statuses of the event's invocations, oldest first; whether a replay of all sends it, and one of
# what failed.
HISTORIES = [
    ((), True, True),
    (("failed",), True, True),
    (("succeeded",), True, False),
    (("failed", "succeeded"), True, False),
    (("succeeded", "failed"), True, True),
    (("failed", "pending"), False, False),
    (("pending", "failed"), False, False),
    (("succeeded", "sending"), False, False),
]


@pytest.mark.parametrize(("history", "of_all", "of_failed"), HISTORIES)
def test_what_waits_is_never_doubled(
    history: tuple[str, ...], of_all: bool, of_failed: bool
) -> None:
    webhook, other = make_webhook(), make_webhook()
    event = old_event()
    for status in history:
        make_invocation(webhook, event=event, status=status)
    # Another webhook's say nothing.
    make_invocation(other, event=event, status="pending")
    make_invocation(other, event=event, status="succeeded")

    for only_failed, sent in ((False, of_all), (True, of_failed)):
        assert replay.would_send(webhook, selection(only_failed=only_failed)) == int(sent)
    run(webhook, selection(only_failed=True))
    assert queued(webhook) == ([event.pk] if of_failed else [])
    run(webhook)
    assert queued(webhook) == ([event.pk] if of_all else [])


def test_an_event_on_its_way_to_the_webhook_is_not_doubled() -> None:
    before = make_event()
    webhook = make_webhook()
    make_event()

    assert replay.would_send(webhook, selection()) == 1
    run(webhook)

    assert queued(webhook) == [before.pk]


def test_an_event_of_a_time_when_it_was_off_is_sent() -> None:
    webhook = make_webhook()
    webhook.active = False
    webhook.save()
    missed = make_event()
    webhook.active = True
    webhook.save()

    run(webhook)

    assert queued(webhook) == [missed.pk]


def test_what_was_recorded_while_sending_was_off_is_sent(configure: Any) -> None:
    webhook = make_webhook()
    configure(SEND=False)
    event = old_event()
    configure(SEND=True)

    run(webhook, selection(only_failed=True))

    assert queued(webhook) == [event.pk]


@pytest.mark.usefixtures("small")
def test_no_more_than_two_batches_wait() -> None:
    events = [old_event() for _ in range(7)]
    webhook = make_webhook()
    started = run(webhook)

    assert queued(webhook) == [event.pk for event in events[:4]]
    assert (started.status, started.count, started.queued) == ("running", 7, 4)
    assert not replay.is_due()

    waiting = Invocation.objects.filter(trigger="replay").order_by("id")
    Invocation.objects.filter(pk=waiting[0].pk).update(status="succeeded")
    assert not replay.is_due()
    waiting.update(status="succeeded")
    assert replay.is_due()
    while replay.step():
        waiting.update(status="succeeded")

    assert queued(webhook) == [event.pk for event in events]
    started.refresh_from_db()
    assert (started.status, started.queued) == ("finished", 7)


@pytest.mark.usefixtures("small")
def test_a_retry_that_another_worker_stores_meanwhile_holds_up_no_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is the newest row of the replay, and due in an hour: no batch ends with it."""
    events = [old_event() for _ in range(7)]
    webhook = make_webhook()
    started = replay.start(webhook, selection(), "ada")
    insert = InvocationQuerySet.bulk_create

    def insert_before_another(self: Any, *args: Any, **options: Any) -> Any:
        made = insert(self, *args, **options)
        later = {"attempt": 5, "due_at": timezone.now() + HOUR}
        make_invocation(webhook, event=events[0], replay=started, trigger="retry", **later)
        return made

    monkeypatch.setattr(InvocationQuerySet, "bulk_create", insert_before_another)
    for _ in range(2):
        replay.step()
    Invocation.objects.filter(trigger="replay").update(status="succeeded")

    assert replay.is_due()


@pytest.mark.usefixtures("small")
def test_events_of_one_moment_are_all_sent() -> None:
    moment = timezone.now()
    events = [old_event(created_at=moment) for _ in range(9)]
    webhook = make_webhook()
    replay.start(webhook, selection(), "ada")

    while replay.step():
        Invocation.objects.update(status="succeeded")

    assert queued(webhook) == [event.pk for event in events]


@pytest.mark.usefixtures("small")
def test_ids_that_are_not_in_the_order_of_time_are_all_sent() -> None:
    now = timezone.now()
    events = [old_event(created_at=now - timedelta(minutes=n)) for n in range(9)]
    webhook = make_webhook()
    replay.start(webhook, selection(), "ada")

    while replay.step():
        Invocation.objects.update(status="succeeded")

    assert queued(webhook) == [event.pk for event in reversed(events)]


@pytest.mark.usefixtures("small")
def test_pages_without_an_event_to_send_are_passed() -> None:
    for _ in range(9):
        old_event(event_type="testapp.article.created")
    last = old_event()
    webhook = make_webhook()

    done = run(webhook, selection(event_types=["*.updated"]))

    assert (done.status, queued(webhook)) == ("finished", [last.pk])


def test_fresh_events_that_wait_are_sent_before_it(inbox: Inbox, configure: Any) -> None:
    configure(PER_WEBHOOK_CONCURRENCY=1)
    old = old_event()
    webhook = make_webhook(url=inbox.url)
    fresh = make_event()
    replay.start(webhook, selection(), "ada")

    with Drain() as engine:
        engine.run()
        engine.finish()

    ids = [one.headers["webhook-id"] for one in inbox.deliveries]
    assert ids == [message_id(event.event_id, webhook.pk) for event in (fresh, old)]


@pytest.mark.usefixtures("small")
def test_a_crash_neither_loses_nor_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [old_event() for _ in range(5)]
    webhook = make_webhook()
    replay.start(webhook, selection(), "ada")
    replay.step()
    with monkeypatch.context() as patch:
        patch.setattr(Replay, "save", _die)
        with pytest.raises(ZeroDivisionError):
            replay.step()
    assert queued(webhook) == [event.pk for event in events[:2]]

    while replay.step():
        Invocation.objects.update(status="succeeded")

    assert queued(webhook) == [event.pk for event in events]


def _die(*args: Any, **kwargs: Any) -> None:
    raise ZeroDivisionError


@pytest.mark.usefixtures("small")
def test_of_one_webhook_s_replays_only_the_oldest_goes_on() -> None:
    events = [old_event() for _ in range(3)]
    webhook, other = make_webhook(), make_webhook()
    first = replay.start(webhook, selection(), "ada")
    second = replay.start(webhook, selection(), "bob")
    third = replay.start(other, selection(), "bob")

    replay.step()
    assert [replay.queued for replay in (_fresh(first), _fresh(second), _fresh(third))] == [
        2,
        0,
        2,
    ]
    while replay.step():
        pass

    # All waits by now: there is nothing for the second to add.
    assert [_fresh(one).status for one in (first, second, third)] == ["finished"] * 3
    assert queued(webhook) == [event.pk for event in events]
    assert _fresh(second).queued == 0


def _fresh(one: Replay) -> Replay:
    return Replay.objects.get(pk=one.pk)


def test_a_webhook_that_is_off_has_it_wait_and_says_so() -> None:
    old_event()
    webhook = make_webhook(active=False)
    run(webhook)

    assert "waits until it is switched on" in Invocation.objects.get().message


def test_nothing_is_queued_while_sending_is_off(configure: Any) -> None:
    old_event()
    replay.start(make_webhook(), selection(), "ada")
    configure(SEND=False)

    assert not drain.is_due()
    with Drain() as engine:
        engine.run()
    assert not Invocation.objects.exists()


@pytest.mark.usefixtures("small")
def test_cancelling_ends_what_waits() -> None:
    for _ in range(7):
        old_event()
    webhook = make_webhook()
    started = run(webhook)
    sent, *_rest = Invocation.objects.order_by("id")
    Invocation.objects.filter(pk=sent.pk).update(status="succeeded")
    other = make_invocation(webhook)

    assert replay.cancel(started) == 3

    assert (started.status, _fresh(started).status) == ("cancelled", "cancelled")
    assert started.finished_at is not None
    ended = Invocation.objects.filter(replay=started, status="failed")
    assert {(one.outcome, one.message) for one in ended} == {
        ("cancelled", "The replay was cancelled.")
    }
    assert all(one.finished_at for one in ended)
    other.refresh_from_db()
    assert other.status == "pending"
    assert not replay.is_due()
    assert replay.step() == 0


def test_a_finished_replay_whose_rows_wait_can_be_cancelled() -> None:
    old_event()
    done = run(make_webhook())
    assert done.status == "finished"

    assert replay.cancel(done) == 1
    assert done.status == "cancelled"
    assert replay.cancel(done) is None
    assert done.status == "cancelled"


def test_a_finished_replay_with_nothing_waiting_stays_finished() -> None:
    done = run(make_webhook())

    assert replay.cancel(done) is None
    assert _fresh(done).status == "finished"


def test_the_retries_of_a_replay_are_cancelled_with_it(inbox: Inbox) -> None:
    old_event()
    inbox.answers = [Answer(status=500)]
    replay.start(make_webhook(url=inbox.url), selection(), "ada")
    with Drain() as engine:
        engine.run()
        engine.finish()
    assert Invocation.objects.get(status="pending").trigger == "retry"

    assert replay.cancel(Replay.objects.get()) == 1
    assert not Invocation.objects.filter(status="pending").exists()


def test_what_was_cancelled_counts_as_failed() -> None:
    event = old_event()
    webhook = make_webhook()
    replay.cancel(run(webhook))

    run(webhook, selection(only_failed=True))

    assert queued(webhook) == [event.pk, event.pk]


def test_deleting_the_webhook_ends_its_replay() -> None:
    old_event()
    webhook = make_webhook()
    started = replay.start(webhook, selection(), "ada")
    webhook.delete()

    replay.step()

    started = _fresh(started)
    assert (started.status, started.webhook) == ("cancelled", None)
    assert not replay.is_due()
    assert not Invocation.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_make_one_batch_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "BATCH", 7)
    monkeypatch.setattr(replay, "PAGE", 20)
    events = [old_event() for _ in range(60)]
    webhook = make_webhook()
    started = replay.start(webhook, selection(), "ada")
    barrier = threading.Barrier(3)
    errors: list[Exception] = []

    def work() -> None:
        try:
            barrier.wait(10)
            while _fresh(started).status == "running":
                replay.step()
                Invocation.objects.filter(status="pending").update(status="succeeded")
        except Exception as error:  # noqa: BLE001 - shown by the test itself
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert errors == []
    assert queued(webhook) == [event.pk for event in events]
    assert _fresh(started).queued == 60


def test_a_look_without_a_replay_is_one_query(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert replay.step() == 0


def test_a_step_takes_few_statements(django_assert_max_num_queries: Any) -> None:
    for _ in range(30):
        old_event()
    replay.start(make_webhook(), selection(), "ada")

    with django_assert_max_num_queries(12 if connection.vendor == "sqlite" else 11):
        replay.step()


def test_an_event_that_retention_takes_meanwhile_is_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    events = [old_event() for _ in range(3)]
    webhook = make_webhook()
    hold = replay.hold

    def prune_and_hold(event_ids: Any, using: str) -> set[int]:
        Event.objects.filter(pk=events[1].pk)._raw_delete(using)
        return hold(event_ids, using)

    monkeypatch.setattr(replay, "hold", prune_and_hold)
    done = run(webhook)

    assert queued(webhook) == [events[0].pk, events[2].pk]
    assert (done.status, done.queued) == ("finished", 2)

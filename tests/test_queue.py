"""django-q2: the schedule, the options of tasks, and what travels in them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django_q.conf import Conf
from django_q.models import Schedule, Task
from django_q.signals import post_execute_in_worker, pre_execute
from django_q.tasks import async_task

import auditwebhooks
from auditwebhooks import queue
from auditwebhooks.context import actor_of, current, source_of
from auditwebhooks.models import Event
from tests.broker import queued
from tests.testapp.models import Article

pytestmark = pytest.mark.django_db


def change_something() -> None:
    Article.objects.create(title="By a task")


def fail() -> None:
    raise ZeroDivisionError


@pytest.fixture
def sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Conf, "SYNC", True)


@pytest.fixture
def packages() -> Iterator[list[dict[str, Any]]]:
    """The tasks as a worker is handed them."""
    seen: list[dict[str, Any]] = []

    def see(task: dict[str, Any], **kwargs: object) -> None:
        seen.append(dict(task))

    post_execute_in_worker.connect(see)
    yield seen
    post_execute_in_worker.disconnect(see)


def test_migrate_keeps_two_schedules_half_a_minute_apart() -> None:
    sweeps = Schedule.objects.filter(name__startswith="auditwebhooks sweep")
    first, second = sweeps.order_by("name")

    assert first.func == second.func == "auditwebhooks.tasks.sweep"
    assert first.minutes == second.minutes == 1
    assert first.repeats == second.repeats == -1
    assert abs((second.next_run - first.next_run).total_seconds() - 30) < 5


def test_migrate_keeps_a_schedule_that_prunes_every_hour() -> None:
    prune = Schedule.objects.get(name="auditwebhooks prune")

    assert prune.func == "auditwebhooks.tasks.prune"
    assert (prune.minutes, prune.repeats) == (60, -1)
    assert "'timeout': 120" in prune.kwargs


def test_another_migrate_changes_nothing_but_mends() -> None:
    Schedule.objects.filter(name="auditwebhooks sweep 1").update(func="gone", minutes=99)
    due = Schedule.objects.get(name="auditwebhooks sweep 2").next_run

    call_command("migrate", verbosity=0)

    schedules = Schedule.objects.filter(name__startswith="auditwebhooks sweep")
    assert [(one.func, one.minutes) for one in schedules] == [("auditwebhooks.tasks.sweep", 1)] * 2
    assert Schedule.objects.get(name="auditwebhooks sweep 2").next_run == due


@pytest.mark.django_db(transaction=True)
def test_migrate_zero_takes_the_schedules_along() -> None:
    host = Schedule.objects.create(name="auditwebhooks of the host", func="host.task")
    call_command("migrate", "auditwebhooks", "zero", verbosity=0)
    try:
        assert list(Schedule.objects.filter(name__startswith="auditwebhooks")) == [host]
    finally:
        call_command("migrate", verbosity=0)
    assert Schedule.objects.filter(name__startswith="auditwebhooks").count() == 4


def test_the_schedule_is_for_the_chosen_cluster(configure: Any) -> None:
    configure(CLUSTER="audit")

    call_command("migrate", verbosity=0)

    clusters = Schedule.objects.filter(name__startswith="auditwebhooks")
    assert {one.cluster for one in clusters} == {"audit"}


def test_a_task_is_named_by_path_and_carries_no_arguments() -> None:
    queue.enqueue("auditwebhooks.tasks.drain", timeout=110)

    [task] = queued()
    assert task["func"] == "auditwebhooks.tasks.drain"
    assert task["args"] == ()
    assert task["kwargs"] == {}
    assert task["ack_failure"] is True
    assert task["save"] is False
    assert task["timeout"] == 110


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not Conf.ORM, reason="of the ORM broker")
def test_a_task_that_is_queued_leaves_the_host_its_connection() -> None:
    """The ORM broker closes what has served its time: at once, where CONN_MAX_AGE is 0."""
    with auditwebhooks.paused():
        for number in range(3):
            Article.objects.create(title=str(number))
    connection.close_at = time.monotonic()
    for article in Article.objects.iterator(chunk_size=1):
        article.stars = 1
        article.save()

    assert len(queued()) == 1
    assert Article.objects.filter(stars=1).count() == 3


def test_a_task_goes_to_the_chosen_cluster(configure: Any) -> None:
    configure(CLUSTER="audit")
    queue.enqueue("auditwebhooks.tasks.drain", timeout=110)

    assert len(queued("audit")) == 1


def test_a_broker_that_hangs_is_given_up_and_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = threading.Event()
    asked: list[str] = []

    def hang(task: str, **kwargs: object) -> None:
        asked.append(task)
        answers.wait(20)

    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(queue, "async_task", hang)
    monkeypatch.setattr(queue, "_patience", queue._Patience())
    monkeypatch.setattr(queue._Patience, "SECONDS", 0.05)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            queue.enqueue("auditwebhooks.tasks.drain", timeout=110)
    assert len(asked) == 1

    answers.set()
    queue._patience._thread.join()
    queue.enqueue("auditwebhooks.tasks.drain", timeout=110)
    assert len(asked) == 2


def test_what_a_broker_raises_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(task: str, **kwargs: object) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(Conf, "ORM", None)
    monkeypatch.setattr(queue, "async_task", explode)

    with pytest.raises(ConnectionError, match="refused"):
        queue.enqueue("auditwebhooks.tasks.drain", timeout=110)


def test_a_worker_s_changes_are_a_background_task(sync: None) -> None:
    async_task(change_something)

    event = Event.objects.get()
    assert event.source == "background task"
    assert event.actor_id == "system"


def test_actor_and_source_travel_into_a_task(sync: None) -> None:
    ada = User.objects.create_user("ada", "ada@example.com")
    with auditwebhooks.context(actor=ada, source="web application"):
        async_task(change_something)

    event = Event.objects.latest("id")
    assert event.event_type == "testapp.article.created"
    assert event.actor_id == "ada@example.com"
    assert event.source == "web application"
    assert event.payload["data"]["metadata"]["actor_pk"] == str(ada.pk)


def test_a_task_leaves_no_context_behind(sync: None, packages: list[dict[str, Any]]) -> None:
    with auditwebhooks.context(actor="importer"):
        async_task(change_something)
        assert actor_of(current()).id == "importer"
    with pytest.raises(ZeroDivisionError):
        async_task(fail)

    assert actor_of(current()).id == "system"
    assert source_of(current()) == "shell"
    # What goes back to the queue must be picklable, so nothing of ours may be left in it.
    assert all("auditwebhooks" not in package for package in packages)


def test_a_context_that_cannot_be_read_does_not_kill_the_worker(
    caplog: pytest.LogCaptureFixture,
) -> None:
    task = {"auditwebhooks": {"actor": "not a mapping"}}

    pre_execute.send(sender="django_q", func=None, task=task)
    post_execute_in_worker.send(sender="django_q", func=None, task=task)

    assert "could not be told" in caplog.text
    assert source_of(current()) == "shell"


def test_our_tasks_are_not_kept_as_results() -> None:
    assert not Task.objects.exists()

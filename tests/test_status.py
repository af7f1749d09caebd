"""How deliveries fare, and what is said where something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import Schedule

from auditwebhooks import tasks, wake
from auditwebhooks.delivery import turn
from auditwebhooks.enums import WebhookState
from auditwebhooks.models import Event, Wake, Webhook, WebhookHealth
from auditwebhooks.status import WebhookStatus, status
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db


def ago(**span: float) -> datetime:
    return timezone.now() - timedelta(**span)


def seen(at: datetime) -> None:
    """A worker was there."""
    Wake.objects.all().delete()
    Wake.objects.create(slot=0, state="idle", token="x", until=at, seen_at=at)


@pytest.fixture
def webhook() -> Webhook:
    webhook = make_webhook(name="SIEM")
    QuerySet(Event).all().delete()
    return webhook


@pytest.fixture
def worker() -> None:
    seen(ago(seconds=10))


def of(name: str = "SIEM") -> WebhookStatus:
    return next(one for one in status().webhooks if one.name == name)


def about(seconds: float | None, expected: float) -> bool:
    return seconds is not None and expected <= seconds < expected + 30


@contextmanager
def the_only_problem(*words: str) -> Iterator[None]:
    assert status().healthy
    yield
    now = status()
    assert not now.healthy
    [problem] = now.problems
    assert all(word in problem for word in words), problem


def test_a_new_installation_is_healthy() -> None:
    now = status()

    assert now.healthy
    assert now.sending
    assert (now.backlog, now.events_waiting, now.webhooks) == (0, 0, ())
    assert now.worker_seen_at is None
    assert now.worker_seen_seconds is None
    assert now.oldest_waiting_seconds is None
    assert now.oldest_event_seconds is None


def test_the_numbers(webhook: Webhook, worker: None) -> None:
    other = make_webhook(name="Chat")
    QuerySet(Event).all().delete()
    make_event(created_at=ago(seconds=90))
    make_event(created_at=ago(seconds=30))
    make_invocation(webhook, due_at=ago(seconds=60))
    make_invocation(webhook, due_at=ago(seconds=120))
    make_invocation(webhook, due_at=ago(seconds=-500))
    make_invocation(webhook, due_at=ago(seconds=900), status="sending")
    make_invocation(webhook, due_at=ago(seconds=900), status="failed")
    make_invocation(other, due_at=ago(seconds=-500))
    now = status()

    assert now.backlog == 5
    assert about(now.oldest_waiting_seconds, 120)
    assert now.events_waiting == 2
    assert about(now.oldest_event_seconds, 90)
    assert about(now.worker_seen_seconds, 10)
    assert [one.name for one in now.webhooks].count("SIEM") == 1
    assert (of().state, of().backlog) == (WebhookState.ACTIVE, 4)
    assert about(of().oldest_waiting_seconds, 120)
    assert (of("Chat").backlog, of("Chat").oldest_waiting_seconds) == (1, None)
    assert now.healthy


def test_the_health_of_a_webhook(webhook: Webhook) -> None:
    at = ago(hours=1)
    WebhookHealth.objects.create(
        webhook=webhook,
        last_success_at=at,
        last_failure_at=at,
        consecutive_failures=3,
        paused_until=ago(seconds=-60),
        pause_reason="retry_after",
    )
    found = of()

    assert found.state == WebhookState.PAUSED
    assert found.last_success_at == found.last_failure_at == at
    assert found.consecutive_failures == 3
    assert found.paused_until is not None
    assert status().healthy, "the receiver asked for time"


def test_a_pause_that_is_over_is_none(webhook: Webhook) -> None:
    WebhookHealth.objects.create(webhook=webhook, paused_until=ago(seconds=1))

    assert of().state == WebhookState.ACTIVE


@pytest.mark.parametrize("at", [None, timedelta(minutes=3)])
def test_no_worker_while_something_is_due_is_a_problem(
    webhook: Webhook, at: timedelta | None
) -> None:
    if at:
        seen(timezone.now() - at)
    with the_only_problem("No worker", "qcluster", "auditwebhooks_deliver"):
        make_invocation(webhook)


def test_no_worker_for_events_that_wait_is_a_problem() -> None:
    seen(ago(seconds=130))
    with the_only_problem("No worker was there since"):
        make_event()


def test_a_worker_that_comes_twice_a_minute_is_none(webhook: Webhook) -> None:
    seen(ago(seconds=110))
    make_invocation(webhook)
    make_event()

    assert status().healthy


def test_no_worker_is_needed_while_nothing_is_due(webhook: Webhook) -> None:
    seen(ago(days=2))
    make_invocation(webhook, due_at=ago(seconds=-60))

    assert status().healthy


def test_what_is_late_though_a_worker_was_there_is_a_problem(
    webhook: Webhook, worker: None
) -> None:
    make_invocation(webhook, due_at=ago(minutes=4))
    with the_only_problem('"SIEM"', "5 minutes late", "worker's log"):
        make_invocation(webhook, due_at=ago(minutes=6))


def test_a_limit_of_calls_is_named_where_it_is_the_reason(worker: None) -> None:
    webhook = make_webhook(name="Slow", max_per_minute=1)
    QuerySet(Event).all().delete()
    with the_only_problem('"Slow"', "raise its limit"):
        make_invocation(webhook, due_at=ago(minutes=6))


def test_events_that_are_not_fanned_out_are_a_problem(worker: None) -> None:
    with the_only_problem("handed to their webhooks", "log"):
        make_event(created_at=ago(minutes=6))


def test_what_waits_for_a_webhook_that_is_off_or_paused_is_not_late(
    webhook: Webhook, worker: None
) -> None:
    make_invocation(webhook, due_at=ago(minutes=6))
    WebhookHealth.objects.create(
        webhook=webhook, paused_until=ago(seconds=-60), pause_reason="retry_after"
    )
    off = make_webhook(name="Off", active=False)
    QuerySet(Event).all().delete()
    make_invocation(off, due_at=ago(minutes=6))
    now = status()

    assert now.healthy
    assert now.oldest_waiting_seconds is None
    assert about(of("Off").oldest_waiting_seconds, 360)
    assert of("Off").state == WebhookState.OFF


def test_a_webhook_that_the_system_switched_off_is_a_problem(webhook: Webhook) -> None:
    with the_only_problem('"SIEM"', "switched off by the system (410 Gone)", "switch it on again"):
        WebhookHealth.objects.create(webhook=webhook, disabled_reason="410 Gone.")
        webhook.switch_off_by_system()
        QuerySet(Event).all().delete()
    assert of().disabled_reason == "410 Gone."


def test_a_webhook_that_must_be_mended_is_a_problem(webhook: Webhook) -> None:
    with the_only_problem('"SIEM"', "cannot be called as it is configured", "changed"):
        WebhookHealth.objects.create(
            webhook=webhook,
            paused_until=ago(seconds=-60),
            pause_reason="configuration",
            paused_configuration=webhook.updated_at,
        )
    assert of().state == WebhookState.PAUSED


@pytest.mark.parametrize(
    "values", [{"name": "renamed"}, {"repeats": 0}, {"cluster": "other"}, {"kwargs": ""}]
)
def test_a_schedule_that_is_gone_is_a_problem(values: dict[str, Any]) -> None:
    with the_only_problem("auditwebhooks sweep 2", "migrate"):
        Schedule.objects.filter(name="auditwebhooks sweep 2").update(**values)


def test_schedules_that_do_not_follow_the_settings_are_a_problem(configure: Any) -> None:
    with the_only_problem("sweep 1, auditwebhooks sweep 2", "do not follow", "migrate"):
        configure(MAX_TIMEOUT=600)
    call_command("migrate", verbosity=0)
    assert status().healthy


def test_schedules_of_another_cluster_than_the_chosen_are_a_problem(configure: Any) -> None:
    with the_only_problem("auditwebhooks prune", "sweep 1", "sweep 2", "migrate"):
        configure(CLUSTER="audit")


@pytest.mark.parametrize("key", ["SEND", "ENABLED"])
def test_while_nothing_is_to_be_sent_nothing_is_wrong(
    webhook: Webhook, configure: Any, key: str
) -> None:
    make_invocation(webhook, due_at=ago(minutes=6))
    configure(**{key: False})
    now = status()

    assert now.healthy
    assert not now.sending
    assert now.backlog == 1


def test_it_asks_the_same_number_of_times_for_any_number_of_webhooks(webhook: Webhook) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            status()
        return len(queries)

    few = statements()
    for _ in range(5):
        make_invocation(make_webhook())
    assert statements() == few <= 6


@pytest.mark.django_db(transaction=True)
class TestHeartbeat:
    @pytest.fixture(autouse=True)
    def no_lingering(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(turn, "LINGER", 0)
        monkeypatch.setattr(turn, "PATIENCE", timedelta(0))

    @pytest.mark.parametrize("task", [tasks.drain, tasks.sweep])
    def test_every_turn_is_seen(self, task: Any) -> None:
        assert wake.last_seen() is None
        task()
        assert about(status().worker_seen_seconds, 0)

    def test_a_run_is_seen_while_it_lasts(self) -> None:
        slot = wake.acquire(range(1))
        Wake.objects.update(seen_at=ago(minutes=9))
        slot.renew()
        assert about(status().worker_seen_seconds, 0)

        Wake.objects.update(seen_at=ago(minutes=9))
        slot.release()
        assert about(status().worker_seen_seconds, 0)

    def test_whoever_calls_a_worker_is_none(self) -> None:
        wake.call(0)
        assert wake.last_seen() is None

        seen(ago(minutes=9))
        assert wake.call(0)
        assert about(status().worker_seen_seconds, 540)

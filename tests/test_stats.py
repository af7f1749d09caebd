"""How a webhook's deliveries went, and what waits for it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from auditwebhooks.delivery import stats
from auditwebhooks.delivery.stats import percentile, stats_of
from auditwebhooks.models import Webhook
from tests.factories import make_event, make_invocation, make_webhook, someone

pytestmark = pytest.mark.django_db


def attempt(webhook: Webhook, **values: Any) -> None:
    now = timezone.now()
    defaults = {"status": "succeeded", "outcome": "success", "started_at": now, "duration_ms": 10}
    make_invocation(webhook, **{**defaults, **values})


def test_a_webhook_that_did_nothing() -> None:
    found = stats_of(make_webhook().pk, timezone.now())

    assert (found.hours, found.by_status, found.by_outcome) == (24, {}, {})
    assert (found.success_rate, found.backlog, found.oldest_pending_age) == (None, 0, None)
    assert (found.duration_ms_p50, found.duration_ms_p95) == (None, None)


def test_attempts_of_a_day_are_counted() -> None:
    webhook, now = make_webhook(), timezone.now()
    for _ in range(3):
        attempt(webhook)
    attempt(webhook, status="failed", outcome="timeout")
    attempt(webhook, status="failed", outcome="http_status")
    attempt(webhook, status="sending", outcome="")
    # None of these counts.
    attempt(webhook, started_at=now - timedelta(hours=25))
    attempt(webhook, trigger="test", event=None)
    attempt(webhook, status="failed", outcome="cancelled", started_at=None)
    attempt(make_webhook(), status="failed", outcome="dns")

    found = stats_of(webhook.pk, timezone.now())

    assert found.by_status == {"succeeded": 3, "failed": 2, "sending": 1}
    assert found.by_outcome == {"success": 3, "timeout": 1, "http_status": 1}
    assert found.success_rate == 0.6


def test_what_was_cancelled_is_no_failure() -> None:
    webhook = make_webhook()
    attempt(webhook)
    attempt(webhook, status="failed", outcome="cancelled")

    assert stats_of(webhook.pk, timezone.now()).success_rate == 1


def test_what_waits_is_counted_with_its_age() -> None:
    webhook, now = make_webhook(), timezone.now()
    for seconds in (-60, -90, 3600):
        make_invocation(webhook, due_at=now + timedelta(seconds=seconds))
    make_invocation(webhook, status="sending", due_at=now - timedelta(hours=1))
    make_invocation(webhook, status="failed", due_at=now - timedelta(hours=1))

    found = stats_of(webhook.pk, now)

    assert (found.backlog, found.oldest_pending_age) == (4, 90.0)


def test_what_is_not_due_yet_has_no_age() -> None:
    webhook, now = make_webhook(), timezone.now()
    make_invocation(webhook, due_at=now + timedelta(hours=1))

    assert stats_of(webhook.pk, now).oldest_pending_age == 0


def test_durations_are_those_of_calls() -> None:
    webhook = make_webhook()
    for milliseconds in (10, 20, 30, 40, 1000, 0, None):
        attempt(webhook, duration_ms=milliseconds)

    found = stats_of(webhook.pk, timezone.now())

    assert (found.duration_ms_p50, found.duration_ms_p95) == (30, 1000)


def test_durations_are_those_of_the_latest_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "SAMPLE", 2)
    webhook, now = make_webhook(), timezone.now()
    for age, milliseconds in ((3, 900), (1, 10), (2, 20)):
        attempt(webhook, started_at=now - timedelta(seconds=age), duration_ms=milliseconds)

    assert stats_of(webhook.pk, timezone.now()).duration_ms_p95 == 20


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [
        ([], 50, None),
        ([7], 50, 7),
        ([7], 95, 7),
        ([1, 2], 50, 1),
        ([1, 2, 3], 50, 2),
        (list(range(1, 101)), 95, 95),
        (list(range(1, 22)), 95, 20),
    ],
)
def test_percentiles_are_values_that_were_measured(
    values: list[int], percent: int, expected: int | None
) -> None:
    assert percentile(values, percent) == expected


def test_it_takes_four_statements(django_assert_num_queries: Any) -> None:
    webhook = make_webhook()
    attempt(webhook)

    with django_assert_num_queries(4):
        stats_of(webhook.pk, timezone.now())


def test_the_api_answers_them() -> None:
    webhook = make_webhook()
    attempt(webhook, event=make_event())

    answer = someone("view_webhook").get(f"/api/audit/webhooks/{webhook.pk}/stats/")

    assert answer.status_code == 200
    assert answer.json() == {
        "hours": 24,
        "by_status": {"succeeded": 1},
        "by_outcome": {"success": 1},
        "success_rate": 1.0,
        "backlog": 0,
        "oldest_pending_age": None,
        "duration_ms_p50": 10,
        "duration_ms_p95": 10,
    }


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (lambda: APIClient(), {401, 403}),
        (lambda: someone(), {403}),
        (lambda: someone("change_webhook", "view_invocation"), {403}),
        (lambda: someone("view_webhook"), {200}),
    ],
    ids=["anonymous", "nobody", "editor", "viewer"],
)
def test_who_may_read_them(client: Any, expected: set[int]) -> None:
    url = f"/api/audit/webhooks/{make_webhook().pk}/stats/"

    assert client().get(url).status_code in expected


def test_a_glance_tells_the_same_of_many_at_once(django_assert_num_queries: Any) -> None:
    busy, idle, other = (make_webhook() for _ in range(3))
    for status in ("succeeded", "succeeded", "failed", "sending"):
        attempt(busy, status=status, outcome="")
    make_invocation(busy)
    attempt(other, trigger="test", event=None)
    now = timezone.now()

    with django_assert_num_queries(2):
        found = stats.glances([busy.pk, idle.pk, other.pk], now)

    for webhook in (busy, idle, other):
        told = stats_of(webhook.pk, now)
        assert found[webhook.pk] == stats.Glance(
            success_rate=told.success_rate, backlog=told.backlog
        )
    assert found[busy.pk].backlog == 2


def test_backlogs_are_told_without_the_rates(django_assert_num_queries: Any) -> None:
    busy, idle = make_webhook(), make_webhook()
    for status in ("pending", "sending", "failed"):
        make_invocation(busy, status=status)

    with django_assert_num_queries(1):
        assert stats.backlogs([busy.pk, idle.pk]) == {busy.pk: 2}


def rates(webhooks: list[Webhook], now: Any) -> list[float | None]:
    found = stats.glances([one.pk for one in webhooks], now)
    return [found[one.pk].success_rate for one in webhooks]


def test_a_glance_is_of_the_last_24_hours_to_the_second() -> None:
    webhook, now = make_webhook(), timezone.now().replace(minute=20, second=0)
    for seconds in (1, 600, 1800, 86_400 - 600, 86_400, 86_401):
        attempt(webhook, started_at=now - timedelta(seconds=seconds))
    attempt(webhook, status="failed", outcome="tls", started_at=now - timedelta(hours=24))

    # Of five and one, then of four.
    for minutes, rate in ((0, round(5 / 6, 4)), (1, 1.0), (9, 1.0), (11, 1.0)):
        then = now + timedelta(minutes=minutes)
        assert rates([webhook], then) == [rate] == [stats_of(webhook.pk, then).success_rate]
    then = now + timedelta(minutes=50)
    attempt(webhook, status="failed", outcome="tls", started_at=then)
    for minutes, rate in ((50, 0.75), (55, 0.75), (70, 0.75), (180, 0.75)):
        then = now + timedelta(minutes=minutes)
        assert rates([webhook], then) == [rate] == [stats_of(webhook.pk, then).success_rate]


def test_a_glance_counts_no_hour_again_that_is_over(django_assert_num_queries: Any) -> None:
    webhook, now = make_webhook(), timezone.now()
    attempt(webhook, started_at=now - timedelta(hours=5))
    assert rates([webhook], now) == [1]

    attempt(webhook, started_at=now - timedelta(hours=5), status="failed", outcome="tls")
    attempt(webhook, started_at=now - timedelta(seconds=1))
    with django_assert_num_queries(2) as queries:
        assert rates([webhook], now) == [1]
    # The last minutes, on both sides of an hour's end perhaps, and those that go out just now.
    counted = queries.captured_queries[0]["sql"]
    assert counted.count("GROUP BY") in (2, 3)


def test_what_is_kept_is_told_of_whom_it_was_counted_for() -> None:
    then, now = timezone.now() - timedelta(hours=5), timezone.now()
    webhooks = [make_webhook() for _number in range(3)]
    attempt(webhooks[0], started_at=then)
    attempt(webhooks[2], started_at=then, status="failed", outcome="tls")

    assert rates(webhooks, now) == [1, None, 0]
    assert rates(webhooks[1:], now) == [None, 0]
    # A list that is sorted the other way.
    attempt(webhooks[1], started_at=then)
    assert rates(webhooks[::-1], now) == [0, None, 1]


def test_a_glance_is_answered_by_an_index_alone() -> None:
    if connection.vendor != "sqlite":
        pytest.skip("other databases read a small table whole")
    webhook_ids = [make_webhook().pk for _number in range(3)]
    with CaptureQueriesContext(connection) as queries:
        stats.glances(webhook_ids, timezone.now())
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {queries.captured_queries[0]['sql']}")
        plan = [row[3] for row in cursor.fetchall()]

    index = "SEARCH auditwebhooks_invocation USING COVERING INDEX auditwebhooks_inv_started"
    found = [step for step in plan if step.startswith(f"{index} (webhook_id=? AND started_at>?")]
    assert len(found) == queries.captured_queries[0]["sql"].count(" UNION ALL ") + 1
    # Nothing is sorted.
    assert not any("TEMP B-TREE" in step for step in plan)


def test_of_no_webhook_nothing_is_asked(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert stats.glances([], timezone.now()) == {}

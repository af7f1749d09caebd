"""What happened in each of the last hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import auditwebhooks
from auditwebhooks.delivery.hours import (
    attempts_by_hour,
    deliveries_by_hour,
    events_by_hour,
    hours,
)
from auditwebhooks.models import Webhook
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 24, 18, 40, 30, tzinfo=UTC)


@pytest.fixture
def webhook() -> Webhook:
    with auditwebhooks.paused():
        return make_webhook()


def at(hour: float) -> datetime:
    return NOW.replace(hour=0, minute=0, second=0) + timedelta(hours=hour)


def told(counts: list[int]) -> dict[int, int]:
    """Slot -> count, where there is one."""
    return {slot: count for slot, count in enumerate(counts) if count}


def test_a_day_ends_with_the_hour_that_has_begun() -> None:
    starts = hours(NOW)

    assert len(starts) == 24
    assert (starts[-1], starts[0]) == (at(18), at(-5))


def test_hours_are_those_of_the_viewer_s_zone() -> None:
    with timezone.override("Asia/Kolkata"):
        starts = hours(NOW)

    assert (starts[-1], starts[0]) == (at(18.5), at(-4.5))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"])
@pytest.mark.parametrize("month", [3, 4, 10, 11])
def test_hours_follow_each_other_when_the_clock_is_set(zone: str, month: int) -> None:
    with timezone.override(zone):
        for day in range(1, 31):
            now = datetime(2026, month, day, 12, 10, tzinfo=UTC)
            starts = hours(now)
            gaps = {
                (later - earlier).total_seconds()
                for earlier, later in zip(
                    [one.astimezone(UTC) for one in starts],
                    [one.astimezone(UTC) for one in starts[1:]],
                    strict=False,
                )
            }
            assert gaps == {3600}


def test_events_are_counted_by_the_hour_of_their_record() -> None:
    for moment in (at(17), at(17.5), at(18) - timedelta(microseconds=1), at(18), at(-5)):
        make_event(created_at=moment)
    make_event(created_at=at(-5) - timedelta(microseconds=1))

    assert told(events_by_hour(NOW)) == {0: 1, 22: 3, 23: 1}


def test_deliveries_are_counted_by_the_hour_in_which_they_ended(webhook: Webhook) -> None:
    def ended(hour: float, status: str, **values: Any) -> None:
        make_invocation(webhook, status=status, finished_at=at(hour), **values)

    ended(17.1, "succeeded", outcome="success")
    ended(17.2, "succeeded", outcome="success")
    ended(17.3, "failed", outcome="tls")
    ended(-5, "failed", outcome="tls")
    ended(18, "failed", outcome="tls")
    # None of these counts.
    ended(17.4, "failed", outcome="cancelled")
    ended(17.5, "succeeded", outcome="success", trigger="test", event=None)
    ended(-5.1, "succeeded", outcome="success")
    make_invocation(webhook)

    found = deliveries_by_hour(NOW)
    assert told(found.succeeded) == {22: 2}
    assert told(found.failed) == {0: 1, 22: 1, 23: 1}


def test_attempts_of_one_webhook_are_counted_by_the_hour_in_which_they_began(
    webhook: Webhook,
) -> None:
    def began(hour: float, status: str, **values: Any) -> None:
        make_invocation(webhook, status=status, started_at=at(hour), **values)

    began(18.1, "succeeded")
    began(18.2, "failed")
    began(0, "failed")
    began(18.3, "sending")
    began(18.4, "succeeded", trigger="test", event=None)
    began(18.5, "failed", outcome="cancelled")
    make_invocation(make_webhook(), status="failed", started_at=at(18.1))

    found = attempts_by_hour(webhook.pk, NOW)
    assert told(found.succeeded) == {23: 1}
    assert told(found.failed) == {5: 1, 23: 1}


def test_hours_that_are_over_are_not_counted_again(webhook: Webhook) -> None:
    def look() -> list[dict[int, int]]:
        deliveries = deliveries_by_hour(NOW)
        attempts = attempts_by_hour(webhook.pk, NOW)
        found = (events_by_hour(NOW), deliveries.failed, attempts.failed)
        assert told([*deliveries.succeeded, *attempts.succeeded]) == {}
        return [told(counts) for counts in found]

    def happen(hour: float) -> None:
        event = make_event(created_at=at(hour))
        times = {"started_at": at(hour), "finished_at": at(hour)}
        make_invocation(webhook, event=event, status="failed", outcome="tls", **times)

    happen(10.5)
    assert look() == [{15: 1}] * 3
    happen(10.5)
    happen(18.65)
    with CaptureQueriesContext(connection) as queries:
        assert look() == [{15: 1, 23: 1}] * 3
    # The last minutes alone; deliveries by how they ended.
    assert [query["sql"].count("COUNT(") for query in queries.captured_queries] == [2, 1, 1]


def test_what_is_kept_of_one_webhook_is_not_another_s(webhook: Webhook) -> None:
    make_invocation(webhook, status="failed", started_at=at(10.5))
    attempts_by_hour(webhook.pk, NOW)

    found = attempts_by_hour(make_webhook().pk, NOW)
    assert told(found.failed) == {}


def test_each_takes_one_statement(webhook: Webhook, django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(3):
        events_by_hour(NOW)
        deliveries_by_hour(NOW)
        attempts_by_hour(webhook.pk, NOW)


def test_they_are_answered_by_the_indexes_alone(webhook: Webhook) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("other databases read a small table whole")
    with CaptureQueriesContext(connection) as queries:
        events_by_hour(NOW)
        deliveries_by_hour(NOW)
        attempts_by_hour(webhook.pk, NOW)
    plans = []
    for query in queries.captured_queries:
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
            plans.append([row[3] for row in cursor.fetchall() if "auditwebhooks_" in row[3]])

    for plan, index, count in zip(
        plans,
        ("auditwebhooks_event_time", "auditwebhooks_inv_finished", "auditwebhooks_inv_started"),
        # 23 hours, and eight parts of the present one.
        (31, 62, 31),
        strict=True,
    ):
        assert len(plan) == count
        assert all(f"USING COVERING INDEX {index}" in line for line in plan), plan

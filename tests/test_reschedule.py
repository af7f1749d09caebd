"""What follows from a result."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditwebhooks.conf import Conf, conf
from auditwebhooks.delivery.reschedule import Finished, disables, pause_of, settle
from auditwebhooks.delivery.send import Result
from auditwebhooks.enums import Outcome
from auditwebhooks.models import Invocation, Webhook

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DELAYS = [5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]


def finished(
    outcome: str, status: int | None = None, attempt: int = 1, **overrides: Any
) -> Finished:
    webhook = Webhook(name="SIEM", url="https://hooks.example.com/")
    webhook.updated_at = NOW - timedelta(days=1)
    for name in ("max_attempts", "retry_on_validation"):
        if name in overrides:
            setattr(webhook, name, overrides.pop(name))
    claims = overrides.pop("claims", 1)
    return Finished(
        webhook=webhook,
        invocation=Invocation(
            webhook_id=uuid.uuid4(),
            webhook_name="SIEM",
            event_id=7,
            trigger="event",
            attempt=attempt,
            status="sending",
            claim_token="t1",
            lease_until=NOW,
            claims=claims,
            due_at=NOW,
        ),
        result=Result(
            outcome=Outcome(outcome),
            message="Because.",
            response_status=status,
            started_at=NOW,
            finished_at=NOW,
            **overrides,
        ),
    )


def wait_of(following: Invocation) -> float:
    return (following.due_at - NOW).total_seconds()


def test_the_default_delays_are_those_of_the_contract() -> None:
    assert list(conf.retry_delays) == DELAYS
    assert vars(Conf)["retry_delays"].default == DELAYS


def test_a_success_ends_the_chain() -> None:
    one = finished("success", 200)

    assert settle(one) is None
    row = one.invocation
    assert (row.status, row.outcome, row.response_status) == ("succeeded", "success", 200)
    assert (row.claim_token, row.lease_until) == ("", None)


@pytest.mark.parametrize("attempt", range(1, 11))
def test_a_failure_is_tried_again_along_the_delays(attempt: int) -> None:
    one = finished("timeout", attempt=attempt)
    following = settle(one)

    assert (one.invocation.status, one.invocation.outcome) == ("failed", "timeout")
    assert following.attempt == attempt + 1
    assert following.trigger == "retry"
    assert following.event_id == 7
    assert following.webhook_id == one.invocation.webhook_id
    assert following.status == "pending"
    delay = DELAYS[attempt - 1]
    assert delay <= wait_of(following) <= delay * 1.1


def test_the_eleventh_attempt_is_the_last() -> None:
    assert settle(finished("timeout", attempt=11)) is None


@pytest.mark.parametrize(
    ("outcome", "status", "attempts"),
    [
        ("timeout", None, 11),
        ("connection", None, 11),
        ("tls", None, 11),
        ("dns", None, 11),
        ("error", None, 11),
        *(("http_status", status, 11) for status in (408, 409, 425, 429, 500, 502, 503, 599)),
        *(("http_status", status, 3) for status in (301, 302, 400, 401, 403, 404, 422, 451)),
        ("http_status", 410, 1),
        ("validation", 200, 1),
        ("template", None, 1),
        ("cancelled", None, 1),
    ],
)
def test_how_many_attempts_a_chain_may_have(
    outcome: str, status: int | None, attempts: int
) -> None:
    made = 1
    while settle(finished(outcome, status, attempt=made)) is not None:
        made += 1

    assert made == attempts


def test_a_failed_validation_is_tried_again_only_where_asked_for() -> None:
    assert settle(finished("validation", 200, retry_on_validation=True)).attempt == 2


def test_the_webhook_s_own_limit_counts() -> None:
    assert settle(finished("timeout", attempt=1, max_attempts=2)).attempt == 2
    assert settle(finished("timeout", attempt=2, max_attempts=2)) is None
    assert settle(finished("http_status", 404, attempt=3, max_attempts=9)) is None


def test_no_delays_mean_one_attempt(configure: Any) -> None:
    configure(RETRY_DELAYS=[])

    assert settle(finished("timeout")) is None


def test_retry_after_is_waited_for_when_it_is_longer() -> None:
    assert wait_of(settle(finished("http_status", 429, retry_after=timedelta(hours=1)))) == 3600
    assert wait_of(settle(finished("http_status", 429, retry_after=timedelta(seconds=1)))) >= 5


def test_retry_after_holds_the_whole_webhook() -> None:
    one = finished("http_status", 503, retry_after=timedelta(hours=1))
    pause = pause_of(one)

    assert pause.reason == "retry_after"
    assert pause.until == NOW + timedelta(hours=1)
    assert pause_of(finished("http_status", 503)) is None


@pytest.mark.parametrize("outcome", ["config", "invalid_url", "blocked_address"])
def test_what_a_person_must_mend_waits_and_counts_no_attempt(outcome: str) -> None:
    one = finished(outcome, attempt=4, claims=3)

    assert settle(one) is None
    row = one.invocation
    assert (row.status, row.outcome, row.message) == ("pending", outcome, "Because.")
    assert (row.attempt, row.claims, row.started_at, row.due_at) == (4, 0, None, NOW)
    assert (row.claim_token, row.lease_until) == ("", None)
    pause = pause_of(one)
    assert (pause.reason, pause.until) == ("configuration", NOW + timedelta(hours=1))
    assert pause.configuration == one.webhook.updated_at


def test_gone_switches_off() -> None:
    assert disables(finished("http_status", 410).result)
    assert not disables(finished("http_status", 404).result)


def test_a_row_that_a_dead_worker_had_says_so() -> None:
    one = finished("success", 200, claims=2)
    settle(one)

    assert one.invocation.message == (
        "Because. A worker stopped during an earlier try of this attempt."
    )

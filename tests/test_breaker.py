"""A receiver that fails is left alone, and tried with one delivery at a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from auditwebhooks.delivery import breaker
from auditwebhooks.delivery.reschedule import Finished
from auditwebhooks.delivery.send import Result
from auditwebhooks.enums import Outcome, PauseReason
from auditwebhooks.models import Invocation, Webhook, WebhookHealth

START = datetime(2026, 1, 2, tzinfo=UTC)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def finished(
    at: float, outcome: str = "timeout", status: int | None = None, pk: int = 0
) -> Finished:
    moment = START + seconds(at)
    result = Result(
        outcome=Outcome(outcome),
        message="Because.",
        started_at=moment,
        finished_at=moment,
        response_status=status,
    )
    return Finished(invocation=Invocation(pk=pk), webhook=Webhook(updated_at=START), result=result)


def pause_after(health: WebhookHealth, *results: Finished) -> float | None:
    """Count them all; seconds of the pause that follows from the last."""
    pauses = [breaker.note(health, one) for one in results]
    last = pauses[-1]
    if last is None:
        return None
    assert last.reason == PauseReason.BREAKER
    health.paused_until, health.pause_reason = last.until, last.reason
    return (last.until - results[-1].result.finished_at).total_seconds()


def opened() -> WebhookHealth:
    health = WebhookHealth()
    assert pause_after(health, *(finished(3 * number) for number in range(5))) == 10
    return health


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("timeout", None),
        ("connection", None),
        ("tls", None),
        ("dns", None),
        ("http_status", 429),
        ("http_status", 500),
        ("http_status", 503),
    ],
)
def test_five_failures_over_ten_seconds_open_it(outcome: str, status: int | None) -> None:
    health = WebhookHealth()
    failures = [finished(2.5 * number, outcome, status) for number in range(5)]
    assert pause_after(health, *failures[:4]) is None
    assert pause_after(health, failures[4]) == 10


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("http_status", 404), ("http_status", 301), ("validation", 200), ("template", None)],
)
def test_other_failures_do_not_count(outcome: str, status: int | None) -> None:
    health = WebhookHealth()
    assert pause_after(health, *(finished(60 * n, outcome, status) for n in range(30))) is None


def test_a_burst_of_failures_is_not_enough() -> None:
    health = WebhookHealth()
    assert pause_after(health, *(finished(n / 10) for n in range(90))) is None
    assert pause_after(health, finished(10)) == 10


def test_a_success_in_between_counts_anew() -> None:
    health = WebhookHealth()
    results = [finished(5 * number) for number in range(4)]
    assert pause_after(health, *results, finished(20, "success", 200), *results) is None


def test_a_failed_probe_doubles_the_pause_up_to_an_hour() -> None:
    health = opened()
    pauses = []
    for number in range(1, 12):
        health.probe_id = number
        pauses.append(pause_after(health, finished(1000 * number, pk=number)))
    assert pauses == [20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]


def test_what_was_in_flight_when_it_opened_does_not_double_the_pause() -> None:
    health = opened()
    until = health.paused_until
    assert pause_after(health, finished(13), finished(14)) is None
    assert (health.openings, health.paused_until) == (1, until)


@pytest.mark.parametrize(
    ("outcome", "status"), [("success", 200), ("http_status", 404), ("validation", 200)]
)
def test_a_probe_that_is_answered_closes_it(outcome: str, status: int) -> None:
    health = opened()
    health.probe_id = 7
    assert breaker.note(health, finished(60, outcome, status, pk=7)) is None
    assert (health.openings, health.outages, health.probe_id) == (0, 0, None)
    assert health.paused_until is None


def test_a_probe_that_was_not_sent_lets_another_be_tried() -> None:
    health = opened()
    health.probe_id = 7
    assert breaker.note(health, finished(60, "template", pk=7)) is None
    assert (health.openings, health.probe_id) == (1, None)
    assert health.paused_until == START + seconds(60)


def test_a_success_does_not_shorten_what_the_receiver_asked_for() -> None:
    health = opened()
    health.pause_reason = PauseReason.RETRY_AFTER
    until = health.paused_until
    breaker.note(health, finished(15, "success", 200))
    assert (health.openings, health.paused_until) == (0, until)

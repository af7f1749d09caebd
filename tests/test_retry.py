"""When a failed attempt is tried again."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.conf import Conf
from auditwebhooks.enums import Outcome
from auditwebhooks.retry import (
    NEEDS_MENDING,
    attempts_allowed,
    delay_before,
    is_outage,
    retry_after,
)

DELAYS = (5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def allowed(outcome: Outcome, status: int | None = None, **options: object) -> int:
    return attempts_allowed(outcome, status, **{"delays": DELAYS, **options})


# --- how many -----------------------------------------------------------------------------


def test_default_gives_eleven_attempts_over_about_three_days():
    assert Conf().retry_delays == DELAYS
    assert len(DELAYS) + 1 == 11
    assert sum(DELAYS) / 86400 == pytest.approx(3.15, abs=0.01)


@pytest.mark.parametrize(
    "outcome",
    [Outcome.TIMEOUT, Outcome.CONNECTION, Outcome.TLS, Outcome.DNS, Outcome.ERROR],
)
def test_failure_on_the_way_is_retried_to_the_end(outcome):
    assert allowed(outcome) == 11


@pytest.mark.parametrize(
    ("status", "attempts"),
    [
        (408, 11),
        (409, 11),
        (425, 11),
        (429, 11),
        (500, 11),
        (501, 11),
        (502, 11),
        (503, 11),
        (504, 11),
        (599, 11),
        (300, 3),
        (301, 3),
        (307, 3),
        (308, 3),
        (400, 3),
        (401, 3),
        (403, 3),
        (404, 3),
        (407, 3),
        (411, 3),
        (422, 3),
        (424, 3),
        (426, 3),
        (428, 3),
        (430, 3),
        (499, 3),
        (410, 1),
        (None, 1),
    ],
)
def test_attempts_by_status(status, attempts):
    assert allowed(Outcome.HTTP_STATUS, status) == attempts


def test_validation_is_retried_only_where_it_is_asked_for():
    assert allowed(Outcome.VALIDATION, 200) == 1
    assert allowed(Outcome.VALIDATION, 200, retry_on_validation=True) == 11
    assert allowed(Outcome.HTTP_STATUS, 400, retry_on_validation=True) == 3


@pytest.mark.parametrize(
    "outcome", [Outcome.SUCCESS, Outcome.TEMPLATE, Outcome.CANCELLED, *sorted(NEEDS_MENDING)]
)
def test_other_outcomes_are_not_retried(outcome):
    assert allowed(outcome, 200, retry_on_validation=True) == 1


def test_outcomes_that_need_mending():
    assert sorted(NEEDS_MENDING) == ["blocked_address", "config", "invalid_url"]


def test_every_outcome_has_a_rule():
    assert {str(outcome): allowed(outcome, 500) for outcome in Outcome} == {
        "success": 1,
        "http_status": 11,
        "validation": 1,
        "timeout": 11,
        "connection": 11,
        "tls": 11,
        "dns": 11,
        "blocked_address": 1,
        "invalid_url": 1,
        "template": 1,
        "config": 1,
        "cancelled": 1,
        "error": 11,
    }


@pytest.mark.parametrize(
    ("outcome", "status", "options", "attempts"),
    [
        (Outcome.TIMEOUT, None, {"max_attempts": 4}, 4),
        (Outcome.TIMEOUT, None, {"max_attempts": 1}, 1),
        (Outcome.TIMEOUT, None, {"max_attempts": 99}, 11),
        (Outcome.TIMEOUT, None, {"delays": ()}, 1),
        (Outcome.TIMEOUT, None, {"delays": (), "max_attempts": 5}, 1),
        (Outcome.TIMEOUT, None, {"delays": (5,)}, 2),
        (Outcome.HTTP_STATUS, 404, {"max_attempts": 2}, 2),
        (Outcome.HTTP_STATUS, 404, {"max_attempts": 5}, 3),
        (Outcome.HTTP_STATUS, 404, {"delays": (5,)}, 2),
        (Outcome.HTTP_STATUS, 410, {"max_attempts": 5}, 1),
        (Outcome.VALIDATION, 200, {"max_attempts": 2, "retry_on_validation": True}, 2),
    ],
)
def test_fewer_attempts_than_the_delays_give(outcome, status, options, attempts):
    assert allowed(outcome, status, **options) == attempts


@given(
    outcome=st.sampled_from(list(Outcome)),
    status=st.none() | st.integers(100, 599),
    delays=st.lists(st.integers(0, 100), max_size=12),
    max_attempts=st.none() | st.integers(1, 20),
    retry_on_validation=st.booleans(),
)
def test_attempts_are_at_least_one_and_never_more_than_configured(
    outcome, status, delays, max_attempts, retry_on_validation
):
    attempts = attempts_allowed(
        outcome,
        status,
        delays=delays,
        max_attempts=max_attempts,
        retry_on_validation=retry_on_validation,
    )
    assert 1 <= attempts <= min(len(delays) + 1, max_attempts or 99)


# --- how long -----------------------------------------------------------------------------


@pytest.mark.parametrize(("attempt", "seconds"), list(enumerate(DELAYS, 2)))
def test_delay_before_each_attempt(attempt, seconds):
    class NoJitter(random.Random):
        def random(self) -> float:
            return 0.0

    class MostJitter(random.Random):
        def random(self) -> float:
            return 0.999999

    assert delay_before(attempt, DELAYS, NoJitter()) == timedelta(seconds=seconds)
    most = delay_before(attempt, DELAYS, MostJitter()).total_seconds()
    assert most == pytest.approx(seconds * 1.1, rel=1e-6)


@given(
    seconds=st.floats(0, 10**8) | st.integers(0, 10**8),
    seed=st.integers(),
    before=st.lists(st.just(1), max_size=5),
)
def test_delay_has_up_to_a_tenth_of_jitter(seconds, seed, before):
    rng = random.Random(seed)  # noqa: S311 - jitter
    delay = delay_before(len(before) + 2, [*before, seconds], rng).total_seconds()
    # Half a microsecond is what a timedelta rounds by.
    assert seconds - 5e-7 <= delay <= seconds * 1.1 + 5e-7


def test_delays_differ():
    rng = random.Random(1)  # noqa: S311 - jitter
    assert len({delay_before(2, DELAYS, rng) for _ in range(100)}) > 90


def test_jitter_needs_no_generator():
    assert timedelta(seconds=5) <= delay_before(2, DELAYS) <= timedelta(seconds=5.5)


# --- Retry-After --------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta(0)),
        ("1", timedelta(seconds=1)),
        (" 120 ", timedelta(minutes=2)),
        ("86400", timedelta(hours=24)),
        ("86401", timedelta(hours=24)),
        ("999999999999", timedelta(hours=24)),
        ("9" * 5000, timedelta(hours=24)),
        ("Sun, 01 Mar 2026 12:01:30 GMT", timedelta(seconds=90)),
        ("Sunday, 01-Mar-26 12:01:30 GMT", timedelta(seconds=90)),
        ("Sun Mar  1 12:01:30 2026", timedelta(seconds=90)),
        ("Sun, 01 Mar 2026 12:01:30 -0000", timedelta(seconds=90)),
        ("Sun, 01 Mar 2026 13:01:30 +0100", timedelta(seconds=90)),
        ("Sun, 01 Mar 2026 11:59:59 GMT", timedelta(0)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta(0)),
        ("Wed, 21 Oct 2099 07:28:00 GMT", timedelta(hours=24)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", timedelta(hours=24)),
    ],
)
def test_retry_after_is_seconds_or_a_date(status, value, wait):
    assert retry_after(value, status, NOW) == wait


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "soon",
        "-5",
        "+5",
        "1.5",
        "5s",
        "5, 10",
        "0x10",
        "\u0665",
        "²",
        "GMT",
        "Sun, 99 Mar 2026 12:00:00 GMT",
        "Sun, 01 Mar 99999 12:00:00 GMT",
        "Sun, 01 Mar 2026 25:00:00 GMT",
        "\x00",
        "\ud800",
    ],
)
def test_retry_after_that_says_nothing_is_none(value):
    assert retry_after(value, 503, NOW) is None


@pytest.mark.parametrize("status", [None, 200, 202, 301, 408, 425, 428, 500, 502, 504])
def test_retry_after_of_other_statuses_is_none(status):
    assert retry_after("120", status, NOW) is None


def test_leading_zeros_do_not_change_the_seconds():
    assert retry_after("0" * 12 + "120", 429, NOW) == timedelta(minutes=2)


def test_date_without_zone_is_utc_wherever_the_clock_stands():
    """An HTTP date is UTC (RFC 9110, 5.6.7)."""
    here = NOW.astimezone(timezone(timedelta(hours=5)))
    assert retry_after("Sun Mar  1 12:01:30 2026", 503, here) == timedelta(seconds=90)


@pytest.mark.parametrize("offset", ["+99999999999999", "-" + "9" * 30, "+9999"])
def test_date_with_an_impossible_zone_is_none(offset):
    assert retry_after(f"Sun, 01 Mar 2026 12:00:00 {offset}", 503, NOW) is None


@given(
    value=st.text(max_size=40)
    | st.from_regex(
        r"(Mon|Sun), \d{1,4} (Mar|Feb|Foo) \d{1,5} \d{1,3}:\d{1,2}:\d{1,3} "
        r"([A-Z]{1,3}|[+-]\d{1,9})",
        fullmatch=True,
    ),
    status=st.sampled_from([429, 503]),
)
def test_any_text_asks_for_a_wait_within_a_day_or_none(value, status):
    wait = retry_after(value, status, NOW)
    assert wait is None or timedelta(0) <= wait <= timedelta(hours=24)


@pytest.mark.parametrize(
    ("outcome", "status", "expected"),
    [
        *((outcome, None, True) for outcome in ("timeout", "connection", "tls", "dns")),
        *((outcome, 500, False) for outcome in ("success", "validation", "template", "config")),
        *((outcome, None, False) for outcome in ("blocked_address", "invalid_url", "error")),
        *(("http_status", status, True) for status in (429, 500, 503, 599)),
        *(("http_status", status, False) for status in (300, 404, 408, 410, 428, 430, 499, None)),
    ],
)
def test_an_outage_is_a_receiver_that_fails(outcome, status, expected):
    assert is_outage(outcome, status) is expected

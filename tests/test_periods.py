"""When a webhook was collecting events."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.models.periods import ActivePeriods

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def at(minutes: float) -> datetime:
    return START + timedelta(minutes=minutes)


def switched(*minutes: float) -> ActivePeriods:
    """Switched on, off, on, ... at these times."""
    periods = ActivePeriods([])
    for number, minute in enumerate(minutes):
        (periods.close if number % 2 else periods.open)(at(minute))
    return periods


def test_without_periods_nothing_is_collected():
    periods = ActivePeriods([])
    assert not periods.is_open
    assert not periods.contain(START)
    assert periods.stored == []


def test_open_period_holds_from_its_first_instant_for_ever():
    periods = switched(0)
    assert periods.is_open
    assert periods.stored == [["2026-01-01T00:00:00+00:00", None]]
    assert not periods.contain(START - INSTANT)
    assert periods.contain(START)
    assert periods.contain(START + timedelta(days=36500))


def test_closed_period_ends_before_its_last_instant():
    periods = switched(0, 10)
    assert not periods.is_open
    assert periods.contain(at(10) - INSTANT)
    assert not periods.contain(at(10))


def test_gap_between_two_periods_is_not_collected():
    periods = switched(0, 10, 20)
    assert periods.is_open
    assert [periods.contain(at(minute)) for minute in (5, 10, 15, 20, 25)] == [
        True,
        False,
        False,
        True,
        True,
    ]


def test_opening_an_open_period_changes_nothing():
    periods = switched(0)
    periods.open(at(5))
    assert periods.stored == switched(0).stored


def test_closing_what_is_closed_changes_nothing():
    periods = switched(0, 5)
    periods.close(at(9))
    assert periods.stored == switched(0, 5).stored
    empty = ActivePeriods([])
    empty.close(at(9))
    assert empty.stored == []


def test_off_and_on_at_one_instant_loses_nothing():
    periods = switched(0, 5, 5)
    assert periods.contain(at(5) - INSTANT)
    assert periods.contain(at(5))


def test_on_and_off_at_one_instant_collects_nothing():
    assert not switched(5, 5).contain(at(5))


def test_stored_value_that_was_given_stays_as_it_is():
    stored = [["2026-01-01T00:00:00+00:00", None]]
    periods = ActivePeriods(stored)
    periods.close(at(5))
    assert stored == [["2026-01-01T00:00:00+00:00", None]]
    assert periods.stored == [["2026-01-01T00:00:00+00:00", "2026-01-01T00:05:00+00:00"]]


def test_stored_value_is_read_back():
    periods = switched(0, 5, 10)
    assert ActivePeriods(periods.stored).stored == periods.stored
    assert ActivePeriods(periods.stored).is_open


def test_moments_are_compared_in_every_zone():
    periods = switched(0, 10)
    zone = timezone(timedelta(hours=-5))
    assert periods.contain(at(5).astimezone(zone))
    assert not periods.contain(at(10).astimezone(zone))


@pytest.mark.parametrize("switches", [49, 50, 51, 200])
def test_fifty_latest_periods_are_kept(switches):
    periods = switched(*range(2 * switches))
    kept = min(switches, 50)
    assert len(periods.stored) == kept
    assert periods.stored == switched(*range(2 * (switches - kept), 2 * switches)).stored


@given(
    minutes=st.lists(st.integers(0, 1000), unique=True, max_size=40).map(sorted),
    moment=st.integers(0, 1001),
)
def test_moment_is_collected_while_switched_on(minutes, moment):
    switches = sum(minute <= moment for minute in minutes)
    assert switched(*minutes).contain(at(moment)) is (switches % 2 == 1)

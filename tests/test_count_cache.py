"""Counts of hours that are over are kept in the host's cache."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.cache import cache
from django.core.cache.backends.base import memcache_key_warnings
from django.core.management import call_command
from django.db import connections

from auditwebhooks.delivery import count_cache
from auditwebhooks.delivery.count_cache import HOUR, Count, Span

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def hour(start: datetime) -> Span:
    return Span(start, start + HOUR)


MORNING = hour(NOON - HOUR)


class Table:
    """Which spans it was asked for, and what it tells of each: ``number``, and minutes."""

    def __init__(self) -> None:
        self.asked: list[Span] = []
        self.number = 1

    def ask(self, spans: Sequence[Span]) -> list[Count]:
        assert spans
        self.asked += spans
        return [(self.number, (end - start) // MINUTE) for start, end in spans]

    def counts(
        self,
        spans: Sequence[Span],
        now: datetime,
        question: str = "rows",
        using: str = "default",
    ) -> list[Count]:
        """What is told of the spans; ``asked`` begins anew."""
        self.asked = []
        return count_cache.counts(question, using, spans, now, self.ask)


@pytest.fixture
def table() -> Table:
    return Table()


def test_an_hour_that_is_over_is_counted_once(table: Table) -> None:
    assert table.counts([MORNING], NOON + 30 * MINUTE) == [(1, 60)]
    assert table.asked == [MORNING]

    table.number = 2
    assert table.counts([MORNING], NOON + 30 * MINUTE) == [(1, 60)]
    assert table.asked == []


def test_an_hour_still_gets_rows_in_the_minutes_after_it(table: Table) -> None:
    shortly = NOON + 5 * MINUTE - timedelta(microseconds=1)
    table.counts([MORNING], shortly)
    table.counts([MORNING], shortly)
    assert table.asked == [Span(NOON - 5 * MINUTE, NOON)]

    for asked in ([MORNING], []):
        table.counts([MORNING], NOON + 5 * MINUTE)
        assert table.asked == asked


def test_an_hour_is_kept_in_parts_before_it_is_over(table: Table) -> None:
    begun = hour(NOON)
    assert table.counts([begun], NOON + 18 * MINUTE) == [(3, 60)]
    parts = [Span(NOON + 5 * n * MINUTE, NOON + 5 * (n + 1) * MINUTE) for n in range(2)]
    assert table.asked == [*parts, Span(NOON + 10 * MINUTE, begun.end)]

    table.number = 10
    shortly = NOON + 20 * MINUTE - timedelta(microseconds=1)
    assert table.counts([begun], shortly) == [(12, 60)]
    assert table.asked == [Span(NOON + 10 * MINUTE, begun.end)]
    table.counts([begun], NOON + 20 * MINUTE)
    assert table.asked[-1] == Span(NOON + 15 * MINUTE, begun.end)


def test_so_is_what_is_no_whole_hour(table: Table) -> None:
    now = NOON + HOUR
    start = MORNING.start + 42 * MINUTE
    assert table.counts([Span(start, NOON)], now) == [(4, 18)]
    begun = Span(start, MORNING.start + 45 * MINUTE)
    assert table.asked[0] == begun
    assert [end - start for start, end in table.asked[1:]] == [5 * MINUTE] * 3

    table.counts([Span(start, NOON)], now)
    assert table.asked == [begun]
    table.counts([Span(start + MINUTE, NOON)], now)
    assert table.asked == [Span(start + MINUTE, begun.end)]


def test_it_is_kept_for_as_long_as_it_was_over(table: Table) -> None:
    table.counts([MORNING], NOON + 10 * MINUTE)
    table.number = 2

    assert table.counts([MORNING], NOON + 19 * MINUTE) == [(1, 60)]
    assert table.counts([MORNING], NOON + 20 * MINUTE) == [(2, 60)]
    table.number = 3
    assert table.counts([MORNING], NOON + 39 * MINUTE) == [(2, 60)]
    assert table.counts([MORNING], NOON + 40 * MINUTE) == [(3, 60)]


def test_another_hour_that_is_kept_keeps_those_before_it(table: Table) -> None:
    now = NOON + 2 * HOUR
    table.counts([MORNING], now)
    table.counts([hour(NOON)], now)

    table.counts([MORNING, hour(NOON)], now)
    assert table.asked == []


def test_viewers_in_other_zones_share_the_hours_that_are_the_same(table: Table) -> None:
    local = MORNING.start.astimezone(ZoneInfo("Europe/Berlin"))
    table.counts([MORNING], NOON + HOUR)

    table.counts([hour(local), hour(local + HOUR / 2)], NOON + HOUR)
    assert table.asked == [hour(local + HOUR / 2)]


def test_a_host_without_time_zones_has_its_hours(table: Table) -> None:
    start = datetime(2026, 11, 24, 11)  # noqa: DTZ001
    # Before, it had them.
    table.counts([MORNING], NOON + HOUR)
    assert table.counts([hour(start)], start + 2 * HOUR) == [(1, 60)]
    assert table.asked == [hour(start)]

    assert table.counts([hour(start)], start + 2 * HOUR) == [(1, 60)]
    assert table.asked == []


class TestWhatIsKeptApart:
    def test_questions(self, table: Table) -> None:
        table.counts([MORNING], NOON + HOUR)
        table.counts([MORNING], NOON + HOUR, question="others")
        assert table.asked == [MORNING]

    def test_databases_behind_one_alias(
        self, table: Table, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        table.counts([MORNING], NOON + HOUR)
        monkeypatch.setitem(connections["default"].settings_dict, "NAME", "another")
        table.counts([MORNING], NOON + HOUR)
        assert table.asked == [MORNING]

    def test_schemas_of_one_database(self, table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
        for schema in ("one", "two"):
            monkeypatch.setattr(connections["default"], "schema_name", schema, raising=False)
            table.counts([MORNING], NOON + HOUR)
            assert table.asked == [MORNING]


@pytest.mark.parametrize("question", ["é" * 300, "a b\nc"])
def test_any_cache_takes_the_key(question: str) -> None:
    key = cache.make_key(count_cache._key(question, "default"))

    assert list(memcache_key_warnings(key)) == []


class TestCaches:
    def ask_twice(self, table: Table) -> list[Span]:
        for _time in range(2):
            assert table.counts([MORNING], NOON + HOUR) == [(1, 60)]
        return table.asked

    def test_one_that_keeps_nothing(self, table: Table, settings: Any) -> None:
        settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

        assert self.ask_twice(table) == [MORNING]

    def test_one_that_forgets_soon_unless_told(self, table: Table, settings: Any) -> None:
        local = "django.core.cache.backends.locmem.LocMemCache"
        settings.CACHES = {"default": {"BACKEND": local, "LOCATION": "hours", "TIMEOUT": 0}}

        assert self.ask_twice(table) == []

    @pytest.mark.django_db
    def test_one_in_the_database(
        self, table: Table, settings: Any, django_assert_num_queries: Any
    ) -> None:
        backend = "django.core.cache.backends.db.DatabaseCache"
        settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": "hours"}}
        call_command("createcachetable", verbosity=0)

        assert self.ask_twice(table) == []
        with django_assert_num_queries(1):
            table.counts([MORNING], NOON + HOUR)

    def test_one_in_files(self, table: Table, settings: Any, tmp_path: Any) -> None:
        files = "django.core.cache.backends.filebased.FileBasedCache"
        settings.CACHES = {"default": {"BACKEND": files, "LOCATION": str(tmp_path)}}

        assert self.ask_twice(table) == []
        assert list(tmp_path.iterdir())

    @pytest.mark.parametrize("method", ["get", "set"])
    def test_one_that_is_down(
        self,
        table: Table,
        method: str,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def down(*args: Any) -> None:
            raise ConnectionError("secret address")

        monkeypatch.setattr(cache, method, down)
        with caplog.at_level(logging.WARNING, "auditwebhooks"):
            assert self.ask_twice(table) == [MORNING]
        assert "ConnectionError" in caplog.text
        assert "secret" not in caplog.text

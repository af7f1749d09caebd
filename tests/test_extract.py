"""The rows of a log, a page at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from auditwebhooks import extract
from auditwebhooks.extract import Columns, pages, whole_pages
from auditwebhooks.models import Event
from tests.factories import make_event

pytestmark = pytest.mark.django_db

COLUMNS = Columns(
    short={"id": "pk", "name": "target_name"},
    long={"payload": "payload_text"},
    measured=("payload_text",),
)
NEWEST = Event.objects.order_by("-created_at", "-id")


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Newest first; two share their time, and ids are not in the order of time."""
    monkeypatch.setattr(extract, "PAGE", 2)
    now = timezone.now()
    ages = (3, 1, 2, 2, 0)
    made = [make_event(created_at=now - timedelta(seconds=age)) for age in ages]
    return sorted(made, key=lambda one: (one.created_at, one.pk), reverse=True)


def test_pages_follow_each_other_without_a_gap_or_a_double(events: list[Event]) -> None:
    found = list(pages(NEWEST.all(), COLUMNS))

    assert [len(page) for page in found] == [2, 2, 1]
    rows = [row for page in found for row in page]
    assert rows == [{"id": one.pk, "name": one.target_name} for one in events]


def test_by_id_where_the_list_is_in_that_order(events: list[Event]) -> None:
    found = pages(Event.objects.order_by("-id"), COLUMNS)

    ids = [row["id"] for page in found for row in page]
    assert ids == sorted((one.pk for one in events), reverse=True)


def test_no_page_is_counted_off_and_none_is_open_ended(events: list[Event]) -> None:
    with CaptureQueriesContext(connection) as queries:
        list(pages(NEWEST.all(), COLUMNS))

    told = [one["sql"].upper() for one in queries.captured_queries]
    assert len(told) == 3
    assert all("LIMIT 2" in sql and "OFFSET" not in sql for sql in told)
    assert not any("PAYLOAD_TEXT" in sql for sql in told)


def test_long_columns_are_read_for_as_many_rows_as_fit(
    events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "PAGE", 10)
    lengths = [len(one.payload_text) for one in events]
    monkeypatch.setattr(extract, "MOST_TEXT", lengths[0] + lengths[1] + 1)
    found = list(whole_pages(NEWEST.all(), COLUMNS))

    assert [len(page) for page in found] == [2, 2, 1]
    rows = [row for page in found for row in page]
    assert [row["payload"] for row in rows] == [one.payload_text for one in events]
    assert list(rows[0]) == ["id", "name", "payload"]


def test_one_row_that_is_too_long_is_read_by_itself(
    events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "MOST_TEXT", 1)

    assert [len(page) for page in whole_pages(NEWEST.all(), COLUMNS)] == [1] * 5


def test_a_row_that_goes_meanwhile_is_left_out(
    events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = extract._by_length

    def and_delete(page: Any) -> Any:
        for some in real(page):
            QuerySet(Event).filter(pk=events[0].pk).delete()
            yield some

    monkeypatch.setattr(extract, "_by_length", and_delete)

    ids = [row["id"] for page in whole_pages(NEWEST.all(), COLUMNS) for row in page]
    assert ids == [one.pk for one in events[1:]]


def test_nothing_has_no_page() -> None:
    assert list(pages(NEWEST.all(), COLUMNS)) == list(whole_pages(NEWEST.all(), COLUMNS)) == []

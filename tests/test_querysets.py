"""Querysets of the app's own tables."""

from __future__ import annotations

from typing import Any

import pytest

from auditwebhooks.models import Event, Invocation
from auditwebhooks.querysets import page_of
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db


def test_a_page_has_its_rows_in_order_and_tells_whether_more_follow() -> None:
    events = [make_event() for _number in range(5)]
    rows = Event.objects.order_by("-created_at", "-id")

    assert page_of(rows, 0, 2) == ([events[4], events[3]], True)
    assert page_of(rows, 2, 3) == ([events[2], events[1], events[0]], False)
    assert page_of(rows, 5, 2) == ([], False)


def test_a_page_keeps_what_the_rows_are_read_with(django_assert_num_queries: Any) -> None:
    make_invocation(make_webhook())
    rows = Invocation.objects.select_related("event").defer("request_body").order_by("-id")
    with django_assert_num_queries(2):
        [row], _more = page_of(rows, 0, 1)
        assert row.event is not None

    assert row.get_deferred_fields() == {"request_body"}


def test_what_is_gone_between_its_key_and_its_row_hides_no_page_behind_it() -> None:
    _first, second, third = (make_event() for _number in range(3))
    rows = Event.objects.order_by("-id")
    keys = list(rows.values_list("pk", flat=True))

    class Late(type(rows)):  # type: ignore[misc]
        def values_list(self, *fields: Any, **options: Any) -> Any:
            Event.objects.filter(pk=third.pk)._prune()
            return keys

    rows.__class__ = Late
    assert page_of(rows, 0, 2) == ([second], True)

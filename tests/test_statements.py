"""Many rows by one statement hold what the ORM would have written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditwebhooks import statements
from auditwebhooks.models import Invocation
from auditwebhooks.statements import columns_of, insert_rows, update_rows
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

HARD = (
    "quote ' \" backslash \\ percent %s % tab \t line \n\r null \\N "
    "\u00e9 \u6f22 \U0001f600 </script> $[*]"
)

NAMES = (
    "status",
    "outcome",
    "message",
    "request_headers",
    "response_status",
    "response_truncated",
    "validation_results",
    "duration_ms",
    "timings",
    "started_at",
    "finished_at",
    "claim_token",
    "lease_until",
    "claims",
    "order_key",
)


def values(**overrides: Any) -> dict[str, Any]:
    now = timezone.now()
    return {
        "status": "failed",
        "outcome": "http_status",
        "message": HARD,
        "request_headers": {HARD: HARD, "a": ""},
        "response_status": 500,
        "response_truncated": True,
        "validation_results": [{"found": [1, None, True, HARD], "passed": False}],
        "duration_ms": 0,
        "timings": {"wait": 1.25},
        "started_at": now - timedelta(microseconds=1),
        "finished_at": now,
        "claim_token": "",
        "lease_until": None,
        "claims": 2,
        "order_key": -(2**63),
        **overrides,
    }


def stored(row: Invocation) -> dict[str, Any]:
    return Invocation.objects.filter(pk=row.pk).values(*NAMES).get()


def test_each_row_gets_its_own_values() -> None:
    webhook = make_webhook()
    rows = [make_invocation(webhook) for _ in range(3)]
    wanted = [
        values(),
        values(message="", request_headers={}, validation_results=[], response_status=None),
        values(status="succeeded", response_truncated=False, order_key=None),
    ]
    for row, one in zip(rows, wanted, strict=True):
        for name, value in one.items():
            setattr(row, name, value)
    untouched = make_invocation(webhook)
    before = stored(untouched)

    with CaptureQueriesContext(connection) as queries:
        update_rows(rows, NAMES, "default")

    assert len(queries) == 1 if connection.vendor != "sqlite" else len(queries) <= 3
    assert [stored(row) for row in rows] == wanted
    assert stored(untouched) == before


def test_only_the_named_fields_are_written() -> None:
    row = make_invocation(make_webhook())
    row.message, row.outcome = "new", "timeout"
    update_rows([row], ("message",), "default")
    row.refresh_from_db()
    assert (row.message, row.outcome) == ("new", "")


def test_a_row_that_is_gone_is_not_made_again() -> None:
    row = make_invocation(make_webhook())
    Invocation.objects.all().delete()
    update_rows([row], NAMES, "default")
    assert not Invocation.objects.exists()


def test_no_rows_are_no_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        update_rows([], NAMES, "default")
        assert insert_rows(Invocation, [], "default") is False


@pytest.mark.parametrize("count", [1, 2, 30])
def test_inserted_rows_are_those_of_the_orm(count: int) -> None:
    webhook, event, now = make_webhook(), make_event(), timezone.now()
    new = [
        Invocation(
            webhook=webhook,
            webhook_name=HARD[:50],
            event=event,
            trigger="event",
            created_at=now,
            due_at=now,
            request_headers={"n": number},
            response_body=HARD,
        )
        for number in range(count)
    ]
    rows = [tuple(columns_of(one, "default").values()) for one in new]

    assert insert_rows(Invocation, rows, "default") is True

    fields = [one.attname for one in Invocation._meta.concrete_fields if not one.primary_key]
    made = Invocation.objects.order_by("id").values_list(*fields)
    assert list(made) == [tuple(getattr(one, name) for name in fields) for one in new]


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=20)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(texts, st.dictionaries(texts, texts, max_size=3))
def test_any_text_comes_back(text: str, headers: dict[str, str]) -> None:
    row = make_invocation(make_webhook())
    row.message, row.response_headers = text, headers
    update_rows([row], ("message", "response_headers"), "default")
    row.refresh_from_db()
    assert (row.message, row.response_headers) == (text, headers)


def test_a_database_without_json_table_gets_its_values_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """MariaDB before 10.6, which Django 5.2 supports."""
    monkeypatch.setattr(statements, "_takes_json", lambda connection: False)
    webhook = make_webhook()
    rows = [make_invocation(webhook) for _ in range(2)]
    wanted = [values(), values(message="other", validation_results=[])]
    for row, one in zip(rows, wanted, strict=True):
        for name, value in one.items():
            setattr(row, name, value)

    with CaptureQueriesContext(connection) as queries:
        update_rows(rows, NAMES, "default")

    assert not any("JSON_TABLE" in one["sql"] for one in queries)
    assert [stored(row) for row in rows] == wanted

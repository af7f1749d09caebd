"""Rows as the text of a file."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.tables import as_csv, as_json

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


def read_csv(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def cell(value: object) -> str:
    text = "".join(as_csv(["a"], [[{"a": value}]]))
    [_names, row] = read_csv(text)
    return row[0] if row else ""


def test_csv_has_the_names_and_begins_as_excel_wants_it() -> None:
    text = "".join(as_csv(["b", "a"], [[{"a": 1, "b": "x", "other": 0}], [{"a": None, "b": "ü"}]]))

    assert text == "\ufeffb,a\r\nx,1\r\nü,\r\n"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("\n=1", "'\n'=1"),
        ("＝1", "'＝1"),
        # Where Excel cuts at semicolons this would be a cell of its own.
        ('x;=cmd|"/c calc"', 'x;\'=cmd|"/c calc"'),
        ("line\n+1", "line\n'+1"),
        ("a=b, c-d @e", "a=b, c-d @e"),
        ("'quoted'", "'quoted'"),
        (-5, "-5"),
        (1.5, "1.5"),
        (None, ""),
        (True, "True"),
        (NOON, "2026-11-24T12:00:00.123456+00:00"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ('say "no", twice\nplease', 'say "no", twice\nplease'),
    ],
)
def test_cells(value: object, expected: str) -> None:
    assert cell(value) == expected


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_no_cell_begins_as_a_formula(value: str) -> None:
    parts = cell(value).replace("\t", ";").replace("\r", ";").replace("\n", ";").split(";")

    assert not any(part.startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠")) for part in parts)


def test_json_is_an_array_with_a_row_on_each_line() -> None:
    rows = [
        {"at": NOON, "text": "=1 ü\n", "none": None, "list": [1, {"a": True}]},
        {"at": None, "payload": '{"b": 1.0, "a": [2]}'},
    ]
    text = "".join(as_json([rows[:1], [], rows[1:]]))

    assert json.loads(text) == [
        {**rows[0], "at": "2026-11-24T12:00:00.123456+00:00"},
        {"at": None, "payload": {"b": 1.0, "a": [2]}},
    ]
    assert len(text.splitlines()) == 4
    # As it was recorded, its order and its numbers too.
    assert '"payload": {"b": 1.0, "a": [2]}' in text


def test_nothing_is_an_empty_array_and_a_line_of_names() -> None:
    assert json.loads("".join(as_json([]))) == []
    assert "".join(as_csv(["a"], [])) == "\ufeffa\r\n"


def test_a_page_is_told_before_the_next_is_read() -> None:
    def pages():  # type: ignore[no-untyped-def]
        yield [{"a": 1}]
        raise ZeroDivisionError

    told = as_csv(["a"], pages())
    assert [next(told), next(told)] == ["\ufeffa\r\n", "1\r\n"]

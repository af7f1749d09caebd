"""Rows as the text of a file, a piece at a time. Pure.

CSV is for spreadsheets, and a spreadsheet runs what looks like a formula
(https://owasp.org/www-community/attacks/CSV_Injection): such cells begin with an apostrophe. JSON
is for programs, and holds every value as it is.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Any

Row = Mapping[str, Any]

# Excel takes a file without it for one in the system's old encoding.
_MARK = "\ufeff"

# What begins a cell; and a part of it, since where a comma is in numbers Excel cuts at semicolons,
# quoted or not. The wide forms are for Japanese keyboards.
_FORMULA = re.compile(r"(^|[;\t\r\n])(?=[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20])")


# Stored as JSON text, and told as it was recorded.
_RECORDED = "payload"


def as_csv(columns: Sequence[str], pages: Iterable[Iterable[Row]]) -> Iterator[str]:
    """With a line of the columns' names."""
    yield _MARK + _lines([columns])
    for rows in pages:
        yield _lines([_cell(row[name]) for name in columns] for row in rows)


def as_json(pages: Iterable[Iterable[Row]]) -> Iterator[str]:
    """An array, each row on a line of its own: what was broken off is no JSON."""
    yield "["
    separator = "\n"
    for rows in pages:
        for row in rows:
            yield separator + _object(row)
            separator = ",\n"
    yield "\n]\n"


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    return _FORMULA.sub(r"\1'", _text(value))


def _object(row: Row) -> str:
    values = (
        f"{json.dumps(name)}: {value if name == _RECORDED else _json(value)}"
        for name, value in row.items()
    )
    return "{" + ", ".join(values) + "}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_text)


def _text(value: Any) -> str:
    """Times as ISO 8601."""
    return value.isoformat() if isinstance(value, date | datetime) else str(value)

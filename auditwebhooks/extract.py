"""The rows of a log, newest first, a page at a time: any number of them in the memory of a page.

A cursor of the database would hold a transaction open for as long as somebody downloads, and on
MariaDB all rows in memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import F, IntegerField, Q, QuerySet, Value
from django.db.models.functions import Coalesce, Length

PAGE = 1000

# Characters of long columns that are read at once: one event may have 8 million.
MOST_TEXT = 2_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names -> where the row has them."""

    short: Mapping[str, str]
    # Read for so many rows at once as fit.
    long: Mapping[str, str] = field(default_factory=dict)
    # Those of them whose length matters.
    measured: tuple[str, ...] = ()

    def without(self, names: Collection[str]) -> Columns:
        """``names``: of long ones."""
        gone = {self.long[name] for name in names}
        return Columns(
            short=self.short,
            long={name: column for name, column in self.long.items() if name not in names},
            measured=tuple(column for column in self.measured if column not in gone),
        )


Row = dict[str, Any]


def pages(rows: QuerySet[Any], columns: Columns) -> Iterator[list[Row]]:
    """The short columns."""
    for page in _pages(rows, columns, ()):
        yield [_named(row, columns.short) for row in page]


def whole_pages(rows: QuerySet[Any], columns: Columns) -> Iterator[list[Row]]:
    """The long columns with them, some rows at a time."""
    for page in _pages(rows, columns, columns.measured):
        for some in _by_length(page):
            yield list(_with_long(rows, some, columns))


def _pages(rows: QuerySet[Any], columns: Columns, measured: Iterable[str]) -> Iterator[list[Row]]:
    """Each is sought behind the last row of the one before: an OFFSET would read them again."""
    found = rows.values(
        "pk", "created_at", text_length=_length(measured), **_aliases(columns.short)
    )
    is_by_time = "-created_at" in rows.query.order_by
    behind = Q()
    while True:
        page = list(found.filter(behind)[:PAGE])
        if page:
            yield page
        if len(page) < PAGE:
            return
        behind = _behind(page[-1], is_by_time)


def _behind(row: Row, is_by_time: bool) -> Q:
    older = Q(pk__lt=row["pk"])
    if not is_by_time:
        return older
    at = row["created_at"]
    return Q(created_at__lte=at) & (Q(created_at__lt=at) | older)


def _length(columns: Iterable[str]) -> Any:
    total: Any = Value(0, output_field=IntegerField())
    for name in columns:
        total = total + Coalesce(Length(name), 0)
    return total


def _by_length(page: list[Row]) -> Iterator[list[Row]]:
    some: list[Row] = []
    length = 0
    for row in page:
        if some and length + row["text_length"] > MOST_TEXT:
            yield some
            some, length = [], 0
        some.append(row)
        length += row["text_length"]
    yield some


def _with_long(rows: QuerySet[Any], some: list[Row], columns: Columns) -> Iterator[Row]:
    """What was deleted meanwhile is left out."""
    of_model = rows.model._default_manager.using(rows.db).order_by()
    wanted = of_model.filter(pk__in=[row["pk"] for row in some])
    found = {row["pk"]: row for row in wanted.values("pk", **_aliases(columns.long))}
    for row in some:
        if row["pk"] in found:
            yield {
                **_named(row, columns.short),
                **_named(found[row["pk"]], columns.long),
            }


# An annotation may not have the name of a field.
def _aliases(columns: Mapping[str, str]) -> dict[str, F]:
    return {f"its_{name}": F(source) for name, source in columns.items()}


def _named(row: Row, columns: Mapping[str, str]) -> Row:
    return {name: row[f"its_{name}"] for name in columns}

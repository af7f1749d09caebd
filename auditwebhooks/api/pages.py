"""Pages of a list by cursor. A cursor holds every column of the order, the last of which no two
rows share: none is left out or told twice, however many come meanwhile or are of one time."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import ValidationError as FieldError
from django.db.models import Model, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import ValidationError
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.utils.urls import remove_query_param, replace_query_param

from auditwebhooks.querysets import rows_between

ORDERING = "ordering"

BY_TIME = {"-created_at": ("-created_at", "-id"), "created_at": ("created_at", "id")}
BY_ID = {"-id": ("-id",), "id": ("id",)}


class Cursor(NamedTuple):
    """``position``: a value for each column of the order, of the row beside the page; None: the
    page begins where the list does."""

    backwards: bool
    position: Sequence[Any] | None


class Pages(CursorPagination):
    """The view names its ``orderings``: what ``ordering`` may say -> columns that an index has.
    Its ``default_ordering()`` gives the one for a request that says nothing."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 500

    cursor: Any
    page: list[Any]

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self.request = request
        self.base_url = request.build_absolute_uri()
        self.page_size = self.get_page_size(request)
        self.ordering = self.get_ordering(request, queryset, view)
        self.cursor = self._read_cursor(request, queryset.model)
        rows = rows_between(self._behind_cursor(queryset), 0, self.page_size + 1)
        more = len(rows) > self.page_size
        self.page = rows[: self.page_size]
        if self.cursor.backwards:
            self.page.reverse()
        cursor_given = self.cursor.position is not None
        self.has_next = cursor_given if self.cursor.backwards else more
        self.has_previous = more if self.cursor.backwards else cursor_given
        self.display_page_controls = self.has_next or self.has_previous
        return self.page

    def get_page_size(self, request: Request) -> int:
        given = request.query_params.get(self.page_size_query_param) or str(self.page_size)
        # Else int() reads digits of every script, signs and underscores.
        size = int(given) if given.isascii() and given.isdigit() and len(given) < 9 else 0
        if not 1 <= size <= self.max_page_size:
            reason = _("Enter a whole number from 1 to %d.") % self.max_page_size
            raise ValidationError({self.page_size_query_param: [reason]})
        return size

    def get_ordering(
        self, request: Request, queryset: QuerySet[Any], view: Any
    ) -> tuple[str, ...]:
        orderings: Mapping[str, tuple[str, ...]] = view.orderings
        given = request.query_params.get(ORDERING) or view.default_ordering(request)
        if given not in orderings:
            reason = _("Known: %s.") % ", ".join(orderings)
            raise ValidationError({ORDERING: [reason]})
        return orderings[given]

    def get_next_link(self) -> str | None:
        if not self.has_next:
            return None
        return self._link(Cursor(False, self._position_of(-1)))

    def get_previous_link(self) -> str | None:
        if not self.has_previous:
            return None
        return self._link(Cursor(True, self._position_of(0)))

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = super().get_paginated_response_schema(schema)
        for link in ("next", "previous"):
            del told["properties"][link]["example"]
        return {**told, "required": ["next", "previous", "results"]}

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        size = {"type": "integer", "minimum": 1, "maximum": self.max_page_size}
        order = {"type": "string", "enum": list(view.orderings)}
        return [
            _parameter(self.cursor_query_param, "From next or previous.", {"type": "string"}),
            _parameter(ORDERING, "A minus sign: the last first.", order),
            _parameter(self.page_size_query_param, "Most rows of a page.", size),
        ]

    def _behind_cursor(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        ordering = self.ordering
        if self.cursor.backwards:
            ordering = tuple(_turned(column) for column in ordering)
        rows = queryset.order_by(*ordering)
        if self.cursor.position is None:
            return rows
        return rows.filter(_behind(ordering, self.cursor.position))

    def _position_of(self, number: int) -> list[str] | None:
        """None: all rows between were deleted meanwhile."""
        if not self.page:
            return None
        row = self.page[number]
        return [row._meta.get_field(_column(one)).value_to_string(row) for one in self.ordering]

    def _link(self, cursor: Cursor) -> str:
        here = str(self.base_url)
        if cursor == (False, None):
            return remove_query_param(here, self.cursor_query_param)
        told = urlsafe_b64encode(json.dumps(cursor).encode()).decode()
        return replace_query_param(here, self.cursor_query_param, told)

    def _read_cursor(self, request: Request, model: type[Model]) -> Cursor:
        given = request.query_params.get(self.cursor_query_param)
        if not given:
            return Cursor(False, None)
        try:
            backwards, position = json.loads(urlsafe_b64decode(given.encode("ascii")))
            if position is not None:
                position = [
                    _value(model, column, text)
                    for column, text in zip(self.ordering, position, strict=True)
                ]
        except (TypeError, ValueError, RecursionError, FieldError):
            reason = _("There is no such page. Take the cursor from next or previous.")
            raise ValidationError({self.cursor_query_param: [reason]}) from None
        return Cursor(bool(backwards), position)


def _behind(ordering: Sequence[str], position: Sequence[Any]) -> Q:
    """Rows that come after this one. The first column's bound stands by itself: an index is
    entered by it."""
    sides = ["lt" if column.startswith("-") else "gt" for column in ordering]
    columns = [_column(column) for column in ordering]
    found = Q(**{f"{columns[-1]}__{sides[-1]}": position[-1]})
    for column, side, value in zip(columns[-2::-1], sides[-2::-1], position[-2::-1], strict=True):
        past = Q(**{f"{column}__{side}": value})
        found = Q(**{f"{column}__{side}e": value}) & (past | found)
    return found


def _value(model: type[Model], column: str, text: Any) -> Any:
    if not isinstance(text, str):
        raise TypeError(text)
    field: Any = model._meta.get_field(_column(column))
    value = field.to_python(text)
    field.run_validators(value)
    if isinstance(value, datetime) and not _is_storable(value):
        raise ValueError(text)
    return value


def _is_storable(moment: datetime) -> bool:
    """No database has the first and the last year in every zone."""
    return 1 < moment.year < 9999 and timezone.is_aware(moment) == settings.USE_TZ


def _column(ordered: str) -> str:
    return ordered.removeprefix("-")


def _turned(ordered: str) -> str:
    return _column(ordered) if ordered.startswith("-") else f"-{ordered}"


def _parameter(name: str, words: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "description": words,
        "schema": schema,
    }

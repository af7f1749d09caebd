"""Writes of one row that tell how it stood before: the read is part of the UPDATE or DELETE.

That saves a statement, and is as true as a read under a lock. Where the database or the model
does not allow it the row is read by a statement of its own, as ``rows.read_row`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import sql

from auditwebhooks.rows import Fetched, OnInstance, Rows, Select, fetch_row, select_by_key

# The common table expression of an UPDATE: the row as it stood.
_BEFORE = "auditwebhooks_before"


def update_reads(model: type[models.Model]) -> bool:
    """Whether the row is read with the UPDATE of a save, or right before it."""
    return _stands_in_one_table(model)


def update_tells(model: type[models.Model], using: str) -> bool:
    """Whether ``update_row`` may write such a row.

    PostgreSQL only: ``RETURNING`` must be able to name what a lock in the same statement has
    seen, and that lock must see what the last writer left.
    """
    is_able = connections[using].vendor == "postgresql"
    return is_able and update_reads(model) and not model._meta.select_on_save


def delete_tells(model: type[models.Model], using: str) -> bool:
    """Whether a ``DeleteWatch`` may stand around the delete of such a row."""
    return _deletes_return_rows(connections[using]) and _stands_in_one_table(model)


def _deletes_return_rows(connection: BaseDatabaseWrapper) -> bool:
    """The versions that return rows from INSERT do so from DELETE; MySQL has neither."""
    return bool(connection.features.can_return_columns_from_insert)


def _stands_in_one_table(model: type[models.Model]) -> bool:
    """One that is this project's: what is not managed may be a view."""
    meta = model._meta
    is_composite = isinstance(meta.pk, models.CompositePrimaryKey)
    return meta.managed and not meta.parents and not is_composite


def is_whole_table(rows: Rows) -> bool:
    """Whether the host's base manager leaves no row out, and adds nothing."""
    query = rows.query
    return type(query) is sql.Query and not query.where and not query.annotations


def update_row(
    rows: Rows, pk: Any, values: Sequence[tuple[Any, Any, Any]], attnames: tuple[str, ...]
) -> Fetched | None:
    """Write ``values``, as ``QuerySet._update`` takes them, to the row with this key.

    ``rows``: the whole table. Returns how the row stood before; None: there is no such row.
    """
    using = rows.db
    connection = connections[using]
    query = rows.query.chain(sql.UpdateQuery)
    query.add_update_fields(values)
    update, params = query.get_compiler(using).as_sql()
    select = select_by_key(rows.model, attnames, using)
    key = select.key.get_db_prep_value(pk, connection)
    statement = f"{_read_for_update(select)} {update} {_told_by_update(select)}"
    with connection.cursor() as cursor:
        cursor.execute(statement, [key, *params, key])
        row = cursor.fetchone()
    return None if row is None else Fetched(select, row, connection)


def _columns(select: Select) -> str:
    """Names that no column of the host has."""
    return ", ".join(f"{_BEFORE}_{number}" for number in range(len(select.attnames)))


def _read_for_update(select: Select) -> str:
    return f"WITH {_BEFORE} ({_columns(select)}) AS MATERIALIZED ({select.sql})"


def _told_by_update(select: Select) -> str:
    return f"FROM {_BEFORE} WHERE {select.key_column} = %s RETURNING {_columns(select)}"


class DeleteWatch(OnInstance):
    """An ``execute_wrapper`` around ``instance.delete()``: it has the DELETE of the row return
    it. A statement that names its table before that may write the row, so the row is read first.
    """

    def __init__(self, instance: models.Model, using: str) -> None:
        self._instance = instance
        self._model = type(instance)
        self._using = using
        self._pk: Any = None
        self._select: Select | None = None
        self._row: Fetched | None = None

    def is_of(self, instance: models.Model) -> bool:
        """A shallow copy of an instance has its watch too."""
        return self._instance is instance

    def begin(self, pk: Any, attnames: tuple[str, ...]) -> None:
        """The row with this key is about to go."""
        self._pk = pk
        self._select = select_by_key(self._model, attnames, self._using)

    def before(self) -> Fetched | None:
        """How the row stood; None: there was no such row."""
        self._read()
        return self._row

    def _read(self) -> None:
        select, self._select = self._select, None
        if select is not None:
            self._row = fetch_row(self._model, select.attnames, self._pk, self._using)

    def __call__(
        self,
        execute: Callable[..., Any],
        statement: str,
        params: Any,
        many: bool,  # noqa: FBT001 - as Django calls it
        context: dict[str, Any],
    ) -> Any:
        select = self._select
        if select is None:
            return execute(statement, params, many, context)
        # psycopg takes objects, too, which may name any table.
        if isinstance(statement, str) and select.table not in statement:
            return execute(statement, params, many, context)
        key = select.key.get_db_prep_value(self._pk, connections[self._using])
        if statement != _delete_of_one(select) or list(params or ()) != [key]:
            self._read()
            return execute(statement, params, many, context)
        self._select = None
        returning = f"{statement} RETURNING {', '.join(select.columns)}"
        result = execute(returning, params, many, context)
        # All of them: SQLite counts the rows that were fetched.
        for row in context["cursor"].fetchall():
            self._row = Fetched(select, row, connections[self._using])
        return result


def _delete_of_one(select: Select) -> str:
    """As Django deletes one row. Where it does so otherwise, the row is read by itself."""
    return f"DELETE FROM {select.table} WHERE {select.key_column} IN (%s)"  # noqa: S608

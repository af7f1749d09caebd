"""Reading rows as the database holds them, under the lock that the coming write takes anyway."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper


def read_row(
    model: type[models.Model], attnames: tuple[str, ...], pk: Any, using: str
) -> dict[str, Any] | None:
    """The row's values by attname, converted as Django's ORM does; None: no such row.

    Must run inside a transaction: nobody else changes the row before it ends.
    """
    connection = connections[using]
    take_write_lock(connection, model)
    if isinstance(model._meta.pk, models.CompositePrimaryKey):
        rows: models.QuerySet[Any] = models.QuerySet(model, using=using).filter(pk=pk)
        return next(iter(locked(rows, using).values(*attnames)), None)
    return _select(model, attnames, using).run(pk, connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Select:
    """A SELECT by key, compiled once: building the query takes longer than the database does."""

    sql: str
    attnames: tuple[str, ...]
    key: Any
    # (column, its converters, the expression they are for)
    converters: Sequence[tuple[int, Sequence[Callable[..., Any]], Any]]

    def run(self, pk: Any, connection: BaseDatabaseWrapper) -> dict[str, Any] | None:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, [self.key.get_db_prep_value(pk, connection)])
            row = cursor.fetchone()
        if row is None:
            return None
        values = list(row)
        for column, converters, expression in self.converters:
            for convert in converters:
                values[column] = convert(values[column], expression, connection)
        return dict(zip(self.attnames, values, strict=True))


@cache
def _select(model: type[models.Model], attnames: tuple[str, ...], using: str) -> _Select:
    rows: models.QuerySet[Any] = models.QuerySet(model, using=using).filter(pk=_AnyKey())
    compiler = locked(rows, using).values_list(*attnames).query.get_compiler(using)
    sql, _params = compiler.as_sql()
    converters = compiler.get_converters([expression for expression, *_rest in compiler.select])
    return _Select(
        sql=sql,
        attnames=attnames,
        key=model._meta.pk,
        converters=[(column, *one) for column, one in converters.items()],
    )


class _AnyKey(models.Value):
    """Stands for the key while the statement is compiled: its place, and no value."""

    def __init__(self) -> None:
        super().__init__(None)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [None]


def locked(rows: models.QuerySet[Any], using: str) -> models.QuerySet[Any]:
    """The rows under the lock that an UPDATE of them takes, where the database has row locks."""
    features = connections[using].features
    if not features.has_select_for_update:
        return rows
    return rows.select_for_update(no_key=features.has_select_for_no_key_update)


def take_write_lock(connection: BaseDatabaseWrapper, model: type[models.Model]) -> None:
    """On SQLite, become the writer before reading.

    A SELECT followed by an UPDATE in one DEFERRED transaction fails at once when another writer
    commits in between; a write waits its turn instead. An UPDATE of no rows is a write. With
    ``transaction_mode`` IMMEDIATE or EXCLUSIVE the transaction began as the writer.
    """
    if connection.vendor != "sqlite":
        return
    if getattr(connection, "transaction_mode", None) in ("IMMEDIATE", "EXCLUSIVE"):
        return
    quote = connection.ops.quote_name
    column = quote(str(model._meta.local_concrete_fields[0].column))
    with connection.cursor() as cursor:
        table = quote(model._meta.db_table)
        cursor.execute(f"UPDATE {table} SET {column} = {column} WHERE 0")  # noqa: S608

"""Reading one row as the database holds it, under the lock that the coming write takes anyway."""

from __future__ import annotations

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
    rows: models.QuerySet[models.Model] = models.QuerySet(model, using=using).filter(pk=pk)
    return next(iter(locked(rows, using).values(*attnames)), None)


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

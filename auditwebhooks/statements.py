"""One statement for many rows of this app's own tables, in a tenth of the time that Django's ORM
takes for them. Values are those of the database driver's kind; nothing is validated."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from functools import cache
from itertools import chain, islice
from typing import Any, TypeVar

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

M = TypeVar("M", bound=models.Model)
AnyField = Any

Row = tuple[Any, ...]


def insert_rows(model: type[models.Model], rows: Iterable[Row], using: str) -> bool:
    """Insert rows of all columns but the key, in the order of the model's fields. False: none.

    On PostgreSQL the last may be made while the database stores the first: making one must not
    query, and must not fail.
    """
    iterator = iter(rows)
    first = list(islice(iterator, 2))
    if not first:
        return False
    insert, copy_in = _insert(model, using)
    with connections[using].cursor() as cursor:
        if len(first) == 1:
            cursor.execute(insert, first[0])
        elif hasattr(cursor, "copy"):
            # psycopg 3.
            with cursor.copy(copy_in) as copy:
                for row in chain(first, iterator):
                    copy.write_row(row)
        else:
            cursor.executemany(insert, [*first, *iterator])
    return True


# Of a statement, beside its longest text.
_OTHER_VALUES = 256 * 1024


def room_for_text(connection: BaseDatabaseWrapper) -> int | None:
    """How many bytes the long texts of a row may have together; None: as many as they like."""
    if connection.vendor != "mysql":
        return None
    # Past what refuses queries while names are told.
    with closing(connection.create_cursor()) as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        packet = int(cursor.fetchone()[0])
    # A statement is one packet, and writes each quote and backslash as two.
    return packet // 2 - _OTHER_VALUES


def columns_of(instance: models.Model, using: str) -> dict[str, Any]:
    """A new instance's values by attname, but for its key, as the database driver takes them."""
    connection = connections[using]
    return {
        one.attname: _prepared(one, getattr(instance, one.attname), connection)
        for one in instance._meta.concrete_fields
        if not one.primary_key
    }


def _prepared(field: AnyField, value: Any, connection: BaseDatabaseWrapper) -> Any:
    if isinstance(field, models.JSONField) and value is not None:
        # psycopg would make the text for each row in which the value stands.
        return json.dumps(value, cls=field.encoder)
    return field.get_db_prep_save(value, connection)


@cache
def _insert(model: type[models.Model], using: str) -> tuple[str, str]:
    """INSERT and COPY."""
    quote = connections[using].ops.quote_name
    fields = [one for one in model._meta.concrete_fields if not one.primary_key]
    table = quote(model._meta.db_table)
    names = ", ".join(quote(str(one.column)) for one in fields)
    marks = ", ".join(["%s"] * len(fields))
    insert = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - own names
    return insert, f"COPY {table} ({names}) FROM STDIN"


def update_rows(instances: Sequence[models.Model], names: Sequence[str], using: str) -> None:
    """Write these fields of rows that are there, each with its own values."""
    if not instances:
        return
    connection = connections[using]
    model = type(instances[0])
    if connection.vendor == "sqlite":
        _update_each(model, instances, tuple(names), connection)
        return
    if len(instances) == 1 or not _takes_json(connection):
        # A large text would grow twice in the text of all rows, and MariaDB limits its length.
        for one in instances:
            values = {name: getattr(one, name) for name in names}
            models.QuerySet(model, using=using).filter(pk=one.pk).update(**values)
        return
    statement, fields = _update(model, tuple(names), using)
    texts = _JSON_AS_TEXT[connection.vendor]
    rows = [
        {
            one.attname: json.dumps(value) if texts and type(one) is models.JSONField else value
            for one in fields
            for value in (instance.__dict__[one.attname],)
        }
        for instance in instances
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, [json.dumps(rows, default=str, allow_nan=False)])


def _takes_json(connection: Any) -> bool:
    """Whether it makes rows of a JSON text: MariaDB does so since 10.6."""
    is_mariadb = connection.vendor == "mysql" and connection.mysql_is_mariadb
    return not is_mariadb or connection.mysql_version >= (10, 6)


# Whether a JSON column's value must be a text inside the JSON text of all rows.
_JSON_AS_TEXT = {"postgresql": False, "mysql": True}


@cache
def _update(
    model: type[models.Model], names: tuple[str, ...], using: str
) -> tuple[str, tuple[AnyField, ...]]:
    """All values are one parameter, a JSON text: psycopg takes ten times as long to write arrays
    of them, and MariaDB knows none."""
    connection = connections[using]
    quote = connection.ops.quote_name
    table, key = quote(model._meta.db_table), quote(str(model._meta.pk.column))
    written: list[AnyField] = [model._meta.get_field(name) for name in names]
    fields: tuple[AnyField, ...] = (model._meta.pk, *written)
    if connection.vendor == "postgresql":
        columns = ", ".join(f"{quote(one.column)} {one.rel_db_type(connection)}" for one in fields)
        values = ", ".join(f"{quote(one.column)} = new.{quote(one.column)}" for one in written)
        # By the names of the columns, which are those of the attributes.
        return (
            f"UPDATE {table} AS old SET {values} "  # noqa: S608 - own names
            f"FROM json_to_recordset(%s) AS new({columns}) WHERE old.{key} = new.{key}"
        ), fields
    columns = ", ".join(
        f"{quote(one.column)} {_mysql_type(one, connection)} PATH '$.{one.attname}'"
        for one in fields
    )
    values = ", ".join(f"old.{quote(one.column)} = new.{quote(one.column)}" for one in written)
    return (
        f"UPDATE {table} AS old "  # noqa: S608 - own names
        f"JOIN JSON_TABLE(%s, '$[*]' COLUMNS ({columns})) AS new "
        f"ON old.{key} = new.{key} SET {values}"
    ), fields


def _mysql_type(one: AnyField, connection: BaseDatabaseWrapper) -> str:
    return "longtext" if isinstance(one, models.JSONField) else str(one.rel_db_type(connection))


def _update_each(
    model: type[models.Model],
    instances: Sequence[models.Model],
    names: tuple[str, ...],
    connection: BaseDatabaseWrapper,
) -> None:
    """SQLite runs it for each row in no time: there is no server to ask."""
    quote = connection.ops.quote_name
    key = model._meta.pk
    fields: list[AnyField] = [model._meta.get_field(name) for name in names]
    values = ", ".join(f"{quote(one.column)} = %s" for one in fields)
    statement = (
        f"UPDATE {quote(model._meta.db_table)} SET {values} "  # noqa: S608 - own names
        f"WHERE {quote(str(key.column))} = %s"
    )
    rows = [
        [one.get_db_prep_save(instance.__dict__[one.attname], connection) for one in fields]
        + [instance.pk]
        for instance in instances
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)


def upsert(model: type[M], rows: Iterable[M], fields: Sequence[str], using: str) -> None:
    """Insert rows with their keys, or write these fields where they are: 50 to 100 us a row,
    bulk_update takes more than 1,000."""
    with_target = connections[using].features.supports_update_conflicts_with_target
    model._base_manager.using(using).bulk_create(
        rows,
        update_conflicts=True,
        update_fields=fields,
        unique_fields=[model._meta.pk.name] if with_target else None,
    )

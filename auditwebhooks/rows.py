"""Rows as the database holds them, read under the lock that the coming write takes anyway, and in
its transaction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from django.conf import settings
from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.base import ModelState
from django.db.models.expressions import RawSQL

T = TypeVar("T")
# (column, its converters, the expression they are for)
Converters = Sequence[tuple[int, Sequence[Callable[..., Any]], Any]]
M = TypeVar("M", bound=models.Model)
Rows = Any  # a QuerySet of any model


def read_row(
    model: type[models.Model], attnames: tuple[str, ...], pk: Any, using: str
) -> dict[str, Any] | None:
    """The row's values by attname, converted as Django's ORM does; None: no such row.

    Must run inside a transaction: nobody else changes the row before it ends.
    """
    if not isinstance(model._meta.pk, models.CompositePrimaryKey):
        return _values(fetch_row(model, attnames, pk, using))
    take_write_lock(connections[using], model)
    rows: models.QuerySet[Any] = models.QuerySet(model, using=using).filter(pk=pk)
    return next(iter(locked(rows, using).values(*attnames)), None)


def fetch_row(
    model: type[models.Model], attnames: tuple[str, ...], pk: Any, using: str
) -> Fetched | None:
    """``read_row``, but for the conversion, which a field of the host's may fail in."""
    connection = connections[using]
    take_write_lock(connection, model)
    return select_by_key(model, attnames, using).run(pk, connection)


def look_at_row(
    model: type[models.Model], attnames: tuple[str, ...], pk: Any, using: str
) -> dict[str, Any] | None:
    """As ``read_row``, but without a lock and outside of transactions too."""
    statement = _select(model, attnames, using, settings.USE_TZ, lock=False)
    return _values(statement.run(pk, connections[using]))


def _values(row: Fetched | None) -> dict[str, Any] | None:
    return None if row is None else row.values()


def select_by_key(model: type[models.Model], attnames: tuple[str, ...], using: str) -> Select:
    """The statement of ``fetch_row``."""
    return _select(model, attnames, using, settings.USE_TZ, lock=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Select:
    """A SELECT by key, compiled once: building the query takes longer than the database does."""

    sql: str
    # Quoted, as the statement names them.
    table: str
    columns: tuple[str, ...]
    key_column: str
    attnames: tuple[str, ...]
    key: Any
    converters: Converters

    def run(self, pk: Any, connection: BaseDatabaseWrapper) -> Fetched | None:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, [self.key.get_db_prep_value(pk, connection)])
            row = cursor.fetchone()
        return None if row is None else Fetched(self, row, connection)


class OnInstance:
    """What waits on an instance of the host's while it is written. A copy or a pickle of the
    instance, as a receiver of its signals may make for a task, has None in its place."""

    def __reduce__(self) -> tuple[type[None], tuple[()]]:
        return type(None), ()


class Fetched(NamedTuple):
    """A row as the driver gave it."""

    select: Select
    row: Sequence[Any]
    connection: BaseDatabaseWrapper

    def values(self) -> dict[str, Any]:
        """By attname, converted as Django's ORM does. Raises what a host's field raises."""
        values = _converted(self.row, self.select.converters, self.connection)
        return dict(zip(self.select.attnames, values, strict=True))


def _converted(
    row: Sequence[Any], converters: Converters, connection: BaseDatabaseWrapper
) -> list[Any]:
    values = list(row)
    for column, functions, expression in converters:
        for convert in functions:
            values[column] = convert(values[column], expression, connection)
    return values


@cache
def _select(
    model: type[models.Model], attnames: tuple[str, ...], using: str, use_tz: bool, *, lock: bool
) -> Select:
    """``use_tz``: the converters depend on it."""
    rows: models.QuerySet[Any] = models.QuerySet(model, using=using).filter(pk=_AnyKey())
    rows = locked(rows, using) if lock else rows
    compiler = rows.values_list(*attnames).query.get_compiler(using)
    sql, _params = compiler.as_sql()
    key, quote = model._meta.pk, connections[using].ops.quote_name
    table = quote(model._meta.db_table)
    return Select(
        sql=sql,
        table=table,
        columns=tuple(column for _expression, (column, _params), _alias in compiler.select),
        key_column=f"{table}.{quote(str(key.column))}",
        attnames=attnames,
        key=key,
        converters=_converters(compiler),
    )


def _converters(compiler: Any) -> Converters:
    """Of the columns of a statement that was compiled."""
    selected = [expression for expression, *_rest in compiler.select]
    return [(column, *one) for column, one in compiler.get_converters(selected).items()]


class _AnyKey(models.Value):
    """Stands for the key while the statement is compiled: its place, and no value."""

    def __init__(self) -> None:
        super().__init__(None)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [None]


_MOMENT: models.DateTimeField[Any, Any] = models.DateTimeField()


class AnyMoment(models.Value):
    """Stands for a moment while a statement is compiled: see ``SelectAt``."""

    PLACE = object()

    def __init__(self) -> None:
        super().__init__(None, output_field=_MOMENT)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        return "%s", [self.PLACE]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectAt:
    """A SELECT that asks about a moment again and again, compiled once for a database and a
    USE_TZ, which the converters depend on."""

    sql: str
    # With AnyMoment.PLACE where the moment belongs.
    params: Sequence[Any]
    converters: Converters

    @classmethod
    def of(cls, rows: Rows, using: str) -> SelectAt:
        """``rows``: a ``values_list`` with ``AnyMoment()`` for the moment."""
        compiler = rows.query.get_compiler(using)
        sql, params = compiler.as_sql()
        return cls(sql=sql, params=tuple(params), converters=_converters(compiler))

    def run(self, moment: datetime, connection: BaseDatabaseWrapper) -> Iterator[list[Any]]:
        """The rows, converted as Django's ORM does."""
        value = _MOMENT.get_db_prep_value(moment, connection)
        params = [value if one is AnyMoment.PLACE else one for one in self.params]
        with connection.cursor() as cursor:
            cursor.execute(self.sql, params)
            found = cursor.fetchall()
        return (_converted(row, self.converters, connection) for row in found)


def locked(
    rows: models.QuerySet[M], using: str, *, skip_held: bool = False, for_delete: bool = False
) -> models.QuerySet[M]:
    """The rows under the lock that an UPDATE of them takes, where the database has row locks.

    ``skip_held``: without those that somebody else has locked, where it can leave them out.
    ``for_delete``: under the lock of a DELETE.
    """
    features = connections[using].features
    if not features.has_select_for_update:
        return rows
    return rows.select_for_update(
        skip_locked=skip_held and features.has_select_for_update_skip_locked,
        no_key=not for_delete and features.has_select_for_no_key_update,
    )


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
    if _has_written(connection):
        return
    with connection.cursor() as cursor:
        cursor.execute(_no_update(model, connection.alias))


class WriterHook(partial[None]):
    """For ``on_commit``, by one who has written: a transaction that has it is the writer."""


def _has_written(connection: BaseDatabaseWrapper) -> bool:
    """Of the transaction at hand, as far as its last hook tells: hooks go with it, and with the
    savepoint that they were made in."""
    hooks = connection.run_on_commit
    return bool(hooks) and isinstance(hooks[-1][1], WriterHook)


@cache
def _no_update(model: type[models.Model], using: str) -> str:
    quote = connections[using].ops.quote_name
    written = next(one for one in model._meta.local_concrete_fields if not one.generated)
    column, table = quote(str(written.column)), quote(model._meta.db_table)
    return f"UPDATE {table} SET {column} = {column} WHERE 0"  # noqa: S608


# Those who wait for SQLite's write lock look for it so often.
PAUSE = 0.1


def let_others_write(using: str) -> None:
    """Between two batches of long work: on SQLite nobody else would get to write, though the lock
    is free for a moment."""
    if not connections[using].features.has_select_for_update:
        time.sleep(PAUSE)


def database_of(rows: Rows) -> str:
    return rows._db or router.db_for_write(rows.model, **rows._hints)


def in_transaction(using: str) -> AbstractContextManager[Any]:
    """A transaction of our own in autocommit.

    Inside a transaction of the host nothing is opened: an error that the host catches must not
    mark more for rollback than without us. Inside one of ours a receiver's write gets a
    savepoint: without us it would stand alone, and its error would concern nothing else.
    """
    connection = connections[using]
    if connection.in_atomic_block:
        innermost = connection.atomic_blocks[-1]
        return transaction.atomic(using=using) if innermost in _own else nullcontext()
    return _transaction(connection) if connection.get_autocommit() else nullcontext()


# Transactions of our own; while one lasts its connection holds it.
_own: WeakSet[Any] = WeakSet()


@contextmanager
def _transaction(connection: BaseDatabaseWrapper) -> Iterator[None]:
    block = transaction.atomic(using=connection.alias)
    with block:
        _own.add(block)
        yield
        if connection.needs_rollback:
            # It would be rolled back without a word.
            raise transaction.TransactionManagementError(
                "A signal receiver caught a database error while an audited object was written. "
                "Change and event share a transaction, which is lost: have the receiver do its "
                "own writes inside transaction.atomic()."
            )


def keyset(
    rows: Rows, attnames: Sequence[str], using: str, size: int
) -> Iterator[list[tuple[Any, ...]]]:
    """The rows' keys and columns in pages: each a statement, none with an OFFSET."""
    ordered = locked(rows.order_by("pk"), using).values_list("pk", *attnames)
    page = list(ordered[:size])
    while page:
        yield page
        if len(page) < size:
            return
        page = list(ordered.filter(pk__gt=page[-1][0])[:size])


def keys_of(rows: Rows, key: str = "pk") -> Rows:
    """The rows' keys as a subquery; locks that the host asked for have no place in one."""
    keys = rows.order_by().values(key)
    keys.query.select_for_update = False
    keys.query.select_for_update_of = ()
    return keys


def key_list(model: type[models.Model], keys: Iterable[Any], using: str) -> Any:
    """Keys for ``pk__in`` on PostgreSQL: one array, where a parameter for each of 100,000 would
    take 40 MB."""
    key, connection = model._meta.pk, connections[using]
    if isinstance(key, models.CompositePrimaryKey):
        return list(keys)
    values = [key.get_db_prep_value(one, connection) for one in keys]
    return RawSQL(f"SELECT unnest(%s::{key.rel_db_type(connection)}[])", [values])  # noqa: S608, S611


def key_of(instance: models.Model) -> Any:
    """The key as the database gives it: a host may have set it as text."""
    return instance._meta.pk.to_python(instance.pk)


def is_known(pk: Any) -> bool:
    """Whether it is a key, and not what the database has yet to make one of."""
    parts = pk if isinstance(pk, tuple) else (pk,)
    return not any(one is None or hasattr(one, "resolve_expression") for one in parts)


def pages(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while page := list(islice(remaining, size)):
        yield page


def read_whole(
    model: type[models.Model], keys: Sequence[Any], using: str
) -> dict[Any, models.Model]:
    """The stored rows by key."""
    if not keys:
        return {}
    rows: Any = models.QuerySet(model, using=using).filter(pk__in=keys)
    return {instance.pk: instance for instance in instances(model, rows, using)}


def instances(model: type[models.Model], rows: Rows, using: str) -> Iterator[models.Model]:
    """Instances made without the host's ``__init__`` and its signals."""
    attnames = [one.attname for one in model._meta.concrete_fields]
    for values in rows.values_list(*attnames):
        yield instance_of(model, zip(attnames, values, strict=True), using)


def instance_of(model: type[M], values: Iterable[tuple[str, Any]], using: str) -> M:
    """What the database has by these attnames, in a tenth of the time that ``only`` takes. What
    is left out is fetched when it is asked for."""
    instance = model.__new__(model)
    instance._state = ModelState()
    instance._state.adding, instance._state.db = False, using
    instance.__dict__.update(values)
    return instance

"""What a bulk write changed: rows are read before and after it, page by page, in its transaction.

The write itself stays the one statement that Django makes of it: split, its subqueries and the
unique constraints would mean something else. Memory holds what each row was before, compressed.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from django.db import connections, models, router, transaction
from django.db.models.base import ModelState

from auditwebhooks.capture import (
    Batch,
    batched,
    harmless,
    is_recording,
    only_the_database_knows,
)
from auditwebhooks.enums import Action
from auditwebhooks.recording import Draft, surroundings
from auditwebhooks.registry import ModelClass
from auditwebhooks.rows import locked, take_write_lock
from auditwebhooks.snapshot import AnyField, changed_fields, snapshot
from auditwebhooks.subject import Subject, name_of, nameless, subject_of, write

T = TypeVar("T")
Rows = Any  # a QuerySet of any model
# Field name -> JSON value, of one row.
Values = dict[str, Any]

# Rows that are read, and events that are written, with one statement.
PAGE = 1000


def update(rows: Rows, values: Mapping[str, Any], execute: Callable[[Rows], int]) -> int:
    """``rows.update(**values)``, recorded. ``execute`` updates the rows that it is given."""
    subject = _recorded(rows, Action.UPDATE)
    written = _written(subject, values) if subject else ()
    if subject is None or not written or rows.query.is_sliced or rows.query.combinator:
        # Nothing to record, or Django refuses.
        return execute(rows)
    using = database_of(rows)
    with in_transaction(using):
        before = _Before.read(subject, written, rows, using)
        if before is None:
            return execute(rows)
        count = execute(before.restrict(rows, using))
        _record_update(subject, written, before, using)
    return count


def delete_each(rows: Rows, execute: Callable[[], T]) -> T:
    """``rows.delete()``, which deletes them one by one with signals: they are read together
    before it, and their events are written together after it."""
    subject = _recorded(rows, Action.DELETE)
    if subject is None or rows.query.is_sliced or rows.query.combinator or rows.query.distinct:
        return execute()
    using = database_of(rows)
    with in_transaction(using):
        batch = Batch(stored=_read_all(subject, rows, using) or {})
        with batched(batch):
            result = execute()
        _write_pages(batch.drafts, using)
    return result


@harmless
def _read_all(subject: Subject, rows: Rows, using: str) -> dict[tuple[ModelClass, Any], Values]:
    take_write_lock(connections[using], subject.model)
    found = {}
    for page in _keyset(_plain(subject.model, rows, using), subject.attnames, using):
        for pk, *values in page:
            stored = dict(zip(subject.attnames, values, strict=True))
            found[subject.model, pk] = subject.snapshot(stored)
    return found


@harmless
def _write_pages(drafts: Sequence[Draft], using: str) -> None:
    for page in pages(drafts, PAGE):
        write(page, using)


def delete(rows: Rows, using: str, execute: Callable[[], T]) -> T:
    """A DELETE of these rows in one statement, without signals, recorded."""
    subject = _recorded(rows, Action.DELETE)
    if subject is None:
        return execute()
    with in_transaction(using):
        before = _Before.read(subject, subject.fields, rows, using)
        result = execute()
        if before is not None:
            _record_delete(subject, before, using)
    return result


def create(
    rows: Rows, objects: Iterable[models.Model], execute: Callable[[list[models.Model]], list[Any]]
) -> list[Any]:
    """``rows.bulk_create(objects)`` without conflicts, recorded."""
    made = list(objects)
    subject = _recorded(rows, Action.CREATE)
    if subject is None or not made:
        return execute(made)
    using = database_of(rows)
    with in_transaction(using):
        result = execute(made)
        for page in pages(made, PAGE):
            _record_create(subject, page, using)
    return result


def merge(
    rows: Rows,
    objects: Iterable[models.Model],
    unique_fields: Collection[str] | None,
    execute: Callable[[list[models.Model]], list[Any]],
) -> list[Any]:
    """``rows.bulk_create(objects)`` that ignores or updates what is there already, recorded: the
    rows are looked up before and after by a key that all the objects have."""
    made = list(objects)
    subject = subject_of(rows.model) if is_recording() else None
    if subject is None or not made:
        return execute(made)
    using = database_of(rows)
    with in_transaction(using):
        key = _Key.of(subject, made, unique_fields)
        before = None if key is None else _look_up(subject, key, made, using, lock=True)
        result = execute(made)
        _record_merge(subject, key, before, made, using)
    return result


def _recorded(rows: Rows, action: Action) -> Subject | None:
    subject = subject_of(rows.model) if is_recording() else None
    return subject if subject is not None and subject.records(action) else None


def database_of(rows: Rows) -> str:
    return rows._db or router.db_for_write(rows.model, **rows._hints)


def in_transaction(using: str) -> AbstractContextManager[Any]:
    """Inside a transaction of the host nothing is opened: an error that the host catches must
    not mark more for rollback than without us."""
    connection = connections[using]
    if connection.in_atomic_block or not connection.get_autocommit():
        return nullcontext()
    return transaction.atomic(using=using)


def _written(subject: Subject, values: Mapping[str, Any]) -> tuple[AnyField, ...]:
    """The recorded fields that an UPDATE of these names changes; generated ones follow."""
    if not values:
        return ()
    options = subject.model._meta
    names = {options.pk.name if name == "pk" else name for name in values}
    return tuple(
        one for one in subject.fields if one.name in names or one.attname in names or one.generated
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """How the rows stood, locked and in the order of their keys."""

    model: ModelClass
    # Each [(key, values of the fields read)], pickled and compressed.
    packed: Sequence[bytes]

    @classmethod
    @harmless
    def read(
        cls, subject: Subject, fields: Sequence[AnyField], rows: Rows, using: str
    ) -> _Before | None:
        take_write_lock(connections[using], subject.model)
        attnames = [one.attname for one in fields]
        packed = []
        for page in _keyset(_plain(subject.model, rows, using), attnames, using):
            read = [
                (pk, snapshot(fields, dict(zip(attnames, values, strict=True))))
                for pk, *values in page
            ]
            packed.append(zlib.compress(pickle.dumps(read), 1))
        return cls(model=subject.model, packed=packed)

    def pages(self) -> Iterator[list[tuple[Any, Values]]]:
        for packed in self.packed:
            # Written by ``read`` in this process.
            yield pickle.loads(zlib.decompress(packed))  # noqa: S301

    def restrict(self, rows: Rows, using: str) -> Rows:
        """Only the rows that were read and locked. Where another transaction could have added one
        since, it would be changed and not be recorded; elsewhere the locks keep it out."""
        if connections[using].vendor != "postgresql":
            return rows
        keys = [pk for page in self.pages() for pk, _values in page]
        return rows.filter(pk__in=keys)


def _plain(model: ModelClass, rows: Rows, using: str) -> Rows:
    """The same rows of the recorded model, without annotations, joins and DISTINCT, which would
    stand in the way of locking."""
    query = rows.query
    joined = len(query.alias_map) > 1 or query.annotations or query.extra
    if joined or query.distinct or query.group_by or rows.model._meta.concrete_model is not model:
        keys = rows.order_by().values("pk")
        return models.QuerySet(model, using=using).filter(pk__in=keys)
    plain: Any = models.QuerySet(model, query=query.chain(), using=using)
    plain.query.clear_deferred_loading()
    plain.query.select_related = False
    return plain


def _keyset(rows: Rows, attnames: Sequence[str], using: str) -> Iterator[list[tuple[Any, ...]]]:
    """The rows' keys and columns in pages: each a statement, none with an OFFSET."""
    ordered = locked(rows.order_by("pk"), using).values_list("pk", *attnames)
    page = list(ordered[:PAGE])
    while page:
        yield page
        if len(page) < PAGE:
            return
        page = list(ordered.filter(pk__gt=page[-1][0])[:PAGE])


def pages(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while page := list(islice(remaining, size)):
        yield page


@harmless
def _record_update(
    subject: Subject, written: Sequence[AnyField], before: _Before, using: str
) -> None:
    for page in before.pages():
        after = _read_whole(subject.model, [pk for pk, _values in page], using)
        drafts = []
        around = surroundings()
        with Names(subject.model, using) as names:
            for pk, previous in page:
                instance = after.get(pk)
                if instance is None:
                    # Its key was changed, or a trigger took it away.
                    continue
                current = subject.snapshot(instance.__dict__)
                changed = changed_fields(written, previous, current)
                if changed:
                    drafts.append(
                        subject.draft(
                            Action.UPDATE.value,
                            pk,
                            names.of(instance),
                            current=current,
                            previous={**current, **previous},
                            metadata={"changed_fields": changed},
                            around=around,
                        )
                    )
        write(drafts, using)


@harmless
def _record_delete(subject: Subject, before: _Before, using: str) -> None:
    for page in before.pages():
        around = surroundings()
        drafts = [
            subject.draft(
                Action.DELETE.value,
                pk,
                f"{subject.model._meta.object_name} object ({pk})",
                previous=previous,
                around=around,
            )
            for pk, previous in page
        ]
        write(drafts, using)


@harmless
def _record_create(subject: Subject, made: Sequence[models.Model], using: str) -> None:
    known = [instance for instance in made if instance.pk is not None]
    unsure = [instance.pk for instance in known if _must_be_read(subject, instance)]
    stored = _read_whole(subject.model, unsure, using)
    around = surroundings()
    with Names(subject.model, using) as names:
        drafts = [
            subject.draft(
                Action.CREATE.value,
                instance.pk,
                names.of(instance),
                current=subject.snapshot(stored.get(instance.pk, instance).__dict__),
                around=around,
            )
            for instance in known
        ]
    if len(known) < len(made):
        # The database tells no keys of the rows that it made.
        rows = {"rows": len(made) - len(known)}
        drafts.append(subject.draft(Action.CREATE.value, None, "", metadata=rows))
    write(drafts, using)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    """Fields that tell a row from every other."""

    fields: tuple[AnyField, ...]

    @classmethod
    def of(
        cls, subject: Subject, made: Sequence[models.Model], names: Collection[str] | None
    ) -> _Key | None:
        """The named fields, or else the first unique ones that every object has a value for."""
        for candidate in [tuple(names)] if names else _unique_names(subject.model):
            fields = tuple(_field(subject.model, name) for name in candidate)
            key = cls(fields=fields)
            if all(None not in key.of_values(one.__dict__) for one in made):
                return key
        return None

    def of_values(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(
            None if (value := values.get(one.attname)) is None else one.to_python(value)
            for one in self.fields
        )


def _field(model: ModelClass, name: str) -> AnyField:
    options = model._meta
    return options.pk if name == "pk" else options.get_field(name)  # type: ignore[return-value]


def _unique_names(model: ModelClass) -> Iterator[tuple[str, ...]]:
    options = model._meta
    yield (options.pk.name,)
    for one in options.concrete_fields:
        if one.unique and not one.primary_key:
            yield (one.name,)
    yield from map(tuple, options.unique_together)
    for constraint in options.total_unique_constraints:
        yield tuple(constraint.fields)


@harmless
def _look_up(
    subject: Subject, key: _Key, made: Sequence[models.Model], using: str, *, lock: bool
) -> dict[tuple[Any, ...], models.Model]:
    """The stored rows with the objects' keys."""
    found: dict[tuple[Any, ...], models.Model] = {}
    if lock:
        take_write_lock(connections[using], subject.model)
    for page in pages(made, PAGE):
        wanted = {key.of_values(one.__dict__) for one in page}
        rows: Any = models.QuerySet(subject.model, using=using)
        # Of several fields this finds too much; what was not wanted is left out below.
        for one, values in zip(key.fields, zip(*wanted, strict=True), strict=True):
            rows = rows.filter(**{f"{one.name}__in": set(values)})
        for instance in instances(subject.model, locked(rows, using) if lock else rows, using):
            stored = key.of_values(instance.__dict__)
            if stored in wanted:
                found[stored] = instance
    return found


@harmless
def _record_merge(
    subject: Subject,
    key: _Key | None,
    before: Mapping[tuple[Any, ...], models.Model] | None,
    made: Sequence[models.Model],
    using: str,
) -> None:
    if key is None or before is None:
        if subject.records(Action.CREATE):
            rows = {"rows": len(made)}
            write([subject.draft(Action.CREATE.value, None, "", metadata=rows)], using)
        return
    after = _look_up(subject, key, made, using, lock=False) or {}
    for page in pages(after.items(), PAGE):
        with Names(subject.model, using) as names:
            drafts = [
                drafted
                for found, instance in page
                if (drafted := _merged(subject, before.get(found), instance, names)) is not None
            ]
        write(drafts, using)


def _merged(
    subject: Subject, before: models.Model | None, after: models.Model, names: Names
) -> Draft | None:
    current = subject.snapshot(after.__dict__)
    previous = None if before is None else subject.snapshot(before.__dict__)
    action = Action.CREATE if previous is None else Action.UPDATE
    changed = None if previous is None else changed_fields(subject.fields, previous, current)
    if not subject.records(action) or changed == []:
        return None
    return subject.draft(
        action.value,
        after.pk,
        names.of(after),
        current=current,
        previous=previous,
        metadata=None if changed is None else {"changed_fields": changed},
    )


def _must_be_read(subject: Subject, instance: models.Model) -> bool:
    return any(only_the_database_knows(one, instance.__dict__) for one in subject.fields)


def _read_whole(model: ModelClass, keys: Sequence[Any], using: str) -> dict[Any, models.Model]:
    """The stored rows by key."""
    if not keys:
        return {}
    rows: Any = models.QuerySet(model, using=using).filter(pk__in=keys)
    return {instance.pk: instance for instance in instances(model, rows, using)}


def instances(model: ModelClass, rows: Rows, using: str) -> Iterator[models.Model]:
    """Instances made without the host's ``__init__`` and its signals."""
    attnames = [one.attname for one in model._meta.concrete_fields]
    for values in rows.values_list(*attnames):
        yield _instance(model, using, zip(attnames, values, strict=True))


def _instance(model: ModelClass, using: str, values: Iterable[tuple[str, Any]]) -> models.Model:
    instance = model.__new__(model)
    instance._state = ModelState()
    instance._state.adding, instance._state.db = False, using
    instance.__dict__.update(values)
    return instance


class _QueryRefusedError(Exception):
    """A ``__str__`` that queries would do so once for each of thousands of rows."""


class Names:
    """The names of many rows of one model, without a query; after the first that would ask the
    database, all are told by their keys."""

    def __init__(self, model: ModelClass, using: str) -> None:
        self._guard = connections[using].execute_wrapper(self._refuse)
        self._refused = False

    def __enter__(self) -> Names:
        self._guard.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._guard.__exit__(*error)

    def of(self, instance: models.Model) -> str:
        if self._refused:
            return nameless(instance)
        try:
            return name_of(instance, passing=(_QueryRefusedError,))
        except _QueryRefusedError:
            return nameless(instance)

    def _refuse(self, *args: Any) -> None:
        self._refused = True
        raise _QueryRefusedError

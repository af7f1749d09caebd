"""What a bulk write changed: rows are read before and after it, page by page, in its transaction.

The write itself stays the one statement that Django makes of it: split, its subqueries and the
unique constraints would mean something else. Memory holds what each row was before, compressed.
"""

from __future__ import annotations

import pickle
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import connections, models

from auditwebhooks.capture.change import (
    Batch,
    batched,
    forget,
    harmless,
    is_recording,
)
from auditwebhooks.capture.conversion import AnyField
from auditwebhooks.capture.names import Names
from auditwebhooks.capture.recording import Draft, Surroundings, surroundings
from auditwebhooks.capture.save import must_be_read
from auditwebhooks.capture.snapshot import changed_fields, snapshot
from auditwebhooks.capture.subject import Subject, subject_of, write, write_alike
from auditwebhooks.enums import Action
from auditwebhooks.registry import ModelClass
from auditwebhooks.rows import (
    Rows,
    database_of,
    in_transaction,
    is_known,
    key_list,
    key_of,
    keys_of,
    keyset,
    pages,
    read_whole,
    take_write_lock,
)

T = TypeVar("T")
# Field name -> JSON value, of one row.
Values = dict[str, Any]

# Rows that are read, and events that are written, with one statement.
PAGE = 1000


def update(rows: Rows, values: Mapping[str, Any], execute: Callable[[Rows], int]) -> int:
    """``rows.update(**values)``, recorded. ``execute`` updates the rows that it is given."""
    subject = _recorded_as(rows, Action.UPDATE)
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
        # As Django leaves the rows that were updated.
        rows._result_cache, rows._for_write = None, True
        _record_update(subject, written, before, using, may_swap=_may_swap(subject, values))
    return count


def delete_each(rows: Rows, execute: Callable[[], T]) -> T:
    """``rows.delete()``, which deletes them one by one with signals: they are read together
    before it, and their events are written together after it."""
    subject = _recorded_as(rows, Action.DELETE)
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
    for page in keyset(_plain(subject, rows, using), subject.attnames, using, PAGE):
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
    subject = _recorded_as(rows, Action.DELETE)
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
    subject = _recorded_as(rows, Action.CREATE)
    if subject is None or not made:
        return execute(made)
    using = database_of(rows)
    with in_transaction(using):
        result = execute(made)
        for page in pages(made, PAGE):
            _record_create(subject, page, using)
    return result


def _recorded_as(rows: Rows, action: Action) -> Subject | None:
    if rows.query.is_empty() and action is not Action.CREATE:
        # Of ``none()``, which asks no database.
        return None
    subject = subject_of(rows.model) if is_recording() else None
    return subject if subject is not None and subject.records(action) else None


def _written(subject: Subject, values: Mapping[str, Any]) -> tuple[AnyField, ...]:
    """The recorded fields that an UPDATE of these names changes; generated ones follow."""
    if not values:
        return ()
    options = subject.model._meta
    names = {options.pk.name if name == "pk" else name for name in values}
    return tuple(
        one for one in subject.fields if one.name in names or one.attname in names or one.generated
    )


def _may_swap(subject: Subject, values: Mapping[str, Any]) -> bool:
    """Whether a row may get the key that another of them had."""
    keys = subject.model._meta.pk_fields
    return any(hasattr(values.get(one.name), "resolve_expression") for one in keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """How the rows stood, locked and in the order of their keys."""

    subject: Subject
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
        for page in keyset(_plain(subject, rows, using), attnames, using, PAGE):
            read = [
                (pk, snapshot(fields, dict(zip(attnames, values, strict=True))))
                for pk, *values in page
            ]
            packed.append(zlib.compress(pickle.dumps(read), 1))
        return cls(subject=subject, packed=packed)

    def pages(self) -> Iterator[list[tuple[Any, Values]]]:
        for packed in self.packed:
            # Written by ``read`` in this process.
            yield pickle.loads(zlib.decompress(packed))  # noqa: S301

    def restrict(self, rows: Rows, using: str) -> Rows:
        """Only the rows that were read and locked. Where another transaction could have added one
        since, it would be changed and not be recorded; elsewhere the locks keep it out."""
        if connections[using].vendor != "postgresql":
            return rows
        keys = (pk for page in self.pages() for pk, _values in page)
        known = key_list(self.subject.model, keys, using)
        # Past the host's own ``filter``.
        return models.QuerySet.filter(
            rows, **{f"{self.subject.key_in(rows.model).name}__in": known}
        )


def _plain(subject: Subject, rows: Rows, using: str) -> Rows:
    """The same rows of the recorded model, without annotations, joins and DISTINCT, which would
    stand in the way of locking."""
    query, model = rows.query, subject.model
    joined = len(query.alias_map) > 1 or query.annotations or query.extra
    if joined or query.distinct or query.group_by or rows.model._meta.concrete_model is not model:
        keys = keys_of(rows, subject.key_in(rows.model).name)
        return models.QuerySet(model, using=using).filter(pk__in=keys)
    plain: Any = models.QuerySet(model, query=query.chain(), using=using)
    plain.query.clear_deferred_loading()
    plain.query.select_related = False
    return plain


@harmless
def _record_update(
    subject: Subject,
    written: Sequence[AnyField],
    before: _Before,
    using: str,
    *,
    may_swap: bool,
) -> None:
    for page in before.pages():
        keys = () if may_swap else [pk for pk, _values in page]
        after = read_whole(subject.model, keys, using)
        drafts = []
        around = surroundings()
        with Names(subject.model, using) as names:
            for pk, previous in page:
                forget(subject.model, pk)
                instance = after.get(pk)
                if instance is None:
                    # Its key was changed, or a trigger took it away: what it is now is not known.
                    drafts.append(_keyless(subject, written, pk, previous, around))
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
                            changed=changed,
                            around=around,
                        )
                    )
        write(drafts, using)


def _keyless(
    subject: Subject,
    written: Sequence[AnyField],
    pk: Any,
    previous: Values,
    around: Surroundings,
) -> Draft:
    return subject.draft(
        Action.UPDATE.value,
        pk,
        subject.nameless(pk),
        previous=previous,
        metadata={"changed_fields": [one.name for one in written], "incomplete": "key"},
        around=around,
    )


@harmless
def _record_delete(subject: Subject, before: _Before, using: str) -> None:
    for page in before.pages():
        around = surroundings()
        drafts = [
            subject.draft(
                Action.DELETE.value,
                pk,
                subject.nameless(pk),
                previous=previous,
                around=around,
            )
            for pk, previous in page
        ]
        write(drafts, using)


@harmless
def _record_create(subject: Subject, made: Sequence[models.Model], using: str) -> None:
    known = [instance for instance in made if is_known(instance.pk)]
    unsure = [one.pk for one in known if must_be_read(subject.fields, one.__dict__)]
    stored = read_whole(subject.model, unsure, using)
    with Names(subject.model, using) as names:
        # What calls code of the host's comes first.
        told = [
            (
                instance.pk,
                names.of(instance),
                subject.snapshot(_present(instance, stored).__dict__),
            )
            for instance in known
        ]
    common = subject.draft(Action.CREATE.value, None, "")
    write_alike(common, (subject.object_of(*one) for one in told), using)
    if len(known) < len(made):
        # The database tells no keys of the rows that it made.
        rows = {"rows": len(made) - len(known)}
        write([subject.draft(Action.CREATE.value, None, "", metadata=rows)], using)


def _present(instance: models.Model, stored: Mapping[Any, models.Model]) -> models.Model:
    return stored.get(key_of(instance), instance) if stored else instance

"""``bulk_create`` that ignores or updates what is there already: what was made, what was changed.

The database does not tell, so the rows are looked up before and after by a key that all have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections, models

from auditwebhooks.capture.bulk import PAGE
from auditwebhooks.capture.change import harmless, is_recording
from auditwebhooks.capture.conversion import AnyField
from auditwebhooks.capture.names import Names
from auditwebhooks.capture.recording import Draft, Surroundings, surroundings
from auditwebhooks.capture.snapshot import changed_fields
from auditwebhooks.capture.subject import Subject, subject_of, write
from auditwebhooks.enums import Action
from auditwebhooks.registry import ModelClass
from auditwebhooks.rows import (
    Rows,
    database_of,
    in_transaction,
    instances,
    locked,
    pages,
    take_write_lock,
)


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


# Conditions of several fields that one statement asks for.
_CONDITIONS = 200


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
        """None: not known, as what the database is to make of an expression."""
        return tuple(
            None
            if (value := values.get(one.attname)) is None or hasattr(value, "resolve_expression")
            else one.to_python(value)
            for one in self.fields
        )

    def conditions(self, made: Iterable[models.Model]) -> Iterator[models.Q]:
        """Of the rows with the objects' keys. The database compares, to which "A" may be "a"."""
        names = [one.name for one in self.fields]
        for page in pages(made, PAGE if len(names) == 1 else _CONDITIONS):
            wanted = {self.of_values(one.__dict__) for one in page}
            if len(names) == 1:
                yield models.Q((f"{names[0]}__in", [value for (value,) in wanted]))
            else:
                each = (models.Q(*zip(names, values, strict=True)) for values in wanted)
                yield models.Q(*each, _connector=models.Q.OR)


def _field(model: ModelClass, name: str) -> AnyField:
    options = model._meta
    return options.pk if name == "pk" else options.get_field(name)  # type: ignore[return-value]


def _unique_names(model: ModelClass) -> Iterator[tuple[str, ...]]:
    options = model._meta
    yield tuple(one.name for one in options.pk_fields)
    for one in options.concrete_fields:
        if one.unique and not one.primary_key:
            yield (one.name,)
    yield from map(tuple, options.unique_together)
    for constraint in options.total_unique_constraints:
        yield tuple(constraint.fields)


@harmless
def _look_up(
    subject: Subject, key: _Key, made: Sequence[models.Model], using: str, *, lock: bool
) -> dict[Any, models.Model]:
    """The stored rows with the objects' keys, by their primary key."""
    found: dict[Any, models.Model] = {}
    if lock:
        take_write_lock(connections[using], subject.model)
    for condition in key.conditions(made):
        rows: Any = models.QuerySet(subject.model, using=using).filter(condition)
        for instance in instances(subject.model, locked(rows, using) if lock else rows, using):
            found[instance.pk] = instance
    return found


@harmless
def _record_merge(
    subject: Subject,
    key: _Key | None,
    before: Mapping[Any, models.Model] | None,
    made: Sequence[models.Model],
    using: str,
) -> None:
    if key is None or before is None:
        if subject.records(Action.CREATE):
            rows = {"rows": len(made)}
            write([subject.draft(Action.CREATE.value, None, "", metadata=rows)], using)
        return
    after = _look_up(subject, key, made, using, lock=False) or {}
    # Before names are told without a query: to know the user may take one.
    around = surroundings()
    for page in pages(after.items(), PAGE):
        with Names(subject.model, using) as names:
            drafts = [
                drafted
                for pk, instance in page
                if (drafted := _merged(subject, before.get(pk), instance, names, around))
                is not None
            ]
        write(drafts, using)


def _merged(
    subject: Subject,
    before: models.Model | None,
    after: models.Model,
    names: Names,
    around: Surroundings,
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
        changed=changed,
        around=around,
    )

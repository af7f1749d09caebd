"""A save of one row: ``before_save`` and ``after_save`` stand around its write."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, cast

from django.db import models

from auditwebhooks.capture.change import (
    PendingChange,
    harmless,
    is_recording,
    stored,
    write_change,
)
from auditwebhooks.capture.conversion import AnyField
from auditwebhooks.capture.recording import Draft
from auditwebhooks.capture.snapshot import changed_fields, snapshot
from auditwebhooks.capture.subject import name_of, subject_of
from auditwebhooks.enums import Action
from auditwebhooks.rows import is_known


@harmless
def before_save(
    instance: models.Model, using: str, *, is_update: bool = False, tells_before: bool = False
) -> PendingChange | None:
    """How the row stands, read under the lock that the write takes anyway. None: not audited.
    ``is_update``: Django was told not to INSERT. ``tells_before``: an UPDATE that comes will give
    it to ``with_before``."""
    subject = subject_of(type(instance))
    if subject is None or not is_recording():
        # A receiver may pause, and save the instance of the save under way.
        return None
    key = subject.key_of(instance)
    if not is_update and (not is_known(key) or _is_surely_new(instance)):
        return PendingChange(subject=subject, before=None)
    if tells_before:
        return PendingChange(subject=subject, before=None, is_unread=True)
    return PendingChange(subject=subject, before=stored(subject, key, using))


@harmless
def after_save(
    change: PendingChange,
    instance: models.Model,
    using: str,
    update_fields: Collection[str] | None,
) -> None:
    """Record what the save changed, if it changed anything."""
    subject, before = change.subject, change.before
    action = Action.CREATE if before is None else Action.UPDATE
    if not subject.records(action):
        return

    def tell() -> Draft | None:
        after = _after_save(change, instance, using, update_fields)
        changed = None if before is None else changed_fields(subject.fields, before, after)
        if changed == []:
            return None
        return subject.draft(
            action.value,
            subject.key_of(instance),
            name_of(instance),
            current=after,
            previous=before,
            changed=changed,
        )

    write_change(tell, subject, action, instance, using)


def _is_surely_new(instance: models.Model) -> bool:
    """Whether Django will INSERT without looking: its key is made by a default."""
    key = instance._meta.pk
    return instance._state.adding and (key.has_default() or key.has_db_default())


def _after_save(
    change: PendingChange,
    instance: models.Model,
    using: str,
    update_fields: Collection[str] | None,
) -> dict[str, Any]:
    """How the row stands now: from the instance, where that can be trusted to know."""
    values = instance.__dict__
    before = change.before or {}
    written: Sequence[AnyField] = change.subject.fields
    if update_fields is not None or not all(map(values.__contains__, change.subject.attnames)):
        written = [
            one for one in written if one.name not in before or _was_written(one, update_fields)
        ]
    if must_be_read(written, values):
        return stored(change.subject, change.subject.key_of(instance), using) or {}
    taken = snapshot(written, values)
    return taken if written is change.subject.fields else {**before, **taken}


def _was_written(one: AnyField, update_fields: Collection[str] | None) -> bool:
    """Django names the fields of an instance that has not loaded all. One that was written and is
    not loaded was an expression, whose value the database did not give back. A generated one
    follows those that were written."""
    return (
        update_fields is None
        or one.generated
        or one.name in update_fields
        or one.attname in update_fields
    )


def must_be_read(fields: Iterable[AnyField], values: Mapping[str, Any]) -> bool:
    """Whether the instance's values, by attname, are not surely what the database holds."""
    for one in fields:
        kind = type(values.get(one.attname, _MISSING))
        # Most fields, told in a fraction of the time.
        if kind in _STORED_AS_THEY_ARE and type(one) in _SIMPLE:
            continue
        if _only_the_database_knows(one, values):
            return True
    return False


_MISSING = object()
_STORED_AS_THEY_ARE = frozenset({type(None), bool, int, str})
_SIMPLE = frozenset(
    {
        models.AutoField,
        models.BigAutoField,
        models.BooleanField,
        models.CharField,
        models.ForeignKey,
        models.IntegerField,
        models.TextField,
    }
)


def _only_the_database_knows(one: AnyField, values: Mapping[str, Any]) -> bool:
    if one.generated or one.attname not in values:
        return True
    value = values[one.attname]
    if value is None:
        return False
    return (
        hasattr(value, "resolve_expression")
        or (isinstance(one, models.DecimalField) and _is_rounded(one, value))
        # SQLite stores NaN as NULL.
        or (isinstance(one, models.FloatField) and value != value)
        or _stores_in_its_own_way(cast(Any, type(one)))
    )


@cache
def _stores_in_its_own_way(field: Any) -> bool:
    """A field that is none of Django's models: it may store e-mail addresses in lower case. Those
    of PostgreSQL too: [1, 5] is a range from 1 up to 6 in the row."""
    ways = (getattr(field, name) for name in _WAYS_TO_STORE)
    return not all(way.__module__.startswith("django.db.models.") for way in ways)


# Not ``pre_save``, which leaves what it stores on the instance.
_WAYS_TO_STORE = ("get_prep_value", "get_db_prep_value", "get_db_prep_save")


def _is_rounded(one: Any, value: Any) -> bool:
    """Databases round a decimal with too many places in different ways, and SQLite one with more
    digits than a double has."""
    if isinstance(value, int):
        return bool(abs(value) >= _EXACT)
    if not isinstance(value, Decimal):
        return True
    _sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return False
    places: int = one.decimal_places or 0
    return len(digits) > _EXACT_DIGITS or exponent < -places


_EXACT_DIGITS = 15
_EXACT = 10**_EXACT_DIGITS

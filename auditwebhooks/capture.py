"""What a change was: how the row stood before and after, recorded in its own transaction.

``before_save`` and ``after_save`` stand around the write of one row, as do ``before_delete`` and
``after_delete``; ``record`` writes an event of the host's own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar, cast
from weakref import WeakValueDictionary

from django.db import DatabaseError, connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper

from auditwebhooks.conf import conf
from auditwebhooks.context import current
from auditwebhooks.enums import Action
from auditwebhooks.exceptions import AuditWebhooksError
from auditwebhooks.models import Event
from auditwebhooks.recording import Draft, draft, insert
from auditwebhooks.registry import ModelClass, Options
from auditwebhooks.rows import Fetched, OnInstance, is_known, read_row
from auditwebhooks.snapshot import AnyField, changed_fields, snapshot
from auditwebhooks.subject import (
    Subject,
    defer_again,
    describe,
    name_of,
    nameless,
    subject_of,
    write,
)

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingChange:
    """A row that is about to be written: what it is recorded as, and how it stands now."""

    subject: Subject
    # As ``Subject.snapshot`` gives it; None: there is no row yet.
    before: Mapping[str, Any] | None = field(repr=False)
    # The write itself will tell ``before``.
    is_unread: bool = False
    # Its row was read together with others, and its event waits for theirs.
    is_batched: bool = False


def harmless(function: Callable[P, T | None]) -> Callable[P, T | None]:
    """A failure of ours is logged and the host's write goes on, unless the host asked for
    strictness. A database error has broken the host's transaction already, so it is raised."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except DatabaseError:
            raise
        except Exception:
            if conf.strict:
                raise
            logger.exception("A change could not be recorded.")
            return None

    return guarded


def is_recording() -> bool:
    return conf.enabled and not current().paused


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
    return PendingChange(subject=subject, before=_stored(subject, key, using))


@harmless
def with_before(change: PendingChange, row: Fetched | None) -> PendingChange | None:
    """``row``: how it stood; None: there was none."""
    before = None if row is None else change.subject.snapshot(row.values())
    return replace(change, before=before, is_unread=False)


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

    _write(tell, subject, action, instance, using)


@harmless
def before_delete(
    instance: models.Model, using: str, *, tells_before: bool = False
) -> PendingChange | None:
    """The row as it is about to go. None: not audited, or there is no such row.
    ``tells_before``: the DELETE will give it to ``with_before``."""
    subject = subject_of(type(instance))
    if subject is None or not is_recording() or not subject.records(Action.DELETE):
        return None
    batch = _batch.get()
    key = subject.key_of(instance)
    known = batch.stored.pop((subject.model, key), None) if batch else None
    if known is not None:
        return PendingChange(subject=subject, before=known, is_batched=True)
    if tells_before:
        return PendingChange(subject=subject, before=None, is_unread=True)
    before = _stored(subject, key, using)
    return None if before is None else PendingChange(subject=subject, before=before)


@dataclass(slots=True)
class Batch:
    """A delete of many rows: they were read together, and their events are written together."""

    # (recorded model, key) -> the row as ``Subject.snapshot`` gives it.
    stored: dict[tuple[ModelClass, Any], dict[str, Any]]
    drafts: list[Draft] = field(default_factory=list)
    # The delete whose receiver makes this one.
    outer: Batch | None = None


_batch: ContextVar[Batch | None] = ContextVar("auditwebhooks_batch", default=None)


def forget(model: ModelClass, pk: Any) -> None:
    """A receiver of the host's wrote the row: what was read of it before is true no more."""
    batch = _batch.get()
    while batch is not None:
        batch.stored.pop((model, pk), None)
        batch = batch.outer


@contextmanager
def batched(batch: Batch) -> Iterator[None]:
    batch.outer = _batch.get()
    token = _batch.set(batch)
    try:
        yield
    finally:
        _batch.reset(token)


class Deletion(OnInstance):
    """One row on its way out. A multi-table child sends signals for itself and its parents; the
    most derived audited class speaks for the row."""

    def __init__(self, sender: ModelClass, change: PendingChange, using: str) -> None:
        self.sender = sender
        self.change = change
        # The transaction of the delete: when it has ended, whatever way, the row goes no more.
        self._block = connections[using].atomic_blocks[-1]

    def is_under_way(self, using: str) -> bool:
        return any(block is self._block for block in connections[using].atomic_blocks)


# (table at the top of the inheritance, key, connection: two may delete one row)
_RowKey = tuple[ModelClass, Any, BaseDatabaseWrapper]
# Who speaks for the row. The instances keep the deletions alive, so an abandoned delete leaves
# nothing behind.
_deletions: WeakValueDictionary[_RowKey, Deletion] = WeakValueDictionary()


def announce(
    sender: ModelClass, instance: models.Model, change: PendingChange, using: str
) -> Deletion:
    """A row is about to go; keep what is returned until it has gone."""
    deletion = Deletion(sender, change, using)
    row = _row(change.subject.model, change.subject.key_of(instance), using)
    speaker = _deletions.get(row)
    if speaker is None or not speaker.is_under_way(using) or issubclass(sender, speaker.sender):
        _deletions[row] = deletion
    return deletion


def is_going(model: ModelClass, pk: Any, using: str) -> bool:
    """Whether the row is being deleted: what it loses meanwhile is no change of its own."""
    deletion = _deletions.get(_row(model, pk, using))
    return deletion is not None and deletion.is_under_way(using)


def _row(model: ModelClass, pk: Any, using: str) -> _RowKey:
    """The same for the instances of a child and of its parents."""
    top = model
    while top._meta.proxy or top._meta.parents:
        parents = top._meta.parents
        top = next(iter(parents)) if parents else top._meta.concrete_model or top
    return top, top._meta.pk.to_python(pk), connections[using]


@harmless
def after_delete(deletion: Deletion, instance: models.Model, using: str) -> None:
    subject, before = deletion.change.subject, deletion.change.before
    key = subject.key_of(instance)
    if _deletions.get(_row(subject.model, key, using)) is not deletion:
        return
    if before is None:
        # Somebody else was faster.
        return

    def tell() -> Draft:
        return subject.draft(Action.DELETE.value, key, name_of(instance), previous=before)

    batched_too = deletion.change.is_batched
    _write(tell, subject, Action.DELETE, instance, using, is_batched=batched_too)


def record(
    action: str,
    *,
    target: models.Model | None = None,
    event_type: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Event | None:
    """Record an event of the host's own, in the present transaction.

    ``action``: the host's word, such as ``"approve"``. ``event_type``: by default
    ``<app_label>.<model_name>.<action>`` of the target, else the action. ``metadata``: JSON data
    beside what the context knows. Actor and source come from ``context()``.

    Raises AuditWebhooksError for what is none of these. Returns the event; None while nothing is
    recorded (ENABLED, ``paused()``).
    """
    if not isinstance(action, str) or not action:
        raise AuditWebhooksError("record() needs the name of an action, such as 'approve'.")
    # ``__class__`` looks through the lazy object that ``request.user`` is.
    if target is not None and not issubclass(target.__class__, models.Model):
        raise AuditWebhooksError("record() needs a model instance as its target, or none.")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise AuditWebhooksError("record() needs a dict as its metadata, or none.")
    if not is_recording():
        return None
    using = router.db_for_write(Event)
    if target is None:
        return insert(draft(action, event_type or action, metadata=metadata), using)
    model: ModelClass = target.__class__
    subject = subject_of(model) or describe(model, Options())
    deferred = target.get_deferred_fields()
    values = {one: getattr(target, one) for one in subject.attnames}
    defer_again(target, deferred)
    drafted = subject.draft(
        action,
        subject.key_of(target),
        name_of(target),
        event_type=event_type or f"{subject.model._meta.label_lower}.{action}",
        current=subject.snapshot(values),
        metadata=metadata,
    )
    return insert(drafted, using)


def _write(
    tell: Callable[[], Draft | None],
    subject: Subject,
    action: Action,
    instance: models.Model,
    using: str,
    *,
    is_batched: bool = False,
) -> None:
    """Write what ``tell`` gives. Where that fails the event says what is known all the same."""
    try:
        drafted = tell()
    except DatabaseError:
        raise
    except Exception as error:
        if conf.strict:
            raise
        logger.exception("A change could not be recorded in full.")
        drafted = subject.draft(
            action.value,
            subject.key_of(instance),
            nameless(instance),
            metadata={"incomplete": type(error).__name__},
        )
    if drafted is None:
        return
    forget(subject.model, subject.key_of(instance))
    batch = _batch.get()
    if batch is not None and is_batched:
        batch.drafts.append(drafted)
        return
    write([drafted], using)


def _is_surely_new(instance: models.Model) -> bool:
    """Whether Django will INSERT without looking: its key is made by a default."""
    key = instance._meta.pk
    return instance._state.adding and (key.has_default() or key.has_db_default())


def _stored(subject: Subject, pk: Any, using: str) -> dict[str, Any] | None:
    row = read_row(subject.model, subject.attnames, pk, using)
    return None if row is None else subject.snapshot(row)


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
        return _stored(change.subject, change.subject.key_of(instance), using) or {}
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

"""What a change was: how the row stood before and after, recorded in its own transaction.

``before_save`` and ``after_save`` stand around the write of one row, as do ``before_delete`` and
``after_delete``; ``record`` writes an event of the host's own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, models, router, transaction

from auditwebhooks.conf import conf
from auditwebhooks.context import current
from auditwebhooks.enums import Action
from auditwebhooks.exceptions import AuditWebhooksError
from auditwebhooks.models import Event
from auditwebhooks.recording import Target, draft, insert
from auditwebhooks.registry import ModelClass, Options, registry
from auditwebhooks.rows import read_row
from auditwebhooks.snapshot import AnyField, changed_fields, masked, snapshot

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingChange:
    """A row that is about to be written: what it is recorded as, and how it stands now."""

    model: ModelClass
    options: Options
    fields: tuple[AnyField, ...]
    # Field name -> JSON value, not masked; None: there is no row yet.
    before: Mapping[str, Any] | None = field(repr=False)


def _harmless(function: Callable[P, T | None]) -> Callable[P, T | None]:
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


@_harmless
def before_save(instance: models.Model, using: str) -> PendingChange | None:
    """How the row stands, read under the lock that the write takes anyway. None: not audited."""
    audited = registry.audited_as(type(instance))
    if audited is None or not is_recording():
        return None
    model, options = audited
    fields = audited_fields(model, options)
    before = None
    if not _is_surely_new(instance):
        before = _stored(model, fields, instance.pk, using)
    return PendingChange(model=model, options=options, fields=fields, before=before)


@_harmless
def after_save(
    change: PendingChange,
    instance: models.Model,
    using: str,
    update_fields: Collection[str] | None,
) -> None:
    """Record what the save changed, if it changed anything."""
    action = Action.CREATE if change.before is None else Action.UPDATE
    if action not in change.options.actions:
        return
    after = _after_save(change, instance, using, update_fields)
    if change.before is None:
        _write(change, action, instance, using, current_object=after)
        return
    changed = changed_fields(change.fields, change.before, after)
    if changed:
        _write(
            change,
            action,
            instance,
            using,
            previous_object=change.before,
            current_object=after,
            metadata={"changed_fields": changed},
        )


@_harmless
def before_delete(instance: models.Model, using: str) -> PendingChange | None:
    """The row as it is about to go. None: not audited, or there is no such row."""
    audited = registry.audited_as(type(instance))
    if audited is None or not is_recording() or Action.DELETE not in audited[1].actions:
        return None
    model, options = audited
    fields = audited_fields(model, options)
    before = _stored(model, fields, instance.pk, using)
    if before is None:
        return None
    return PendingChange(model=model, options=options, fields=fields, before=before)


@_harmless
def after_delete(change: PendingChange, instance: models.Model, using: str) -> None:
    _write(change, Action.DELETE, instance, using, previous_object=change.before)


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

    Returns the event; None while nothing is recorded (ENABLED, ``paused()``).
    """
    if not isinstance(action, str) or not action:
        raise AuditWebhooksError("record() needs the name of an action, such as 'approve'.")
    if not is_recording():
        return None
    using = router.db_for_write(Event)
    if target is None:
        return insert(draft(action, event_type or action, metadata=metadata), using)
    model, options = registry.audited_as(type(target)) or (type(target), Options())
    fields = audited_fields(model, options)
    values = snapshot(fields, {one.attname: getattr(target, one.attname) for one in fields})
    drafted = draft(
        action,
        event_type or f"{model._meta.label_lower}.{action}",
        target=_target(model, options, target),
        current_object=_disguised(options, values),
        metadata=metadata,
    )
    return insert(drafted, using)


def audited_fields(model: ModelClass, options: Options) -> tuple[AnyField, ...]:
    return tuple(
        one
        for one in model._meta.concrete_fields
        if one.name not in options.exclude
        and (options.fields is None or one.name in options.fields)
    )


def _is_surely_new(instance: models.Model) -> bool:
    """Whether Django will INSERT without looking: no key, or a key made by its default."""
    if instance.pk is None:
        return True
    key = instance._meta.pk
    return instance._state.adding and (key.has_default() or key.has_db_default())


def _stored(
    model: ModelClass, fields: tuple[AnyField, ...], pk: Any, using: str
) -> dict[str, Any] | None:
    row = read_row(model, tuple(one.attname for one in fields), pk, using)
    return None if row is None else snapshot(fields, row)


def _after_save(
    change: PendingChange,
    instance: models.Model,
    using: str,
    update_fields: Collection[str] | None,
) -> dict[str, Any]:
    """How the row stands now: from the instance, where that can be trusted to know."""
    values = instance.__dict__
    before = change.before or {}
    known: dict[str, Any] = {}
    written = []
    for one in change.fields:
        not_written = update_fields is not None and one.name not in update_fields
        if (not_written or one.attname not in values) and one.name in before:
            known[one.name] = before[one.name]
        else:
            written.append(one)
    if any(_only_the_database_knows(one, values) for one in written):
        return _stored(change.model, change.fields, instance.pk, using) or {}
    return {**known, **snapshot(written, values)}


def _only_the_database_knows(one: AnyField, values: Mapping[str, Any]) -> bool:
    return (
        one.generated
        or one.attname not in values
        or hasattr(values[one.attname], "resolve_expression")
    )


def _write(
    change: PendingChange,
    action: Action,
    instance: models.Model,
    using: str,
    *,
    current_object: Mapping[str, Any] | None = None,
    previous_object: Mapping[str, Any] | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    drafted = draft(
        action.value,
        f"{change.model._meta.label_lower}.{action.past}",
        target=_target(change.model, change.options, instance),
        current_object=_disguised(change.options, current_object),
        previous_object=_disguised(change.options, previous_object),
        metadata=metadata,
    )
    events_are_on = router.db_for_write(Event)
    if using == events_are_on:
        insert(drafted, using)
    else:
        # The weaker promise: the event follows the commit of the other database.
        transaction.on_commit(lambda: insert(drafted, events_are_on), using=using, robust=True)


def _target(model: ModelClass, options: Options, instance: models.Model) -> Target:
    kind = options.name or str(model._meta.verbose_name).lower()
    return Target(id=str(instance.pk), type=kind, name=_name_of(instance))


def _name_of(instance: models.Model) -> str:
    try:
        return str(instance)
    except Exception as error:  # noqa: BLE001 - a host's __str__ may raise anything
        logger.warning(
            "%s.__str__ raised %s",
            instance._meta.label,
            type(error).__name__,
            exc_info=True,
        )
        return f"{instance._meta.object_name} object ({instance.pk})"


def _disguised(options: Options, values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What may be stored of an object's values."""
    if values is None:
        return None
    shown = {
        name: options.disguise[name](value) if name in options.disguise else value
        for name, value in values.items()
    }
    return masked(shown, options.mask)

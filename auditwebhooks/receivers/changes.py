"""Saves and deletes of audited models. Connected per sender, never for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.signals import ModelSignal, post_delete, post_save, pre_delete, pre_save

from auditwebhooks.capture import delete, save, writes
from auditwebhooks.capture.change import with_before
from auditwebhooks.enums import Action
from auditwebhooks.registry import ModelClass, Options
from auditwebhooks.rows import OnInstance, Rows, fetch_row

# Where a change waits on its instance between the two signals around the write.
_SAVES = "_auditwebhooks_saves"
_DELETE = "_auditwebhooks_delete"
_WATCH = "_auditwebhooks_watch"


def connect(sender: ModelClass, options: Options) -> None:
    """Connect once per sender; delete signals only where deletes are recorded, since any
    receiver turns off Django's fast delete."""
    uid = f"auditwebhooks.{sender._meta.label}"
    pre_save.connect(_before_save, sender, dispatch_uid=uid)
    _connect_first(post_save, _after_save, sender, uid)
    if Action.DELETE in options.actions:
        pre_delete.connect(_before_delete, sender, dispatch_uid=uid)
        _connect_first(post_delete, _after_delete, sender, uid)


def _connect_first(
    signal: ModelSignal, receiver: Callable[..., None], sender: ModelClass, uid: str
) -> None:
    """Before the host's, in whatever order apps are loaded: what they write comes after the change
    that they are told of, and so do its events."""
    signal.connect(receiver, sender, dispatch_uid=uid)
    with signal.lock:
        # Those of the host stay in their order. Each: ((uid, sender), receiver, ...)
        signal.receivers.sort(key=lambda one: one[0][0] != uid)
        signal.sender_receivers_cache.clear()


class _Saves(OnInstance, list[Any]):
    """The changes that wait for their post_save, the innermost save's last."""

    is_update = False


class Saving:
    """A context with room for the changes of one save; what a failed save left is forgotten.
    ``is_update``: Django was told not to INSERT."""

    __slots__ = ("_depth", "_instance", "_is_update", "_outer", "_waiting")

    def __init__(self, instance: models.Model, *, is_update: bool) -> None:
        self._instance = instance
        self._is_update = is_update

    def __enter__(self) -> None:
        waiting = self._instance.__dict__.get(_SAVES)
        if waiting is None:
            waiting = self._instance.__dict__[_SAVES] = _Saves()
        self._waiting: _Saves = waiting
        self._depth, self._outer = len(waiting), waiting.is_update
        waiting.is_update = self._is_update

    def __exit__(self, *error: object) -> None:
        waiting = self._waiting
        waiting.is_update = self._outer
        del waiting[self._depth :]
        if not waiting:
            self._instance.__dict__.pop(_SAVES, None)


# Set on a ``_do_update`` that gives ``write`` a try.
TELLS_BEFORE = "_auditwebhooks_tells_before"


def write(
    instance: models.Model,
    rows: Rows,
    pk: Any,
    values: Sequence[tuple[Any, Any, Any]],
    returning: Sequence[Any] = (),
) -> bool | None:
    """The UPDATE of the save under way, which shall tell how the row stood before. Returns
    whether there was such a row; None: Django has to write it."""
    waiting = instance.__dict__.get(_SAVES)
    change = waiting[-1] if waiting else None
    if not waiting or change is None or not change.is_unread:
        return None
    attnames, model = change.subject.attnames, change.subject.model
    is_able = writes.update_tells(type(instance), rows.db) and writes.is_whole_table(rows)
    if not values or returning or not is_able:
        waiting[-1] = with_before(change, fetch_row(model, attnames, pk, rows.db))
        return None
    row = writes.update_row(rows, pk, values, attnames)
    waiting[-1] = with_before(change, row)
    return row is not None


@contextmanager
def deleting(instance: models.Model, using: str) -> Iterator[None]:
    """Around ``instance.delete()``: the DELETE tells how the row stood, where it can."""
    if _watch_of(instance) is not None or not writes.delete_tells(type(instance), using):
        yield
        return
    watch = writes.DeleteWatch(instance, using)
    instance.__dict__[_WATCH] = watch
    # Not by ``execute_wrapper``, which takes out whatever is the last: the first statement of a
    # connection may have a host's receiver of ``connection_created`` put another behind it.
    wrappers = connections[using].execute_wrappers
    wrappers.append(watch)
    try:
        yield
    finally:
        wrappers.remove(watch)
        instance.__dict__.pop(_WATCH, None)
        # What a failed delete left.
        instance.__dict__.pop(_DELETE, None)


def _watch_of(instance: models.Model) -> writes.DeleteWatch | None:
    watch = instance.__dict__.get(_WATCH)
    return watch if watch is not None and watch.is_of(instance) else None


# Hosts send these signals themselves too, around an ``update()`` for example, and with less than
# Django gives. Those outside of a save, and of the transaction of a delete, tell of no change.


def _before_save(
    sender: ModelClass,
    instance: models.Model,
    raw: bool = False,
    using: str = DEFAULT_DB_ALIAS,
    **kwargs: Any,
) -> None:
    waiting = instance.__dict__.get(_SAVES)
    if raw or waiting is None:
        return
    model = type(instance)
    # Not here: a receiver that comes after this one may write the row.
    tells_before = writes.update_reads(model) and hasattr(model._do_update, TELLS_BEFORE)
    change = save.before_save(
        instance, using, is_update=waiting.is_update, tells_before=tells_before
    )
    waiting.append(change)


def _after_save(
    sender: ModelClass,
    instance: models.Model,
    raw: bool = False,
    using: str = DEFAULT_DB_ALIAS,
    update_fields: frozenset[str] | None = None,
    **kwargs: Any,
) -> None:
    waiting = instance.__dict__.get(_SAVES)
    if raw or not waiting:
        return
    change = waiting.pop()
    if change is not None:
        save.after_save(change, instance, using, update_fields)


def _before_delete(
    sender: ModelClass, instance: models.Model, using: str = DEFAULT_DB_ALIAS, **kwargs: Any
) -> None:
    if not connections[using].in_atomic_block:
        return
    watch = _watch_of(instance)
    change = delete.before_delete(instance, using, tells_before=watch is not None)
    if change is None:
        return
    if watch is not None and change.is_unread:
        watch.begin(instance.pk, change.subject.attnames)
    instance.__dict__[_DELETE] = delete.announce(sender, instance, change, using)


def _after_delete(
    sender: ModelClass, instance: models.Model, using: str = DEFAULT_DB_ALIAS, **kwargs: Any
) -> None:
    deletion = instance.__dict__.pop(_DELETE, None)
    if not isinstance(deletion, delete.Deletion):
        return
    watch = _watch_of(instance)
    if watch is not None and deletion.change.is_unread:
        told = with_before(deletion.change, watch.before())
        if told is None:
            return
        deletion.change = told
    delete.after_delete(deletion, instance, using)

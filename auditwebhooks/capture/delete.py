"""A delete of one row: ``before_delete`` and ``after_delete`` stand around it, and between them
the row is announced as going."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from auditwebhooks.capture.change import (
    PendingChange,
    harmless,
    is_recording,
    read_in_batch,
    stored,
    write_change,
)
from auditwebhooks.capture.recording import Draft
from auditwebhooks.capture.subject import name_of, subject_of
from auditwebhooks.enums import Action
from auditwebhooks.registry import ModelClass
from auditwebhooks.rows import OnInstance


@harmless
def before_delete(
    instance: models.Model, using: str, *, tells_before: bool = False
) -> PendingChange | None:
    """The row as it is about to go. None: not audited, or there is no such row.
    ``tells_before``: the DELETE will give it to ``with_before``."""
    subject = subject_of(type(instance))
    if subject is None or not is_recording() or not subject.records(Action.DELETE):
        return None
    key = subject.key_of(instance)
    known = read_in_batch(subject.model, key)
    if known is not None:
        return PendingChange(subject=subject, before=known, is_batched=True)
    if tells_before:
        return PendingChange(subject=subject, before=None, is_unread=True)
    before = stored(subject, key, using)
    return None if before is None else PendingChange(subject=subject, before=before)


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
    write_change(tell, subject, Action.DELETE, instance, using, is_batched=batched_too)

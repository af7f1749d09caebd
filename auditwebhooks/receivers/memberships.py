"""Deletes of rows between two models where the host made the model in between: told once for
each owner, by the first row that has gone, since Django deletes them together."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.signals import post_delete, pre_delete

from auditwebhooks.capture.owners import Before
from auditwebhooks.capture.relation import relations_of
from auditwebhooks.registry import ModelClass

# Where the changes wait on an instance between the two signals.
_CHANGES = "_auditwebhooks_members"


class _Change:
    def __init__(self, before: Before) -> None:
        self.before = before
        self.is_told = False
        self._block = connections[before.using].atomic_blocks[-1]

    @property
    def is_under_way(self) -> bool:
        """Until it is told, in the transaction of its delete: another thread has its own."""
        blocks = connections[self.before.using].atomic_blocks
        return not self.is_told and any(block is self._block for block in blocks)


# (model in between, field's place, owner's key, database); the instances keep them alive.
_changes: WeakValueDictionary[tuple[ModelClass, int, Any, str], _Change] = WeakValueDictionary()


def connect(through: ModelClass) -> None:
    label = f"auditwebhooks.members.{through._meta.label}"
    pre_delete.connect(_before_delete, through, dispatch_uid=label)
    post_delete.connect(_after_delete, through, dispatch_uid=label)


def _before_delete(
    sender: ModelClass, instance: models.Model, using: str = DEFAULT_DB_ALIAS, **kwargs: Any
) -> None:
    if not connections[using].in_atomic_block:
        # Sent by the host itself: Django deletes in a transaction.
        return
    waiting = []
    for place, relation in enumerate(relations_of(sender)):
        owner = instance.__dict__.get(relation.source.attname)
        key = (sender, place, owner, using)
        change = _changes.get(key)
        if change is None or not change.is_under_way:
            before = Before.of_keys(relation, {owner}, using)
            if before is None:
                continue
            change = _changes[key] = _Change(before)
        waiting.append(change)
    instance.__dict__[_CHANGES] = waiting


def _after_delete(sender: ModelClass, instance: models.Model, **kwargs: Any) -> None:
    for change in instance.__dict__.pop(_CHANGES, ()):
        if not change.is_told:
            change.is_told = True
            change.before.record_now()

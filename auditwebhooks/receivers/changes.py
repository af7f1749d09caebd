"""Saves and deletes of audited models. Connected per sender, never for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save

from auditwebhooks import capture
from auditwebhooks.enums import Action
from auditwebhooks.registry import ModelClass, Options

# Where a change waits on its instance between the two signals around the write.
_SAVES = "_auditwebhooks_saves"
_DELETE = "_auditwebhooks_delete"


def connect(sender: ModelClass, options: Options) -> None:
    """Connect once per sender; delete signals only where deletes are recorded, since any
    receiver turns off Django's fast delete."""
    label = sender._meta.label
    pre_save.connect(_before_save, sender, dispatch_uid=f"auditwebhooks.{label}")
    post_save.connect(_after_save, sender, dispatch_uid=f"auditwebhooks.{label}")
    if Action.DELETE in options.actions:
        pre_delete.connect(_before_delete, sender, dispatch_uid=f"auditwebhooks.{label}")
        post_delete.connect(_after_delete, sender, dispatch_uid=f"auditwebhooks.{label}")


class _Saves(list[Any]):
    """The changes that wait for their post_save, the innermost save's last."""

    is_update = False


@contextmanager
def saving(instance: models.Model, *, is_update: bool) -> Iterator[None]:
    """Room for the changes of one save; what a failed save left behind is forgotten.
    ``is_update``: Django was told not to INSERT."""
    waiting = instance.__dict__.setdefault(_SAVES, _Saves())
    depth, outer = len(waiting), waiting.is_update
    waiting.is_update = is_update
    try:
        yield
    finally:
        waiting.is_update = outer
        del waiting[depth:]
        if not waiting:
            instance.__dict__.pop(_SAVES, None)


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
    waiting.append(capture.before_save(instance, using, is_update=waiting.is_update))


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
        capture.after_save(change, instance, using, update_fields)


def _before_delete(
    sender: ModelClass, instance: models.Model, using: str = DEFAULT_DB_ALIAS, **kwargs: Any
) -> None:
    if not connections[using].in_atomic_block:
        return
    change = capture.before_delete(instance, using)
    if change is not None:
        instance.__dict__[_DELETE] = capture.announce(sender, instance, change, using)


def _after_delete(
    sender: ModelClass, instance: models.Model, using: str = DEFAULT_DB_ALIAS, **kwargs: Any
) -> None:
    deletion = instance.__dict__.pop(_DELETE, None)
    if isinstance(deletion, capture.Deletion):
        capture.after_delete(deletion, instance, using)

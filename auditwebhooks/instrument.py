"""What an audited class gets, and only it: saves in a transaction, and its signal receivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import connections, models, router

from auditwebhooks.capture import members, relation
from auditwebhooks.capture.audited import audit_managers
from auditwebhooks.capture.change import is_recording
from auditwebhooks.models import Webhook
from auditwebhooks.receivers import changes, memberships, sessions
from auditwebhooks.registry import ModelClass, Options, registry
from auditwebhooks.rows import Rows, in_transaction
from auditwebhooks.transport.address import mask_url


def audit(model: ModelClass) -> None:
    """Instrument a registered model, once. Its proxies and children inherit ``save_base``."""
    if "_auditwebhooks_instrumented" not in vars(model):
        model._auditwebhooks_instrumented = True  # type: ignore[attr-defined]
        model.save_base = _in_transaction(model.save_base)  # type: ignore[method-assign]
        model.delete = _watched(model.delete)  # type: ignore[method-assign]
        if model._do_update is models.Model._do_update:
            # A host's own, such as an optimistic lock, is left to write the row.
            model._do_update = _telling_before(model._do_update)  # type: ignore[method-assign]
    for sender in _senders(model):
        audited = registry.audited_as(sender)
        if audited is not None:
            changes.connect(sender, audited[1])
            audit_managers(sender)
    for through in relation.watch(model):
        _watch(through)
    if model._meta.label_lower == settings.AUTH_USER_MODEL.lower():
        sessions.connect(model)


def _watch(through: ModelClass) -> None:
    """The model between the ends of a many-to-many field, whose rows are changes of its owner."""
    audit_managers(through)
    if "_auditwebhooks_watched" in vars(through):
        return
    through._auditwebhooks_watched = True  # type: ignore[attr-defined]
    through.save_base = _saved_for_owner(through.save_base)  # type: ignore[method-assign]
    if through._meta.auto_created:
        # Signals would turn off the fast deletes that its managers see, and it sends none.
        through.delete = _deleted_for_owner(through.delete)  # type: ignore[method-assign]
    else:
        memberships.connect(through)


def _saved_for_owner(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def save_base(self: models.Model, *args: Any, **kwargs: Any) -> None:
        if _is_raw(args, kwargs):
            return original(self, *args, **kwargs)
        with members.writing(self, _database(self, kwargs.get("using"))):
            return original(self, *args, **kwargs)

    return save_base


def _deleted_for_owner(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def delete(self: models.Model, using: str | None = None, *args: Any, **kwargs: Any) -> Any:
        with members.writing(self, _database(self, using)):
            return original(self, using, *args, **kwargs)

    return delete


def _is_raw(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """A fixture is saved as it stands."""
    return bool(kwargs.get("raw", args[0] if args else False))


def _database(instance: models.Model, using: str | None) -> str:
    return using or router.db_for_write(type(instance), instance=instance)


def audit_webhooks() -> None:
    """The configuration of webhooks is audited like the host's models."""
    options = Options(
        exclude=frozenset(
            {
                "active_periods",
                "name_key",
                "previous_signing_secret",
                "previous_signing_secret_until",
            }
        ),
        disguise={"url": mask_url},
    )
    registry.add(Webhook, options)


def _senders(model: ModelClass) -> Iterator[ModelClass]:
    """The classes whose signals tell of this model's rows: Django names the class that was
    saved, so a receiver on the model never sees its proxies and children."""
    yield model
    for child in model.__subclasses__():
        if not child._meta.abstract:
            yield from _senders(child)


def _in_transaction(original: Callable[..., None]) -> Callable[..., None]:
    """``save_base`` in a transaction of its own where there is none, so that the change and its
    event commit together: Django sends ``post_save`` after the save's own block has closed."""

    @wraps(original)
    def save_base(self: models.Model, *args: Any, **kwargs: Any) -> None:
        if _is_raw(args, kwargs) or not is_recording():
            return original(self, *args, **kwargs)
        using = _database(self, kwargs.get("using"))
        is_update = bool(kwargs.get("force_update") or kwargs.get("update_fields"))
        with in_transaction(using), changes.Saving(self, is_update=is_update):
            return original(self, *args, **kwargs)

    return save_base


def _telling_before(original: Callable[..., Any]) -> Callable[..., Any]:
    """``_do_update`` that also reads the row, where one statement can do both."""

    @wraps(original)
    def _do_update(  # noqa: PLR0913 - as Django calls it
        self: models.Model,
        base_qs: Rows,
        using: str,
        pk_val: Any,
        values: Sequence[tuple[Any, Any, Any]],
        update_fields: Any,
        forced_update: Any,
        *returning: Sequence[Any],
    ) -> Any:
        # Since Django 6.0 it is told which columns to give back.
        was_there = changes.write(self, base_qs, pk_val, values, *returning)
        if was_there is None:
            rest = (update_fields, forced_update, *returning)
            return original(self, base_qs, using, pk_val, values, *rest)
        # The rows that were written, each with what it gives back; before, only whether any was.
        return [()] if was_there else []

    setattr(_do_update, changes.TELLS_BEFORE, True)
    return _do_update


def _watched(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def delete(self: models.Model, *args: Any, **kwargs: Any) -> Any:
        # The host's own may take other arguments than Django's.
        using = kwargs.get("using", args[0] if args else None)
        if not is_recording() or not (using is None or using in connections):
            return original(self, *args, **kwargs)
        with changes.deleting(self, _database(self, using)):
            return original(self, *args, **kwargs)

    return delete

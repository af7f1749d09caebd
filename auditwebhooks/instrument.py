"""What an audited class gets, and only it: saves in a transaction, and its signal receivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from django.db import models, router

from auditwebhooks import capture
from auditwebhooks.audited import audit_managers
from auditwebhooks.bulk import in_transaction
from auditwebhooks.models import Webhook
from auditwebhooks.receivers import changes
from auditwebhooks.registry import ModelClass, Options, registry
from auditwebhooks.transport.address import mask_url


def audit(model: ModelClass) -> None:
    """Instrument a registered model, once. Its proxies and children inherit ``save_base``."""
    if "_auditwebhooks_instrumented" not in vars(model):
        model._auditwebhooks_instrumented = True  # type: ignore[attr-defined]
        model.save_base = _in_transaction(model.save_base)  # type: ignore[method-assign]
    for sender in _senders(model):
        audited = registry.audited_as(sender)
        if audited is not None:
            changes.connect(sender, audited[1])
            audit_managers(sender)


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
        raw = kwargs.get("raw", args[0] if args else False)
        if raw or not capture.is_recording():
            return original(self, *args, **kwargs)
        using = kwargs.get("using") or router.db_for_write(type(self), instance=self)
        with in_transaction(using), changes.saving(self):
            return original(self, *args, **kwargs)

    return save_base

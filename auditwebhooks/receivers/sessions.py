"""Log in, log out and failed log in, where the user model is audited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import auth
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db import models

from auditwebhooks.capture.change import harmless
from auditwebhooks.capture.record import record
from auditwebhooks.context import context, current
from auditwebhooks.impersonation import impersonator_of
from auditwebhooks.masking import MASK
from auditwebhooks.registry import ModelClass
from auditwebhooks.storable import is_storable


def connect(user_model: ModelClass) -> None:
    """The event types are the same whatever the user model is called."""
    user_logged_in.connect(_logged_in, user_model, dispatch_uid="auditwebhooks.logged_in")
    user_logged_out.connect(_logged_out, user_model, dispatch_uid="auditwebhooks.logged_out")
    # Sent by the module, whose name is the sender.
    user_login_failed.connect(_failed, auth.__name__, dispatch_uid="auditwebhooks.login_failed")


@harmless
def _logged_in(user: Any, **kwargs: Any) -> None:
    _record("login", "logged_in", user)


@harmless
def _logged_out(user: Any, **kwargs: Any) -> None:
    if user is not None:
        _record("logout", "logged_out", user)


@harmless
def _failed(credentials: Mapping[str, Any], **kwargs: Any) -> None:
    """A name that belongs to nobody is not kept: people type passwords there."""
    manager: Any = auth.get_user_model()._default_manager
    field = auth.get_user_model().USERNAME_FIELD
    name = credentials.get(field, credentials.get("username"))
    is_name = isinstance(name, str) and is_storable(name)
    user = manager.filter(**{field: name}).first() if is_name else None
    record(
        "login_failed",
        target=user,
        event_type="auth.user.login_failed",
        metadata={"username": MASK if user is None else name},
    )


def _record(action: str, what: str, user: models.Model) -> None:
    # Whoever logs in or out acts, unless the host or an impersonation says that another does.
    here = current()
    is_impersonated = impersonator_of(here.request, user) is not None
    with context(actor=here.actor or (None if is_impersonated else user)):
        record(action, target=user, event_type=f"auth.user.{what}")

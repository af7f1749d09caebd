"""Who really acts where staff work as another user, by the attributes that django-impersonate and
django-hijack document."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.contrib.auth import get_user_model


def impersonator_of(request: Any, user: Any) -> Any:
    """The user who acts as ``user``, a request's; None: nobody but the user.

    Both packages mark the user itself, so a user whom a token authenticated in their stead is
    not taken for impersonated. Only a hijacker's name takes a query, once a request.
    """
    if getattr(user, "is_impersonate", False) is True:
        return getattr(request, "impersonator", None)
    if getattr(user, "is_hijacked", False) is True:
        return _hijacker(request)
    return None


def _hijacker(request: Any) -> Any:
    # Keys as text; who is in another's place may take a third one's.
    history = request.session.get("hijack_history")
    if not history:
        return None
    known = getattr(request, "_auditwebhooks_hijacker", None)
    if known is None:
        first = history[0]
        users = get_user_model()._base_manager
        known = users.filter(pk=first).first() or SimpleNamespace(pk=str(first))
        request._auditwebhooks_hijacker = known
    return known

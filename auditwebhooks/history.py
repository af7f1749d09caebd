"""From an object to its events in the audit log."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlencode

from django.db.models import Model, Q
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from auditwebhooks.capture.subject import key_text, subject_of, type_of
from auditwebhooks.models.event import COLUMN_LENGTH
from auditwebhooks.registry import ModelClass, registry
from auditwebhooks.storable import storable

# Names in the URL of the list.
MODEL, KEY = "target_model", "target_id"


def history_url(request: HttpRequest, obj: object) -> str:
    """The list of the object's events in the admin that the request is for; empty where there is
    none for this user. Asks no database for an object that is not audited."""
    subject = subject_of(obj.__class__) if isinstance(obj, Model) else None
    if subject is None or not isinstance(obj, Model) or obj.pk is None:
        return ""
    if subject.is_key_secret:
        # No event tells which row it is about.
        return ""
    if not request.user.has_perm("auditwebhooks.view_event"):
        return ""
    site = getattr(request, "current_app", None) or "admin"
    try:
        url = reverse(f"{site}:auditwebhooks_event_changelist")
    except NoReverseMatch:
        # This admin has no audit log.
        return ""
    return f"{url}?{urlencode({MODEL: subject.model._meta.label_lower, KEY: key_text(obj.pk)})}"


def events_about(label: str, key: str) -> Q:
    """The events of one object: those whose type begins with its model, and those of the host's
    own types that name its ``target_type``. Found by the key, whose index they share."""
    about = Q(event_type__startswith=f"{label}.")
    for model, options in registry.models():
        if model._meta.label_lower == label:
            name = type_of(model, options)
            told = Q(target_type=name)
            for other in _others_called(name, label):
                told &= ~Q(event_type__startswith=f"{other}.")
            about |= told
    return Q(target_id=storable(key)[:COLUMN_LENGTH]) & about


def _others_called(name: str, label: str) -> Iterator[str]:
    for model, options in registry.models():
        other: ModelClass = model
        if type_of(other, options) == name and other._meta.label_lower != label:
            yield other._meta.label_lower

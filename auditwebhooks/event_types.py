"""The event types that there are: those that audited models make, and those that were recorded."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from auditwebhooks.enums import Action
from auditwebhooks.models import Event
from auditwebhooks.registry import registry

# A host that makes a type for each of its objects has no list that anybody could read.
MOST = 500

SESSIONS = ("auth.user.logged_in", "auth.user.logged_out", "auth.user.login_failed")


def event_types() -> list[str]:
    return sorted({*of_models(), *recorded()})


def of_models() -> Iterator[str]:
    for model, options in registry.models():
        label = model._meta.label_lower
        yield from (f"{label}.{one.past}" for one in Action if one.value in options.actions)
        if label == settings.AUTH_USER_MODEL.lower():
            yield from SESSIONS


def recorded() -> Iterator[str]:
    """Along the index, one look-up for each type, however many events there are."""
    names = Event.objects.order_by("event_type").values_list("event_type", flat=True)
    found = names.first()
    for _number in range(MOST):
        if found is None:
            return
        yield found
        found = names.filter(event_type__gt=found).first()

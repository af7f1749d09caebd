"""Which event a test or a preview is made with: two inputs of the webhook's page, for those who
may see what is in events. What they hold is no value of the webhook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from auditwebhooks.admin.display import moment
from auditwebhooks.delivery.samples import newest, recorded
from auditwebhooks.models import Event
from auditwebhooks.seeing import may_use_recorded

_LABEL_LENGTH = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The inputs as the page shows them."""

    # Of the list; the box for the ID of any other event is called the same with "_id".
    name: str
    # event_id -> words.
    offered: Sequence[tuple[str, str]]
    selected: str = ""
    typed: str = ""


def may_choose(request: HttpRequest) -> bool:
    return may_use_recorded(request.user)


def offered(patterns: Any) -> list[tuple[str, str]]:
    """The newest events that pass the webhook's filter."""
    known = patterns if isinstance(patterns, list) else []
    return [(event.event_id, words(event)) for event in newest(known)]


def choice(request: HttpRequest, name: str, events: Sequence[tuple[str, str]]) -> Choice:
    """With what was sent, where the page is shown again."""
    selected = request.POST.get(name, "")
    typed = request.POST.get(f"{name}_id", "")
    # Newer ones may have taken its place meanwhile.
    if selected not in dict(events):
        typed = typed or selected
    return Choice(name=name, offered=events, selected=selected, typed=typed)


def chosen(request: HttpRequest, name: str) -> Event | None:
    """None: the mock event. Raises ValidationError where there is no such event."""
    event_id = request.POST.get(f"{name}_id", "").strip() or request.POST.get(name, "")
    if not event_id:
        return None
    if not may_choose(request):
        raise PermissionDenied
    event = recorded(event_id)
    if event is None:
        raise ValidationError(_("There is no event with this ID."))
    return event


def words(event: Event) -> str:
    """What an event is called in a list."""
    about = f"{moment(event.created_at)} {event.event_type} {event.target_name}"
    return Truncator(about.strip()).chars(_LABEL_LENGTH)

"""The event that a test or a preview is made with: the mock one, or one that was recorded."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence

from auditwebhooks import payload
from auditwebhooks.delivery.fanout import matches
from auditwebhooks.models import Event

# How many are offered, and how many of the latest are looked at for them.
OFFERED = 10
_LATEST = 500

# What an event is called by, without its payload.
_NAMES = ("id", "event_id", "event_type", "created_at", "target_name")


def newest(patterns: Sequence[str]) -> list[Event]:
    """The newest that pass a webhook's filter, without their payload."""
    latest = Event.objects.only(*_NAMES).order_by("-id")[: _LATEST if patterns else OFFERED]
    return [event for event in latest if matches(event.event_type, patterns)][:OFFERED]


def recorded(event_id: str) -> Event | None:
    """The event with this ``event_id``; any spelling of the UUID."""
    try:
        text = str(uuid.UUID(event_id.strip()))
    except ValueError:
        return None
    return Event.objects.filter(event_id=text).first()


def payload_text(event: Event | None) -> str:
    """Of the mock event where there is none."""
    return payload.sample(time.time_ns()).as_text() if event is None else event.payload_text

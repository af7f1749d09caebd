"""Whether a change was caused by a call of this app: a webhook of a project may end in the project
itself, or come back to it from outside. Such changes say so, and do not go round for ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest
from django.utils import timezone

from auditwebhooks.identifiers import parse_message_id
from auditwebhooks.models import Invocation

# A change at this depth is sent, one that it causes is only recorded.
DEEPEST = 3

# An id is believed for so long after its call: later it was copied from somewhere.
_BELIEVED_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    # The ``webhook-id`` of the call.
    message_id: str
    # 1: the event that was sent had no such cause itself.
    depth: int

    @property
    def is_too_deep(self) -> bool:
        return self.depth > DEEPEST


def cause_of(request: HttpRequest | None) -> Cause | None:
    """The call of ours that this request belongs to. Asks the database once for a request, and
    only where its ``webhook-id`` reads like ours."""
    text = request.META.get("HTTP_WEBHOOK_ID", "") if request is not None else ""
    if not text:
        return None
    if not hasattr(request, "_auditwebhooks_cause"):
        request._auditwebhooks_cause = _look_up(text)  # type: ignore[union-attr]
    known: Cause | None = request._auditwebhooks_cause  # type: ignore[union-attr]
    return known


def _look_up(text: str) -> Cause | None:
    delivery = parse_message_id(text)
    if delivery is None:
        return None
    call = (
        Invocation.objects.primary()
        .filter(
            event__event_id=delivery.event_id,
            webhook_id=delivery.webhook_id,
            started_at__gte=timezone.now() - _BELIEVED_FOR,
        )
        .select_related("event")
        .first()
    )
    if call is None or call.event is None:
        return None
    before = call.event.payload["data"]["metadata"].get("caused_by_depth", 0)
    return Cause(message_id=text, depth=before + 1 if isinstance(before, int) else 1)

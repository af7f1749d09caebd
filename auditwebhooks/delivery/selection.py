"""Which recorded events a replay sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import CharField, Count, Exists, OuterRef, Q, Value
from django.db.models.functions import Concat

from auditwebhooks.delivery.fanout import matches
from auditwebhooks.enums import Status
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.querysets import EventQuerySet


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was asked for."""

    # Recorded from then on, and before then.
    since: datetime
    until: datetime
    # Patterns beside the webhook's own; none: every event.
    event_types: Sequence[str] = ()
    # Those whose latest attempt failed, and those that were never attempted.
    only_failed: bool = False

    def takes(self, event_type: str, webhook: Webhook) -> bool:
        return matches(event_type, self.event_types) and matches(event_type, webhook.event_types)

    def events(self, using: str) -> EventQuerySet[Event]:
        return Event.objects.using(using).filter(
            created_at__gte=self.since, created_at__lt=self.until
        )


def count(selection: Selection, webhook: Webhook, using: str) -> int:
    """How many events a replay would send now."""
    events = unsent(selection.events(using), selection, webhook, using)
    if not (selection.event_types or webhook.event_types):
        return events.count()
    # Patterns are matched here, once for each type and not for each event. As an expression the
    # type cannot be grouped along its index, for which MariaDB would fetch each row by itself.
    name = Concat("event_type", Value(""), output_field=CharField())
    types = events.order_by().values_list(name).annotate(number=Count("pk"))
    return sum(number for event_type, number in types if selection.takes(event_type, webhook))


def unsent(
    events: EventQuerySet[Event], selection: Selection, webhook: Webhook, using: str
) -> EventQuerySet[Event]:
    """Those of the events that have nothing waiting for the webhook, and with ``only_failed``
    came to nothing so far. Types are not looked at."""
    theirs = Invocation.objects.using(using).filter(webhook=webhook, event=OuterRef("pk"))
    waiting = theirs.filter(status__in=[Status.PENDING, Status.SENDING])
    left = events.exclude(_on_its_way(webhook)).exclude(Exists(waiting))
    if not selection.only_failed:
        return left
    # Nothing waits, so what is left out has a success as its latest. A subquery for the latest
    # status would be sorted for each event.
    later = Invocation.objects.using(using).filter(
        webhook=webhook, event=OuterRef("event"), pk__gt=OuterRef("pk")
    )
    return left.exclude(Exists(theirs.filter(~Exists(later), status=Status.SUCCEEDED)))


def _on_its_way(webhook: Webhook) -> Q:
    """Events that the fan-out has not come to, and will give to this webhook."""
    collected = Q(pk__in=[])
    for since, until in webhook.active_periods:
        period = Q(created_at__gte=datetime.fromisoformat(since))
        if until is not None:
            period &= Q(created_at__lt=datetime.fromisoformat(until))
        collected |= period
    return Q(fanned_out_at__isnull=True) & collected

"""Help for a host's own tests: what a block recorded, and what would be sent for it.

    with auditwebhooks.testing.events() as recorded:
        order.approve()
    assert recorded[0].payload["data"]["action"] == "update"

    with auditwebhooks.testing.deliveries() as sent:
        order.approve()
    assert sent[0].body["event_type"] == "shop.order.updated"

Works in TestCase and TransactionTestCase, with and without a queue; no network is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from auditwebhooks.delivery.fanout import matches
from auditwebhooks.delivery.message import Composer, Message
from auditwebhooks.identifiers import message_id
from auditwebhooks.models import Event, Webhook
from auditwebhooks.signals import event_recorded
from auditwebhooks.transport.messages import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The first attempt of one event to one webhook, as it would be sent."""

    webhook: Webhook
    event: Event
    request: Request

    @property
    def body(self) -> Any:
        """The body as JSON data; None without one."""
        return None if self.request.body is None else json.loads(self.request.body)


@contextmanager
def events() -> Iterator[list[Event]]:
    """The events recorded in the block, in their order; those rolled back later are among them."""
    recorded: list[Event] = []

    def keep(event: Event, **kwargs: Any) -> None:
        recorded.append(event)

    event_recorded.connect(keep, Event)
    try:
        yield recorded
    finally:
        event_recorded.disconnect(keep, Event)


@contextmanager
def deliveries() -> Iterator[list[Delivery]]:
    """What active webhooks would be sent for the events of the block; filled when it ends.

    Without an active webhook in the test's database that is nothing, see ``events``. What was
    rolled back in the block is not sent.
    Raises what makes a delivery impossible: EncryptionError, InvalidURLError and
    TemplateRenderError. Nothing is sent, and nothing is stored of it.
    """
    sent: list[Delivery] = []
    with events() as recorded:
        yield sent
    webhooks = list(Webhook.objects.primary().filter(active=True).order_by("created_at"))
    # Not by key, which SQLite gives anew after a rollback.
    kept = Event.objects.primary().in_bulk(
        [event.event_id for event in recorded], field_name="event_id"
    )
    for event in recorded:
        for webhook in webhooks if event.event_id in kept else ():
            if matches(event.event_type, webhook.event_types):
                sent.append(_deliver(webhook, event))


def _deliver(webhook: Webhook, event: Event) -> Delivery:
    message = Message(
        id=message_id(event.event_id, webhook.pk), attempt=1, payload_text=event.payload_text
    )
    request = Composer(webhook).compose(message, timezone.now())
    return Delivery(webhook=webhook, event=event, request=request)

"""Test: one call with a webhook's values as they stand, saved or not."""

from __future__ import annotations

from django.db import connections, router, transaction
from django.utils import timezone
from django.utils.translation import gettext_noop

from auditwebhooks.delivery.health import revive
from auditwebhooks.delivery.message import Message
from auditwebhooks.delivery.samples import payload_text
from auditwebhooks.delivery.send import attempt
from auditwebhooks.enums import Outcome, Trigger
from auditwebhooks.identifiers import new_test_id
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.rows import locked, take_write_lock

SUCCESSFUL = gettext_noop("Test successful")
FAILED = gettext_noop("Test failed")


def send_test(webhook: Webhook, event: Event | None = None) -> Invocation:
    """Send the mock event once, or a recorded one, by the same code path as every delivery.

    A recorded event is a test all the same: its invocation is not one of the event's, and the
    receiver tells it by its ``webhook-id``. ``webhook`` may be unsaved or hold unsaved values,
    and need not be active. The invocation of a webhook that is in the database is kept, any other
    is only returned. A test never counts for the webhook's health, but where the saved values
    succeed they are used again at once: see ``health.revive``. Nothing is raised: a failure is
    the invocation's outcome.
    """
    message = Message(
        id=new_test_id(),
        attempt=1,
        payload_text=payload_text(event),
    )
    result = attempt(webhook, message)
    now = timezone.now()
    invocation = Invocation(
        webhook_name=webhook.name,
        trigger=Trigger.TEST,
        created_at=result.started_at,
        due_at=now,
    )
    result.write_to(invocation)
    using = router.db_for_write(Invocation)
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Invocation)
        # It stays until the row that names it is there.
        stored = locked(Webhook.objects.using(using).filter(pk=webhook.pk), using).first()
        if stored is None:
            return invocation
        invocation.webhook_id = stored.pk
        invocation.save(using=using)
        if result.outcome == Outcome.SUCCESS and webhook.sends_like(stored):
            revive(stored)
    return invocation


def verdict(invocation: Invocation) -> str:
    """The seed page's words, which programs rely on: a page translates them."""
    return SUCCESSFUL if invocation.outcome == Outcome.SUCCESS else FAILED

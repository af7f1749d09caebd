"""Switching webhooks on and off by hand."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from auditwebhooks.delivery.switching import switch
from auditwebhooks.models import Event, Webhook, WebhookHealth
from tests.factories import make_webhook

pytestmark = pytest.mark.django_db


def is_collecting(webhook: Webhook) -> bool:
    later = timezone.now() + timedelta(minutes=1)
    return Webhook.objects.get(pk=webhook.pk).was_collecting(later)


def test_those_that_are_not_so_already_are_switched_and_told_as_events() -> None:
    on, off = make_webhook(), make_webhook(active=False)

    assert switch([on.pk, off.pk], active=True) == [off]

    assert Webhook.objects.get(pk=off.pk).active
    assert is_collecting(off)
    event = Event.objects.get(event_type="auditwebhooks.webhook.updated")
    assert event.payload["data"]["metadata"]["changed_fields"] == ["active"]


def test_switched_off_it_collects_no_more() -> None:
    webhook = make_webhook()

    assert switch([webhook.pk], active=False) == [webhook]

    assert not Webhook.objects.get().active
    assert not is_collecting(webhook)
    assert switch([webhook.pk], active=False) == []


def test_what_the_system_switched_off_can_be_switched_off_by_a_person() -> None:
    webhook = make_webhook()
    WebhookHealth.objects.create(webhook=webhook, disabled_reason="The receiver is gone.")
    webhook.switch_off_by_system()
    assert is_collecting(webhook)

    assert switch([webhook.pk], active=False) == [webhook]

    present = Webhook.objects.get()
    assert (present.active, present.disabled_reason) == (False, "")
    assert not is_collecting(webhook)


def test_of_none_nothing_is_switched() -> None:
    assert switch([], active=True) == []

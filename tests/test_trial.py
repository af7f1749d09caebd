"""Test: one call with the values as they stand."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from auditwebhooks.delivery.health import Hopeless, switch_off
from auditwebhooks.delivery.trial import send_test, verdict
from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import SECRET, make_event, make_webhook

pytestmark = pytest.mark.django_db


def test_an_unsaved_webhook_is_called_and_nothing_is_stored(inbox: Inbox) -> None:
    webhook = Webhook(
        name="SIEM", url=inbox.url, headers={"Authorization": "Bearer typed"}, active=False
    )
    invocation = send_test(webhook)

    [delivery] = inbox.deliveries
    assert delivery.headers["Authorization"] == "Bearer typed"
    assert delivery.headers["webhook-id"].startswith("test_")
    assert delivery.headers["webhook-attempt"] == "1"
    assert json.loads(delivery.body)["data"]["actor_name"] == "Ada Lovelace"
    assert verdict(invocation) == "Test successful"
    assert (invocation.trigger, invocation.status, invocation.pk) == ("test", "succeeded", None)
    assert not Webhook.objects.exists()
    assert not Invocation.objects.exists()


def test_the_test_of_a_saved_webhook_is_kept(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    send_test(webhook)

    invocation = Invocation.objects.get()
    assert invocation.webhook == webhook
    assert invocation.event is None
    assert invocation.trigger == "test"
    assert invocation.status == "succeeded"
    assert invocation.response_status == 200


def test_a_key_may_be_text(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)

    invocation = send_test(Webhook(pk=str(webhook.pk), name="SIEM", url=inbox.url))

    assert Invocation.objects.get(webhook=webhook) == invocation


def test_unsaved_values_of_a_saved_webhook_are_used_and_stay_unsaved(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url + "saved", headers={"A": "stored"})
    webhook = Webhook.objects.get(pk=webhook.pk)
    webhook.url = inbox.url + "typed"
    webhook.method = "PUT"
    send_test(webhook)

    [delivery] = inbox.deliveries
    assert (delivery.method, delivery.path) == ("PUT", "/typed")
    assert delivery.headers["A"] == "stored"
    assert Webhook.objects.get().url.endswith("saved")


def test_a_failure_is_told_in_the_page_s_words(inbox: Inbox) -> None:
    inbox.answers = [Answer(status=401)]
    invocation = send_test(make_webhook(url=inbox.url))

    assert verdict(invocation) == "Test failed"
    assert invocation.message == "The receiver answered 401 Unauthorized."


def test_a_test_is_made_once_and_counts_for_nothing(inbox: Inbox) -> None:
    inbox.answers = [Answer(status=500)]
    send_test(make_webhook(url=inbox.url))

    assert Invocation.objects.filter(status="pending").count() == 0
    assert not WebhookHealth.objects.exists()
    assert not Event.objects.filter(event_type="access.accessflow.updated").exists()


def test_stored_secrets_are_not_sent_to_another_host(inbox: Inbox) -> None:
    webhook = make_webhook(headers={"Authorization": "Bearer canary"})
    webhook = Webhook.objects.get(pk=webhook.pk)
    webhook.url = inbox.url

    invocation = send_test(webhook)

    assert invocation.outcome == "config"
    assert inbox.deliveries == []


def sick(webhook: Webhook, reason: str, **health: Any) -> None:
    WebhookHealth.objects.create(
        webhook=webhook,
        paused_until=timezone.now() + timedelta(minutes=30),
        pause_reason=reason,
        paused_configuration=Webhook.objects.get(pk=webhook.pk).updated_at,
        **health,
    )


@pytest.mark.parametrize("reason", ["configuration", "breaker"])
def test_a_success_of_the_saved_values_ends_a_pause(inbox: Inbox, reason: str) -> None:
    webhook = make_webhook(url=inbox.url, headers={"A": "b"}, signing_secret=SECRET)
    sick(webhook, reason, openings=3, outages=9)

    send_test(Webhook.objects.get())

    assert Webhook.objects.get().paused_until is None
    assert WebhookHealth.objects.values_list("openings", "outages").get() == (0, 0)


@pytest.mark.parametrize(
    "typed", [{"method": "PUT"}, {"headers": {"A": "c"}}, {"body_template": "{}"}]
)
def test_a_success_of_other_values_ends_no_pause(inbox: Inbox, typed: dict[str, Any]) -> None:
    sick(make_webhook(url=inbox.url, headers={"A": "b"}), "configuration")
    webhook = Webhook.objects.get()
    for name, value in typed.items():
        setattr(webhook, name, value)

    assert verdict(send_test(webhook)) == "Test successful"

    assert Webhook.objects.get().paused_until is not None


def test_a_failure_ends_no_pause(inbox: Inbox) -> None:
    inbox.answers = [Answer(status=500)]
    sick(make_webhook(url=inbox.url), "breaker", openings=1)

    send_test(Webhook.objects.get())

    assert Webhook.objects.get().paused_until is not None


def test_what_the_receiver_asked_to_wait_for_is_waited_for(inbox: Inbox) -> None:
    sick(make_webhook(url=inbox.url), "retry_after")

    send_test(Webhook.objects.get())

    assert Webhook.objects.get().paused_until is not None


def test_a_success_switches_on_what_the_system_switched_off(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    _switch_off(webhook)

    send_test(Webhook.objects.get())

    on = Webhook.objects.get()
    assert (on.active, on.disabled_reason) == (True, "")
    event = Event.objects.filter(event_type="auditwebhooks.webhook.updated").latest("id")
    assert event.payload["data"]["metadata"]["changed_fields"] == ["active"]


def _switch_off(webhook: Webhook) -> None:
    why = Hopeless(reason="It failed for three days.", configuration=webhook.updated_at)
    assert switch_off(webhook.pk, why)


def test_a_success_does_not_switch_on_what_a_person_switched_off(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    _switch_off(webhook)
    by_person = Webhook.objects.get()
    by_person.active = True
    by_person.save()
    by_person.active = False
    by_person.save()

    send_test(Webhook.objects.get())

    off = Webhook.objects.get()
    assert (off.active, off.disabled_reason) == (False, "")


def test_a_recorded_event_is_sent_as_a_test(inbox: Inbox) -> None:
    event = make_event(event_type="own.word")
    webhook = make_webhook(
        url=inbox.url, body_template='{"all": "{{data}}", "id": "{{event_id}}"}'
    )
    before = Event.objects.count()

    send_test(webhook, event)

    [delivery] = inbox.deliveries
    assert delivery.headers["webhook-id"].startswith("test_")
    assert json.loads(delivery.body) == {"all": event.payload["data"], "id": event.event_id}
    invocation = Invocation.objects.get()
    assert (invocation.trigger, invocation.event) == ("test", None)
    assert not event.invocations.exists()
    assert not WebhookHealth.objects.exists()
    assert Event.objects.count() == before

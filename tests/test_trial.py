"""Test: one call with the values as they stand."""

from __future__ import annotations

import json

import pytest

from auditwebhooks.delivery.trial import send_test, verdict
from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import make_webhook

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

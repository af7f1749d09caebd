"""The form tells what state a webhook is in and what waits for it, and offers to discard that."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from auditwebhooks.models import Invocation, Webhook, WebhookHealth
from project.demo.form import form_fields
from tests.factories import make_invocation, make_webhook

pytestmark = pytest.mark.django_db

# It is done when the page's own transaction has committed.
commits = pytest.mark.django_db(transaction=True)


@pytest.fixture
def operator(client: Client) -> User:
    user = User.objects.create_superuser("op", "op@example.com", "pw")
    client.force_login(user)
    return user


def url_of(webhook: Webhook) -> str:
    return reverse("admin:auditwebhooks_webhook_change", args=[webhook.pk])


def page_of(client: Client, webhook: Webhook) -> str:
    return client.get(url_of(webhook)).content.decode()


def told(page: str) -> str:
    """The notes above the form, as text."""
    notes = re.findall(r'<div class="auditwebhooks-note.*?</div>', page, re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", " ".join(notes)).split())


def save(client: Client, webhook: Webhook, **values: str | None) -> Any:
    """Press Save on the page as it is, with these values; None leaves one out."""
    page = re.sub(r"<template>.*?</template>", "", page_of(client, webhook), flags=re.S)
    data = {**dict(form_fields(page, "webhook_form")), **values}
    sent = {name: value for name, value in data.items() if value is not None}
    return client.post(url_of(webhook), sent, follow=True)


def test_a_webhook_with_nothing_to_say_has_no_notes(client: Client, operator: User) -> None:
    page = page_of(client, make_webhook())

    assert told(page) == ""
    assert "discard_waiting" not in page


def test_the_form_says_how_many_wait(client: Client, operator: User) -> None:
    webhook = make_webhook(active=False)
    make_invocation(webhook)
    make_invocation(webhook)
    make_invocation(webhook, status="sending")
    page = page_of(client, webhook)

    assert "2 deliveries wait until the webhook is switched on." in told(page)
    assert f"/admin/auditwebhooks/invocation/?webhook={webhook.pk}&amp;status=pending" in page
    assert 'name="discard_waiting"' in page
    assert "Discard what waits" in page


@commits
def test_one_that_is_on_can_be_switched_off_and_emptied_at_once(
    client: Client, operator: User
) -> None:
    webhook = make_webhook(name="SIEM")
    waits = make_invocation(webhook)
    assert "1 delivery waits." in page_of(client, webhook)

    response = save(client, webhook, active=None, discard_waiting="on")

    assert not Webhook.objects.get().active
    waits.refresh_from_db()
    assert (waits.status, waits.outcome) == ("failed", "cancelled")
    texts = [str(one) for one in response.context["messages"]]
    assert "1 delivery that waited is discarded." in texts
    notes = LogEntry.objects.order_by("pk").values_list("change_message", flat=True)
    assert notes[1] == "Discarded what waited: 1"
    assert "Status" in notes[0]
    assert "Discard" not in notes[0]


@commits
def test_what_waits_for_one_that_is_off_can_be_discarded_later(
    client: Client, operator: User
) -> None:
    webhook = make_webhook(active=False)
    make_invocation(webhook)

    save(client, webhook)
    assert Invocation.objects.get().status == "pending"
    save(client, webhook, discard_waiting="on")

    assert Invocation.objects.get().outcome == "cancelled"


def test_nothing_is_discarded_while_the_webhook_is_on(client: Client, operator: User) -> None:
    webhook = make_webhook()
    make_invocation(webhook)

    response = save(client, webhook, discard_waiting="on")

    errors = response.context["adminform"].form.errors
    assert list(errors) == ["discard_waiting"]
    assert "Switch the webhook off" in str(errors)
    assert Invocation.objects.get().status == "pending"


@commits
def test_more_than_the_time_allows_is_said(
    client: Client,
    operator: User,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("auditwebhooks.delivery.discard.BATCH", 1)
    monkeypatch.setattr("auditwebhooks.delivery.discard.SECONDS", 0)
    webhook = make_webhook(active=False)
    make_invocation(webhook)
    make_invocation(webhook)

    response = save(client, webhook, discard_waiting="on")

    texts = [str(one) for one in response.context["messages"]]
    assert "1 delivery that waited is discarded." in texts
    assert any(text.startswith("There was not time for all of them") for text in texts)


def test_switched_off_by_the_system_it_says_why_and_what_to_do(
    client: Client, operator: User
) -> None:
    webhook = make_webhook()
    webhook.switch_off_by_system()
    WebhookHealth.objects.create(webhook=webhook, disabled_reason="The receiver <b>is</b> gone.")
    make_invocation(webhook)
    page = page_of(client, webhook)

    notes = told(page)
    assert "Switched off by the system: The receiver &lt;b&gt;is&lt;/b&gt; gone." in notes
    assert "Its events keep queueing" in notes
    assert "press Test" in notes
    assert "1 delivery waits until the webhook is switched on." in notes


def test_a_pause_says_until_when_and_why(client: Client, operator: User) -> None:
    webhook = make_webhook()
    WebhookHealth.objects.create(
        webhook=webhook,
        paused_until=timezone.now() + timedelta(hours=1),
        pause_reason="configuration",
        paused_configuration=webhook.updated_at,
    )

    assert re.search(
        r"Paused\. Until .+: the configuration must be mended",
        told(page_of(client, webhook)),
    )


def test_a_viewer_is_offered_nothing(client: Client) -> None:
    webhook = make_webhook(active=False)
    make_invocation(webhook)
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_webhook"))
    client.force_login(user)
    page = page_of(client, webhook)

    assert "1 delivery waits" in told(page)
    assert "discard" not in page
    assert "/admin/auditwebhooks/invocation/?" not in page

"""A new signing secret by a button: shown once, and kept by nobody on the way."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from auditwebhooks.models import Event, Webhook
from tests.factories import SECRET, make_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator(client: Client) -> User:
    user = User.objects.create_superuser("op", "op@example.com", "pw")
    client.force_login(user)
    return user


def change_url(webhook: Webhook) -> str:
    return reverse("admin:auditwebhooks_webhook_change", args=[webhook.pk])


def rotate_url(webhook: Webhook) -> str:
    return reverse("admin:auditwebhooks_webhook_rotate_secret", args=[webhook.pk])


def test_the_new_secret_is_shown_once(client: Client, operator: User) -> None:
    webhook = make_webhook(name="SIEM", signing_secret=SECRET)
    assert f'href="{rotate_url(webhook)}"' in client.get(change_url(webhook)).content.decode()

    question = client.get(rotate_url(webhook))
    assert "signs along for 24 hours" in question.content.decode()
    assert Webhook.objects.get().previous_signing_secret == ""

    answer = client.post(rotate_url(webhook))

    assert "no-store" in answer["Cache-Control"]
    [secret] = re.findall(r"whsec_[\w+/=]+", html.unescape(answer.content.decode()))
    present = Webhook.objects.get()
    told = [one.reveal() for one in present.revealed_signing_secrets(timezone.now())]
    assert told == [secret, SECRET]
    assert secret not in client.get(change_url(webhook)).content.decode()
    assert secret not in client.get(rotate_url(webhook)).content.decode()
    assert LogEntry.objects.get().change_message == "New signing secret."
    event = Event.objects.latest("id")
    assert event.payload["data"]["metadata"]["changed_fields"] == ["signing_secret"]
    assert secret not in event.payload_text


def test_a_first_secret_is_made_in_the_same_way(client: Client, operator: User) -> None:
    webhook = make_webhook()
    assert "signs along" not in client.get(rotate_url(webhook)).content.decode()

    page = client.post(rotate_url(webhook)).content.decode()

    assert "whsec_" in page
    assert "signs along" not in page
    assert Webhook.objects.get().signing_secret


def test_a_url_that_cannot_be_read_is_said(
    client: Client, operator: User, settings: object
) -> None:
    webhook = make_webhook()
    settings.SECRET_KEY = "another"  # type: ignore[attr-defined]
    client.force_login(operator)

    response = client.post(rotate_url(webhook), follow=True)

    [message] = response.context["messages"]
    assert message.level_tag == "error"
    assert "cannot be read" in str(message)
    assert not LogEntry.objects.exists()


def test_it_needs_the_right_to_change(client: Client) -> None:
    webhook = make_webhook(signing_secret=SECRET)
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_webhook"))
    client.force_login(user)

    assert client.get(rotate_url(webhook)).status_code == 403
    assert client.post(rotate_url(webhook)).status_code == 403
    assert "rotate-secret" not in client.get(change_url(webhook)).content.decode()
    assert Webhook.objects.get().previous_signing_secret == ""


def test_of_no_webhook_there_is_no_page(client: Client, operator: User) -> None:
    webhook = make_webhook()
    url = rotate_url(webhook)
    Webhook.objects.get().delete()

    assert client.post(url).status_code == 404

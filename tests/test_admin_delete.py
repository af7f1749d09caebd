"""Before a webhook is deleted the admin says what becomes of its invocations, and lists none."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from auditwebhooks.models import Replay, Webhook, WebhookHealth
from tests.factories import make_invocation, make_webhook

pytestmark = pytest.mark.django_db

LIST = "/admin/auditwebhooks/webhook/"


@pytest.fixture
def operator(client: Client) -> User:
    user = User.objects.create_superuser("op", "op@example.com", "pw")
    client.force_login(user)
    return user


def busy(name: str) -> Webhook:
    webhook = make_webhook(name=name)
    WebhookHealth.objects.create(webhook=webhook)
    for status in ("succeeded", "failed", "sending", "pending", "pending"):
        make_invocation(webhook, status=status)
    now = timezone.now()
    Replay.objects.create(webhook=webhook, webhook_name=name, since=now, until=now)
    return webhook


def listed(page: str) -> list[str]:
    """The items of the confirmation page, without the summary's numbers."""
    [part] = re.findall(r"<ul[^>]*>(?:(?!<ul).)*Webhook: .*?</ul>\s*<form", page, re.S)
    items = re.findall(r"<li>(.*?)(?=<ul>|</li>|<li>)", part, re.S)
    return [html.unescape(" ".join(re.sub(r"<[^>]+>", "", item).split())) for item in items]


def test_one_webhook(client: Client, operator: User, django_assert_max_num_queries: Any) -> None:
    webhook = busy("SIEM")
    url = reverse("admin:auditwebhooks_webhook_delete", args=[webhook.pk])
    with django_assert_max_num_queries(12):
        page = client.get(url).content.decode()

    assert listed(page) == [
        "Webhook: SIEM",
        "5 invocations are kept.",
        "2 of them wait and are cancelled.",
    ]
    assert "#" not in " ".join(listed(page))


def test_several_webhooks(client: Client, operator: User) -> None:
    chosen = [str(busy(name).pk) for name in ("A", "B")]
    data = {"action": "delete_selected", "_selected_action": chosen}
    page = client.post(LIST, data).content.decode()

    assert "10 invocations are kept." in page
    assert "4 of them wait and are cancelled." in page
    assert "health" not in page

    assert client.post(LIST, {**data, "post": "yes"}).status_code == 302
    assert not Webhook.objects.exists()


def test_nothing_is_said_of_what_is_not_there(client: Client, operator: User) -> None:
    webhook = make_webhook(name="New")
    url = reverse("admin:auditwebhooks_webhook_delete", args=[webhook.pk])

    assert listed(client.get(url).content.decode()) == ["Webhook: New"]


def test_deleting_needs_its_permission(client: Client) -> None:
    webhook = make_webhook()
    user = User.objects.create_user("staff", is_staff=True)
    codenames = ["view_webhook", "change_webhook"]
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    url = reverse("admin:auditwebhooks_webhook_delete", args=[webhook.pk])

    assert client.post(url, {"post": "yes"}).status_code == 403

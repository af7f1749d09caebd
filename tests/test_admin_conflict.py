"""Two people edit one webhook: the second who saves is told, and nothing is overwritten."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from auditwebhooks.context import paused
from auditwebhooks.models import Webhook, WebhookHealth
from project.demo.form import form_fields
from tests.conftest import Inbox
from tests.factories import make_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def operator(client: Client) -> User:
    user = User.objects.create_superuser("op", "op@example.com", "pw")
    client.force_login(user)
    return user


def change_url(webhook: Webhook) -> str:
    return reverse("admin:auditwebhooks_webhook_change", args=[webhook.pk])


def test_url(webhook: Webhook) -> str:
    return reverse("admin:auditwebhooks_webhook_test", args=[webhook.pk])


test_url.__test__ = False  # type: ignore[attr-defined]


def opened(client: Client, webhook: Webhook) -> dict[str, str]:
    """The form as it is now."""
    page = client.get(change_url(webhook)).content.decode()
    return shown(page)


def shown(page: str) -> dict[str, str]:
    page = re.sub(r"<template>.*?</template>", "", page, flags=re.S)
    return dict(form_fields(page, "webhook_form"))


def ada_saves(webhook: Webhook, **values: Any) -> None:
    """Somebody else changes it meanwhile, in the admin."""
    ada = Client()
    user = User.objects.create_superuser(
        "ada", "ada@example.com", first_name="Ada", last_name="Lovelace"
    )
    ada.force_login(user)
    response = ada.post(change_url(webhook), {**opened(ada, webhook), **values})
    assert response.status_code == 302


def test_the_second_is_told_who_was_faster_and_nothing_is_overwritten(client: Client) -> None:
    webhook = make_webhook(name="SIEM")
    mine = opened(client, webhook)
    ada_saves(webhook, name="Hers")

    page = client.post(change_url(webhook), {**mine, "name": "Mine"})

    [error] = page.context["adminform"].form.non_field_errors()
    assert "Ada Lovelace changed this webhook at" in error
    assert timezone.localdate().strftime("%Y") in error
    assert error in page.content.decode()
    assert Webhook.objects.get().name == "Hers"
    # What was typed is still there, and saving it again does not help.
    again = shown(page.content.decode())
    assert again["name"] == "Mine"
    assert client.post(change_url(webhook), again).status_code == 200
    assert Webhook.objects.get().name == "Hers"


def test_somebody_who_is_not_recorded_is_told_as_somebody(client: Client) -> None:
    webhook = make_webhook(name="SIEM")
    mine = opened(client, webhook)
    with paused():
        webhook.name = "Other"
        webhook.save()

    page = client.post(change_url(webhook), mine)

    [error] = page.context["adminform"].form.non_field_errors()
    assert error.startswith("Somebody changed this webhook at")


def test_deliveries_are_no_change(client: Client) -> None:
    webhook = make_webhook(name="SIEM")
    mine = opened(client, webhook)
    WebhookHealth.objects.create(webhook=webhook, last_success_at=timezone.now())

    assert client.post(change_url(webhook), {**mine, "name": "Mine"}).status_code == 302
    assert Webhook.objects.get().name == "Mine"


def test_one_after_the_other_is_no_conflict(client: Client) -> None:
    webhook = make_webhook(name="SIEM")
    ada_saves(webhook, name="Hers")

    mine = {**opened(client, webhook), "name": "Mine"}

    assert client.post(change_url(webhook), mine).status_code == 302
    assert Webhook.objects.get().name == "Mine"


def test_a_webhook_that_was_deleted_meanwhile_does_not_come_back(client: Client) -> None:
    webhook = make_webhook(name="SIEM")
    mine = opened(client, webhook)
    Webhook.objects.get().delete()

    client.post(change_url(webhook), mine)

    assert not Webhook.objects.exists()


def test_values_of_an_old_page_can_be_tested(client: Client, inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    mine = opened(client, webhook)
    ada_saves(webhook, name="Hers")

    page = client.post(test_url(webhook), mine).content.decode()

    assert "Test successful" in page
    # The page that comes back is still the old one.
    assert "Ada Lovelace changed" in client.post(change_url(webhook), shown(page)).content.decode()


def test_a_test_that_switches_it_on_says_so(client: Client, inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    webhook.switch_off_by_system()
    WebhookHealth.objects.create(webhook=webhook, disabled_reason="Gone.")
    mine = opened(client, webhook)
    accept = {"Accept": "application/json"}

    answer = client.post(test_url(webhook), mine, headers=accept).json()

    assert Webhook.objects.get().active
    assert "is switched on again. Reload this page" in answer["html"]
    answer = client.post(test_url(webhook), mine, headers=accept).json()
    assert "switched on again" not in answer["html"]

"""A new signing secret in place of the old one."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from auditwebhooks import signing
from auditwebhooks.exceptions import EncryptionError
from auditwebhooks.models import Event, IdempotencyKey, Webhook
from auditwebhooks.rotation import rotate_signing_secret
from tests.factories import SECRET, make_webhook, someone

pytestmark = pytest.mark.django_db


def url_of(webhook: Webhook) -> str:
    return f"/api/audit/webhooks/{webhook.pk}/rotate-secret/"


def secrets_of(webhook: Webhook) -> list[str]:
    stored = Webhook.objects.get(pk=webhook.pk)
    return [one.reveal() for one in stored.revealed_signing_secrets(timezone.now())]


def test_the_new_secret_signs_and_the_old_one_signs_along() -> None:
    webhook = make_webhook(signing_secret=SECRET)

    new = rotate_signing_secret(webhook.pk).reveal()

    assert signing.key_of(new)
    assert secrets_of(webhook) == [new, SECRET]


def test_a_webhook_without_one_gets_its_first() -> None:
    webhook = make_webhook()

    new = rotate_signing_secret(webhook.pk).reveal()

    assert secrets_of(webhook) == [new]


def test_a_url_that_cannot_be_read_is_told(settings: Any) -> None:
    webhook = make_webhook(signing_secret=SECRET)
    settings.SECRET_KEY = "another one"

    with pytest.raises(EncryptionError, match="type the URL again"):
        rotate_signing_secret(webhook.pk)
    answer = someone("change_webhook").post(url_of(webhook))
    assert (answer.status_code, list(answer.json())) == (400, ["url"])


def test_the_secret_is_told_once_and_kept_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    webhook = make_webhook(signing_secret=SECRET)
    client = someone("change_webhook", "view_webhook")

    answer = client.post(url_of(webhook), headers={"Idempotency-Key": "k1"})

    assert answer.status_code == 200
    assert list(answer.json()) == ["signing_secret"]
    new = answer.json()["signing_secret"]
    assert secrets_of(webhook) == [new, SECRET]
    assert answer.headers["Cache-Control"] == "no-store"
    assert not IdempotencyKey.objects.exists()
    assert new not in caplog.text
    assert new not in client.get(f"/api/audit/webhooks/{webhook.pk}/").content.decode()
    event = Event.objects.filter(event_type="auditwebhooks.webhook.updated").get()
    assert event.payload["data"]["metadata"]["changed_fields"] == ["signing_secret"]
    for secret in (new, SECRET):
        assert secret.removeprefix("whsec_") not in event.payload_text
        assert secret not in str(list(Webhook.objects.values_list()))


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (lambda: APIClient(), {401, 403}),
        (lambda: someone(), {403}),
        (lambda: someone("view_webhook", "add_webhook", "test_webhook"), {403}),
        (lambda: someone("change_webhook"), {200}),
    ],
    ids=["anonymous", "nobody", "viewer", "holder"],
)
def test_who_may_rotate(client: Any, expected: set[int]) -> None:
    webhook = make_webhook(signing_secret=SECRET)

    assert client().post(url_of(webhook)).status_code in expected
    assert (secrets_of(webhook) == [SECRET]) is (expected != {200})


def test_unknown_fields_are_refused() -> None:
    webhook = make_webhook(signing_secret=SECRET)

    answer = someone("change_webhook").post(url_of(webhook), {"key": "x"}, format="json")

    assert (answer.status_code, answer.json()) == (400, {"key": ["There is no such field."]})
    assert secrets_of(webhook) == [SECRET]


def test_an_unknown_webhook_is_not_found() -> None:
    webhook = make_webhook()
    client, url = someone("change_webhook"), url_of(webhook)
    webhook.delete()

    assert client.post(url).status_code == 404


@pytest.mark.django_db(transaction=True)
def test_two_at_once_follow_each_other() -> None:
    webhook = make_webhook(signing_secret=SECRET)
    barrier = threading.Barrier(2)
    told: list[str] = []

    def rotate() -> None:
        try:
            barrier.wait(10)
            told.append(rotate_signing_secret(webhook.pk).reveal())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=rotate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(secrets_of(webhook)) == sorted(told)

"""``invocations/{id}/send-again/``."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from rest_framework.test import APIClient

from auditwebhooks.models import Invocation
from tests.factories import make_invocation, make_webhook, someone

pytestmark = pytest.mark.django_db


def url_of(invocation: Invocation) -> str:
    return f"/api/audit/invocations/{invocation.pk}/send-again/"


def test_the_new_invocation_is_answered() -> None:
    failed = make_invocation(make_webhook(), status="failed", attempt=3)

    answer = someone("resend_invocation").post(url_of(failed))

    assert answer.status_code == 201, answer.json()
    made = Invocation.objects.exclude(pk=failed.pk).get()
    assert answer.json()["id"] == made.pk
    assert answer.json()["event"] == failed.event_id
    assert (answer.json()["trigger"], answer.json()["attempt"]) == ("manual", 1)
    assert answer.json()["status"] == "pending"
    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.change_message) == (str(failed.pk), "Sent again.")
    assert entry.user.username == "resend_invocation"


def test_a_webhook_that_is_off_is_named_in_the_message() -> None:
    failed = make_invocation(make_webhook(active=False), status="failed")

    answer = someone("resend_invocation").post(url_of(failed))

    assert answer.status_code == 201
    assert "waits until it is switched on" in answer.json()["message"]


@pytest.mark.parametrize(
    ("values", "field"),
    [({"event": None, "trigger": "test"}, "event"), ({"event": None}, "event")],
)
def test_what_cannot_be_sent_is_answered_with_a_field(values: dict[str, Any], field: str) -> None:
    row = make_invocation(make_webhook(), status="failed", **values)

    answer = someone("resend_invocation").post(url_of(row))

    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert Invocation.objects.count() == 1
    assert not LogEntry.objects.exists()


def test_a_deleted_webhook_is_answered_with_its_field() -> None:
    webhook = make_webhook()
    row = make_invocation(webhook, status="failed")
    webhook.delete()

    answer = someone("resend_invocation").post(url_of(row))

    assert (answer.status_code, answer.json()) == (400, {"webhook": ["The webhook was deleted."]})


def test_unknown_fields_are_refused() -> None:
    row = make_invocation(make_webhook(), status="failed")

    answer = someone("resend_invocation").post(url_of(row), {"loud": True}, format="json")

    assert (answer.status_code, answer.json()) == (400, {"loud": ["There is no such field."]})


@pytest.mark.parametrize(
    ("client", "expected"),
    [
        (lambda: APIClient(), {401, 403}),
        (lambda: someone(), {403}),
        (lambda: someone("view_invocation", "view_event", "view_webhook"), {403}),
        (lambda: someone("resend_invocation"), {201}),
    ],
    ids=["anonymous", "nobody", "viewer", "holder"],
)
def test_who_may_send_again(client: Any, expected: set[int]) -> None:
    row = make_invocation(make_webhook(), status="failed")

    assert client().post(url_of(row)).status_code in expected


def test_an_unknown_invocation_is_not_found() -> None:
    answer = someone("resend_invocation").post("/api/audit/invocations/99999999/send-again/")

    assert answer.status_code == 404

"""``Idempotency-Key``: the same key gives the first answer again."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, connections
from django.utils import timezone
from rest_framework.test import APIClient

from auditwebhooks.api import idempotency, logs
from auditwebhooks.models import IdempotencyKey, Invocation, Replay
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import SECRET, make_event, make_invocation, make_webhook, someone

pytestmark = pytest.mark.django_db

WEBHOOKS = "/api/audit/webhooks/"


def again_url(invocation: Invocation) -> str:
    return f"/api/audit/invocations/{invocation.pk}/send-again/"


def post(client: APIClient, url: str, body: Any = None, key: str | None = "k1") -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(url, body or {}, format="json", headers=headers)


@pytest.fixture
def failed() -> Invocation:
    return make_invocation(make_webhook(), status="failed")


@pytest.fixture
def holder() -> APIClient:
    return someone("resend_invocation")


def made() -> int:
    return Invocation.objects.filter(trigger="manual").count()


def test_the_first_answer_is_given_again(holder: APIClient, failed: Invocation) -> None:
    first, second = post(holder, again_url(failed)), post(holder, again_url(failed))

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert made() == 1


def test_without_a_key_each_request_acts(holder: APIClient, failed: Invocation) -> None:
    post(holder, again_url(failed), key=None)
    post(holder, again_url(failed), key=None)

    assert made() == 2
    assert not IdempotencyKey.objects.exists()


def test_a_key_belongs_to_user_and_url(holder: APIClient, failed: Invocation) -> None:
    other = make_invocation(make_webhook(), status="failed")
    post(holder, again_url(failed))
    post(holder, again_url(failed), key="K1")
    post(holder, again_url(other))
    post(someone("resend_invocation", "view_event"), again_url(failed))

    assert made() == 4


def test_another_body_under_the_same_key_is_refused(holder: APIClient) -> None:
    url = f"{WEBHOOKS}{make_webhook().pk}/replay/"
    since = (timezone.now() - timedelta(hours=1)).isoformat()
    first = post(holder, url, {"since": since, "only_failed": True})

    answer = post(holder, url, {"since": since})
    assert answer.status_code == 422
    assert "used for another body" in answer.json()["detail"]
    # The order of the fields says nothing.
    assert post(holder, url, {"only_failed": True, "since": since}).json() == first.json()
    assert Replay.objects.count() == 1


def test_a_dry_run_is_given_again_as_it_was_counted(holder: APIClient) -> None:
    url = f"{WEBHOOKS}{make_webhook().pk}/replay/"
    since = (timezone.now() - timedelta(hours=1)).isoformat()
    body = {"since": since, "event_types": ["testapp.*"], "dry_run": True}
    post(holder, url, body)
    make_event(fanned_out_at=timezone.now())

    assert post(holder, url, body).json() == {"count": 0}


def test_a_refused_request_may_be_mended_under_its_key(holder: APIClient) -> None:
    url = f"{WEBHOOKS}{make_webhook().pk}/replay/"
    since = (timezone.now() - timedelta(hours=1)).isoformat()

    assert post(holder, url, {"since": "soon"}).status_code == 400
    assert not IdempotencyKey.objects.exists()
    assert post(holder, url, {"since": since}).status_code == 202


def test_who_may_not_act_leaves_no_key(failed: Invocation) -> None:
    assert post(someone("view_invocation"), again_url(failed)).status_code == 403
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["", "é", "x" * 256])
def test_a_key_that_is_none_is_refused(holder: APIClient, failed: Invocation, key: str) -> None:
    answer = post(holder, again_url(failed), key=key)

    assert answer.status_code == 400
    assert list(answer.json()) == ["Idempotency-Key"]
    assert made() == 0


def test_a_test_is_made_once_and_no_secret_is_kept(inbox: Inbox) -> None:
    client = someone("add_webhook", "test_webhook")
    inbox.answers = [Answer(body=b'{"echo": "canary"}')]
    body = {
        "name": "SIEM",
        "url": inbox.url,
        "headers": {"Authorization": "Bearer canary"},
        "signing_secret": SECRET,
    }
    first = post(client, f"{WEBHOOKS}test/", body)
    second = post(client, f"{WEBHOOKS}test/", body)

    assert first.status_code == 200, first.json()
    assert second.json() == first.json()
    assert len(inbox.deliveries) == 1
    [row] = IdempotencyKey.objects.values()
    assert not any(secret in str(row) for secret in ("canary", SECRET))


def test_the_test_of_a_saved_webhook_is_made_once(inbox: Inbox) -> None:
    url = f"{WEBHOOKS}{make_webhook(url=inbox.url).pk}/test/"
    client = someone("test_webhook")

    assert post(client, url).json() == post(client, url).json()
    assert len(inbox.deliveries) == 1


@pytest.mark.parametrize("swept", [0, 100])
def test_a_key_is_kept_for_a_day(
    holder: APIClient, failed: Invocation, swept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_SWEPT", swept)
    post(holder, again_url(failed))
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=23, minutes=59))
    post(holder, again_url(failed))
    assert made() == 1

    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=24, minutes=1))
    post(holder, again_url(failed))
    assert made() == 2
    assert IdempotencyKey.objects.count() == 1


def unfinished(holder: APIClient, failed: Invocation, age: timedelta) -> None:
    """As a first request leaves its key while it acts, or when its process is killed."""
    post(holder, again_url(failed))
    IdempotencyKey.objects.update(status=None, answer="", created_at=timezone.now() - age)


def test_a_second_request_meanwhile_is_told_so(holder: APIClient, failed: Invocation) -> None:
    unfinished(holder, failed, timedelta(seconds=5))

    answer = post(holder, again_url(failed))

    assert answer.status_code == 409
    assert "still being acted on" in answer.json()["detail"]
    assert made() == 1


def test_the_key_of_a_process_that_died_is_taken_over(
    holder: APIClient, failed: Invocation
) -> None:
    unfinished(holder, failed, timedelta(seconds=91))

    assert post(holder, again_url(failed)).status_code == 201
    assert post(holder, again_url(failed)).headers["Idempotent-Replayed"] == "true"
    assert made() == 2


def test_action_and_answer_commit_together(
    holder: APIClient, failed: Invocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*args: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(idempotency.JSONRenderer, "render", die)
        with pytest.raises(ZeroDivisionError):
            post(holder, again_url(failed))
    assert made() == 0
    assert not IdempotencyKey.objects.exists()

    assert post(holder, again_url(failed)).status_code == 201
    assert made() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("in_transaction", [False, True])
def test_of_many_at_once_one_acts(in_transaction: bool) -> None:
    """Also where the host has each request in a transaction."""
    if in_transaction and connection.vendor == "sqlite":
        pytest.skip("SQLite refuses a transaction that reads first and writes beside another")
    failed = make_invocation(make_webhook(), status="failed")
    client = someone("resend_invocation")
    user = client.handler._force_user
    barrier = threading.Barrier(4)
    answers: list[Any] = []

    def ask() -> None:
        mine = APIClient()
        mine.force_authenticate(user)
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = in_transaction
        try:
            barrier.wait(10)
            answers.append(post(mine, again_url(failed)))
        finally:
            connections["default"].settings_dict["ATOMIC_REQUESTS"] = False
            connections.close_all()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    codes = [answer.status_code for answer in answers]
    assert len(codes) == 4
    assert set(codes) <= {201, 409}
    assert {one.json()["id"] for one in answers if one.status_code == 201} == set(
        Invocation.objects.filter(trigger="manual").values_list("pk", flat=True)
    )
    assert made() == 1


@pytest.mark.django_db(transaction=True)
def test_a_write_of_another_meanwhile_fails_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On SQLite a transaction that has read may write no more once another has committed."""
    failed = make_invocation(make_webhook(), status="failed")
    client = someone("resend_invocation")

    def another_writes() -> None:
        with suppress(OperationalError), connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA busy_timeout = 0")
            IdempotencyKey.objects.create(digest="1", body_digest="2", created_at=timezone.now())
        connections.close_all()

    original = logs.send_again

    def disturbed(invocations: list[Invocation]) -> Any:
        thread = threading.Thread(target=another_writes)
        thread.start()
        thread.join(30)
        return original(invocations)

    monkeypatch.setattr(logs, "send_again", disturbed)

    assert post(client, again_url(failed)).status_code == 201
    assert made() == 1

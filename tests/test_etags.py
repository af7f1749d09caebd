"""ETags of webhooks: nobody overwrites what somebody else changed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from auditwebhooks.models import Webhook, WebhookHealth
from tests.factories import make_webhook, someone

pytestmark = pytest.mark.django_db

WEBHOOKS = "/api/audit/webhooks/"


@pytest.fixture
def editor() -> APIClient:
    return someone("view_webhook", "add_webhook", "change_webhook", "delete_webhook")


def url_of(webhook: Webhook) -> str:
    return f"{WEBHOOKS}{webhook.pk}/"


def patch(client: APIClient, url: str, values: dict[str, Any], tag: str | None = None) -> Any:
    headers = {} if tag is None else {"If-Match": tag}
    return client.patch(url, values, format="json", headers=headers)


def test_each_answer_of_one_webhook_carries_its_tag(editor: APIClient) -> None:
    values = {"name": "SIEM", "url": "https://hooks.example.com/in"}
    made = editor.post(WEBHOOKS, values, format="json")
    url = f"{WEBHOOKS}{made.json()['id']}/"
    read = editor.get(url)

    assert read.headers["ETag"] == made.headers["ETag"]
    assert read.headers["ETag"].startswith('"')
    assert editor.head(url).headers["ETag"] == read.headers["ETag"]

    changed = patch(editor, url, {"name": "New"})
    assert changed.headers["ETag"] != read.headers["ETag"]
    assert editor.get(url).headers["ETag"] == changed.headers["ETag"]


def test_a_change_with_the_present_tag_is_made(editor: APIClient) -> None:
    webhook = make_webhook()
    tag = editor.get(url_of(webhook)).headers["ETag"]

    answer = patch(editor, url_of(webhook), {"name": "New"}, tag)

    assert answer.status_code == 200
    assert answer.json()["name"] == "New"
    assert patch(editor, url_of(webhook), {"name": "Newer"}, f'"x", {answer["ETag"]}').data["name"]


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_a_change_with_an_old_tag_is_refused(editor: APIClient, method: str) -> None:
    webhook = make_webhook(name="SIEM")
    read = editor.get(url_of(webhook))
    patch(editor, url_of(webhook), {"name": "Theirs"})

    answer = getattr(editor, method)(
        url_of(webhook),
        read.json(),
        format="json",
        headers={"If-Match": read.headers["ETag"]},
    )

    assert answer.status_code == 412
    assert "changed meanwhile" in answer.json()["detail"]
    assert Webhook.objects.get().name == "Theirs"


def test_a_deletion_with_the_present_tag_is_made(editor: APIClient) -> None:
    webhook = make_webhook()
    tag = editor.get(url_of(webhook)).headers["ETag"]

    assert editor.delete(url_of(webhook), headers={"If-Match": tag}).status_code == 204
    assert not Webhook.objects.exists()


def test_a_delivery_meanwhile_stands_in_nobody_s_way(editor: APIClient) -> None:
    webhook = make_webhook()
    tag = editor.get(url_of(webhook)).headers["ETag"]
    WebhookHealth.objects.create(webhook=webhook, last_success_at=timezone.now())

    assert editor.get(url_of(webhook)).headers["ETag"] != tag
    assert patch(editor, url_of(webhook), {"name": "New"}, tag).status_code == 200


@pytest.mark.parametrize(("tag", "code"), [("*", 200), ('"x"', 412), ("W/{}", 412), ("", 412)])
def test_what_if_match_may_say(editor: APIClient, tag: str, code: int) -> None:
    webhook = make_webhook()
    present = editor.get(url_of(webhook)).headers["ETag"]

    answer = patch(editor, url_of(webhook), {"name": "New"}, tag.format(present))

    assert answer.status_code == code


def test_a_bad_value_under_a_tag_is_answered_with_its_field(editor: APIClient) -> None:
    webhook = make_webhook()
    tag = editor.get(url_of(webhook)).headers["ETag"]

    answer = patch(editor, url_of(webhook), {"name": "a/b"}, tag)

    assert (answer.status_code, list(answer.json())) == (400, ["name"])


def test_an_unknown_webhook_is_not_found(editor: APIClient) -> None:
    for pk in ("00000000-0000-0000-0000-000000000000", "nothing"):
        assert patch(editor, f"{WEBHOOKS}{pk}/", {}, "*").status_code == 404


def test_what_is_known_is_not_sent_again(editor: APIClient) -> None:
    webhook = make_webhook()
    tag = editor.get(url_of(webhook)).headers["ETag"]

    for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        answer = editor.get(url_of(webhook), headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == tag
    assert editor.get(url_of(webhook), headers={"If-None-Match": '"x"'}).status_code == 200

    WebhookHealth.objects.create(webhook=webhook, last_success_at=timezone.now())
    assert editor.get(url_of(webhook), headers={"If-None-Match": tag}).status_code == 200


def test_who_sees_less_has_another_tag(editor: APIClient) -> None:
    webhook = make_webhook(url="https://hooks.example.com/T0/canary")
    tag = editor.get(url_of(webhook)).headers["ETag"]

    assert someone("view_webhook").get(url_of(webhook)).headers["ETag"] != tag


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_one_is_refused() -> None:
    webhook = make_webhook()
    client = someone("view_webhook", "change_webhook")
    tag = client.get(url_of(webhook)).headers["ETag"]
    barrier = threading.Barrier(2)
    codes: list[int] = []

    def change(name: str) -> None:
        mine = APIClient()
        mine.force_authenticate(client.handler._force_user)
        try:
            barrier.wait(10)
            codes.append(patch(mine, url_of(webhook), {"name": name}, tag).status_code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=change, args=[name]) for name in ("A", "B")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(codes) == [200, 412]

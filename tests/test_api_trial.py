"""The API's test: with a recorded event, and not too often."""

from __future__ import annotations

import json

import pytest
from django.contrib.admin.models import LogEntry

from auditwebhooks.models import Invocation
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import make_event, make_webhook, someone

pytestmark = pytest.mark.django_db

WEBHOOKS = "/api/audit/webhooks/"


def test_a_recorded_event_is_sent_as_a_test(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url, body_template='{"id": "{{event_id}}"}')
    event = make_event()
    client = someone("test_webhook", "view_event", "see_payload")
    answer = client.post(f"{WEBHOOKS}{webhook.pk}/test/?event={event.event_id}")

    assert answer.json()["result"] == "Test successful"
    told = answer.json()["invocation"]
    assert (told["trigger"], told["event"]) == ("test", None)
    [delivery] = inbox.deliveries
    assert json.loads(delivery.body) == {"id": event.event_id}
    assert delivery.headers["webhook-id"].startswith("test_")


def test_unsaved_values_may_be_tested_with_it_too(inbox: Inbox) -> None:
    event = make_event()
    values = {"name": "x", "url": inbox.url, "body_template": '{"id": "{{event_id}}"}'}
    client = someone("test_webhook", "add_webhook", "view_event", "see_payload")
    client.post(f"{WEBHOOKS}test/?event={event.event_id}", values, format="json")

    assert json.loads(inbox.deliveries[0].body) == {"id": event.event_id}


def test_who_tested_stands_in_the_admin_log(inbox: Inbox) -> None:
    """Once, with the webhook as it is saved: nothing else tells who it was."""
    webhook = make_webhook(name="Saved", url=inbox.url)
    inbox.answers = [Answer(status=500)]
    client = someone("test_webhook", "change_webhook", "add_webhook")
    for _again in range(2):
        client.post(
            f"{WEBHOOKS}{webhook.pk}/test/",
            {"name": "Unsaved"},
            format="json",
            headers={"Idempotency-Key": "once"},
        )
    client.post(f"{WEBHOOKS}test/", {"name": "x", "url": inbox.url}, format="json")

    entry = LogEntry.objects.get()
    assert entry.user.username.startswith("test_webhook")
    assert (entry.object_id, entry.object_repr) == (str(webhook.pk), "Saved")
    assert entry.change_message == "Tested: Test failed"


@pytest.mark.parametrize("seen", [(), ("view_event",), ("see_payload",)])
def test_whoever_may_not_see_events_sends_none(inbox: Inbox, seen: tuple[str, ...]) -> None:
    webhook = make_webhook(url=inbox.url)
    event = make_event()
    client = someone("test_webhook", "change_webhook", "add_webhook", *seen)

    for url in (f"{WEBHOOKS}{webhook.pk}/test/", f"{WEBHOOKS}test/"):
        for asked in (event.event_id, ""):
            assert client.post(f"{url}?event={asked}").status_code == 403
    assert inbox.deliveries == []


@pytest.mark.parametrize("asked", ["", "1", "%00", "0190163d-8694-739b-aea5-966c26f8ad91"])
def test_an_event_that_is_not_there_is_an_error_of_the_parameter(inbox: Inbox, asked: str) -> None:
    webhook = make_webhook(url=inbox.url)
    answer = someone("test_webhook", "view_event", "see_payload").post(
        f"{WEBHOOKS}{webhook.pk}/test/?event={asked}"
    )

    assert answer.status_code == 400
    assert answer.json() == {"event": ["There is no event with this ID."]}
    assert inbox.deliveries == []


def test_too_many_tests_are_answered_429_with_the_time_to_wait(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditwebhooks.delivery.allowance.MOST", 2)
    webhook = make_webhook(url=inbox.url)
    client, other = someone("test_webhook"), someone("test_webhook", "view_event", "see_payload")
    url = f"{WEBHOOKS}{webhook.pk}/test/"
    answers = [client.post(url) for _number in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert 1 <= int(answers[2]["Retry-After"]) <= 60
    seconds = answers[2]["Retry-After"]
    assert answers[2].json() == {
        "detail": f"A person may make 2 tests a minute. Try again in {seconds} seconds."
    }
    assert other.post(url).status_code == 200
    assert Invocation.objects.count() == 3


def test_what_is_refused_or_answered_again_is_no_test(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditwebhooks.delivery.allowance.MOST", 1)
    webhook = make_webhook(url=inbox.url)
    client = someone("test_webhook", "change_webhook")
    url = f"{WEBHOOKS}{webhook.pk}/test/"
    refused = [client.post(url, {"method": "x"}, format="json") for _number in range(3)]
    assert {answer.status_code for answer in refused} == {400}

    key = {"Idempotency-Key": "one"}
    answers = [client.post(url, headers=key) for _number in range(3)]
    assert [answer.status_code for answer in answers] == [200] * 3
    too_many = {"Idempotency-Key": "two"}
    assert client.post(url, headers=too_many).status_code == 429
    monkeypatch.setattr("auditwebhooks.delivery.allowance.MOST", 9)
    assert client.post(url, headers=too_many).status_code == 200
    assert len(inbox.deliveries) == 2

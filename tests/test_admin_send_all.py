"""*Send all again*: the question, and what follows it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

import auditwebhooks
from auditwebhooks.admin import confirming, resending
from auditwebhooks.delivery import again
from auditwebhooks.models import Invocation, Replay
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

EVENTS = "/admin/auditwebhooks/event/"
INVOCATIONS = "/admin/auditwebhooks/invocation/"
URL = f"{INVOCATIONS}send-again/"


def log_in(client: Client, *permissions: str) -> None:
    with auditwebhooks.paused():
        user = User.objects.create_user("staff", email="staff@example.com", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)


@pytest.fixture
def operator(client: Client) -> Client:
    log_in(client, "view_invocation", "view_event", "resend_invocation")
    return client


@pytest.fixture
def two_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resending, "MOST", 2)
    monkeypatch.setattr(confirming, "MOST", 2)


def words_of(page: str) -> str:
    content = page[page.index('id="content-main"') :]
    return " ".join(re.sub(r"<[^>]+>", " ", content).replace("&#x27;", "'").split())


def ask(client: Client, url: str) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def answer(client: Client, url: str, page: str, **data: Any) -> list[str]:
    """Press the page's button; the messages that follow."""
    hidden = re.findall(r'name="(through)" value="(\d+)"', page)
    following = client.post(url, {**dict(hidden), **data}, follow=True)
    return [str(message) for message in following.context["messages"]]


def made() -> list[Invocation]:
    return list(Invocation.objects.filter(trigger="manual").order_by("pk"))


def test_what_matches_is_counted_and_sent_when_it_is_confirmed(operator: Client) -> None:
    siem, chat = make_webhook(name="SIEM"), make_webhook(name="Chat", active=False)
    event = make_event(fanned_out_at=timezone.now())
    wanted = [
        make_invocation(siem, status="failed", event=event),
        make_invocation(siem, status="failed", event=event, attempt=2, trigger="retry"),
        make_invocation(siem, status="failed"),
        make_invocation(chat, status="failed"),
    ]
    make_invocation(siem, status="failed", event=None, trigger="test")
    make_invocation(siem, status="succeeded")
    url = f"{URL}?status=failed"

    page = ask(operator, url)

    words = words_of(page)
    assert "Status failed" in words
    assert "5 rows match. 3 deliveries will be queued: SIEM: 2 Chat: 1" in words
    assert "1: A test has no event: press Test on the webhook's page." in words
    assert made() == []
    assert answer(operator, url, page) == [
        "3 deliveries are queued.",
        "1 of them waits until its webhook is switched on.",
        "1 was not sent: A test has no event: press Test on the webhook's page.",
    ]
    assert {(one.webhook_id, one.event_id) for one in made()} == {
        (one.webhook_id, one.event_id) for one in wanted
    }
    assert [entry.change_message for entry in LogEntry.objects.all()] == [
        "Sent again, 3 deliveries: status=failed."
    ]


def test_the_question_names_every_narrowing_of_the_list(operator: Client) -> None:
    webhook = make_webhook()
    make_invocation(webhook, status="failed", response_status=500)
    make_invocation(webhook, status="failed", response_status=404)

    words = words_of(ask(operator, f"{URL}?response_status=500&status=failed"))

    assert "Status failed" in words
    assert "Response_status 500" in words
    assert "1 row matches." in words
    assert "None: all of the list." not in words_of(ask(operator, f"{URL}?response_status=404"))
    assert "None: all of the list." in words_of(ask(operator, URL))


def test_what_came_after_the_question_is_not_sent(operator: Client) -> None:
    webhook = make_webhook()
    make_invocation(webhook, status="failed")
    page = ask(operator, URL)
    make_invocation(webhook, status="failed")

    assert answer(operator, URL, page) == ["1 delivery is queued."]


def test_events_that_match(operator: Client) -> None:
    make_webhook(name="SIEM")
    now = timezone.now()
    for source in ("Terraform", "Terraform", "API"):
        make_event(source=source, fanned_out_at=now)
    url = f"{EVENTS}send-again/?source=Terraform"
    page = ask(operator, url)

    assert "2 rows match. 2 deliveries will be queued: SIEM: 2" in words_of(page)
    assert answer(operator, url, page) == ["2 deliveries are queued."]


def test_search_and_times_are_named(operator: Client) -> None:
    event = make_event()
    words = words_of(ask(operator, f"{EVENTS}send-again/?q={event.event_id}&since=2026-01-01"))

    assert f"Search {event.event_id}" in words
    assert "Time 2026-01-01 - ..." in words
    assert "Filters None: all of the list." in words_of(ask(operator, f"{EVENTS}send-again/"))


def test_many_are_queued_in_batches(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "BATCH", 2)
    webhook = make_webhook()
    for _number in range(5):
        make_invocation(webhook, status="failed")

    assert answer(operator, URL, ask(operator, URL)) == ["5 deliveries are queued."]
    assert len(made()) == 5


def test_too_many_are_not_sent_and_what_to_do_is_said(operator: Client, two_at_most: None) -> None:
    webhook = make_webhook()
    for _number in range(3):
        make_invocation(webhook, status="failed")
    page = ask(operator, f"{URL}?outcome=tls&status=failed")
    assert "0 rows match" in words_of(page)

    page = ask(operator, URL)

    assert "More than 2 match" in words_of(page)
    assert "filter the list of invocations by webhook" in words_of(page)
    assert "submit" not in page[page.index('id="content-main"') :]
    operator.post(URL, {"through": Invocation.objects.latest("pk").pk})
    operator.post(URL, {"_replay": "1"})
    assert made() == []
    assert not Replay.objects.exists()


def test_a_replay_takes_over_where_it_can(operator: Client, two_at_most: None) -> None:
    webhook = make_webhook(name="SIEM")
    now = timezone.now()
    for hours in (1, 2, 3, 60):
        at = now - timedelta(hours=hours)
        event = make_event(created_at=at, fanned_out_at=at)
        make_invocation(webhook, status="failed", created_at=at, event=event)
    url = f"{URL}?webhook={webhook.pk}&status=failed&span=24h"

    page = ask(operator, url)

    assert "a replay sends SIEM the events that were recorded from" in words_of(page)
    assert "whose latest attempt failed" in words_of(page)
    assert answer(operator, url, page, _replay="1") == ["The replay is started: 3 events."]
    replay = Replay.objects.get()
    assert (replay.webhook, replay.only_failed, replay.count) == (webhook, True, 3)
    assert replay.requested_by == "staff@example.com"
    assert timedelta(hours=23) < replay.until - replay.since < timedelta(hours=25)
    assert LogEntry.objects.get().change_message == "Started."


def test_of_any_time_it_begins_with_the_first_event(operator: Client, two_at_most: None) -> None:
    webhook = make_webhook()
    long_ago = timezone.now() - timedelta(days=100)
    make_event(created_at=long_ago, fanned_out_at=long_ago)
    for _number in range(3):
        make_invocation(webhook, status="succeeded")
    url = f"{URL}?webhook={webhook.pk}"

    page = ask(operator, url)
    assert "all events that were recorded from" in words_of(page)
    answer(operator, url, page, _replay="1")

    replay = Replay.objects.get()
    assert (replay.since, replay.only_failed) == (long_ago, False)


@pytest.mark.parametrize(
    "query", ["status=succeeded", "status=failed&trigger=event", "status=failed&q=x", ""]
)
def test_no_replay_is_offered_for_what_it_would_not_send(
    operator: Client, two_at_most: None, query: str
) -> None:
    webhook = make_webhook()
    for status in ("succeeded", "failed") * 3:
        make_invocation(webhook, status=status)
    other = "" if query == "" else f"webhook={webhook.pk}&{query}"

    assert "_replay" not in ask(operator, f"{URL}?{other}")


def test_all_that_match_in_the_list_s_action_is_asked_about(operator: Client) -> None:
    row = make_invocation(make_webhook(), status="failed")
    data = {"action": "send_again", "_selected_action": [row.pk], "select_across": "1"}

    response = operator.post(f"{INVOCATIONS}?status=failed", data)

    assert (response.status_code, response["Location"]) == (302, f"{URL}?status=failed")
    assert made() == []


@pytest.mark.parametrize("url", [INVOCATIONS, EVENTS])
def test_the_list_links_to_it_for_those_who_may(client: Client, url: str) -> None:
    log_in(client, "view_invocation", "view_event", "resend_invocation")
    page = client.get(f"{url}?span=7d").content.decode()
    assert f'href="{url}send-again/?span=7d"' in page

    User.objects.get().user_permissions.set(
        Permission.objects.filter(codename__in=["view_invocation", "view_event"])
    )
    assert "send-again" not in client.get(url).content.decode()
    assert client.get(f"{url}send-again/").status_code == 403
    assert client.post(f"{url}send-again/", {"through": "9"}).status_code == 403


def test_who_may_send_but_not_look_is_refused(client: Client) -> None:
    log_in(client, "view_invocation", "resend_invocation")

    assert client.get(f"{EVENTS}send-again/").status_code == 403


@pytest.mark.parametrize("data", [{}, {"through": "x"}, {"through": "-1"}])
def test_an_answer_without_a_question_asks_again(operator: Client, data: dict[str, str]) -> None:
    make_invocation(make_webhook(), status="failed")

    assert operator.post(URL, data).status_code == 302
    assert made() == []


def test_nonsense_leads_back(operator: Client) -> None:
    response = operator.get(f"{URL}?since=soon")
    assert (response.status_code, response["Location"]) == (302, INVOCATIONS)


def test_the_question_takes_few_statements(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    for number in range(30):
        make_invocation(make_webhook(name=f"W {number}"), status="failed")

    with django_assert_max_num_queries(15):
        page = ask(operator, URL)
    assert "and 10 other webhooks" in words_of(page)

"""*Send again* on the logs."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from auditwebhooks.admin import resending
from auditwebhooks.models import Invocation
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

INVOCATIONS = "/admin/auditwebhooks/invocation/"
EVENTS = "/admin/auditwebhooks/event/"


def log_in(client: Client, *permissions: str) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)


@pytest.fixture
def operator(client: Client) -> Client:
    log_in(client, "view_invocation", "view_event", "resend_invocation")
    return client


def press(client: Client, url: str, *rows: Any) -> list[str]:
    """The messages of the page that follows."""
    data = {"action": "send_again", "_selected_action": [one.pk for one in rows]}
    page = client.post(url, data, follow=True)
    return [str(message) for message in page.context["messages"]]


def test_selected_invocations_are_sent_again(operator: Client) -> None:
    webhook = make_webhook()
    rows = [make_invocation(webhook, status="failed") for _ in range(3)]

    assert press(operator, INVOCATIONS, *rows[:2]) == ["2 deliveries are queued."]

    made = Invocation.objects.filter(trigger="manual")
    assert {one.event_id for one in made} == {one.event_id for one in rows[:2]}
    entries = LogEntry.objects.filter(change_message="Sent again.")
    assert {one.object_id for one in entries} == {str(one.pk) for one in rows[:2]}


def test_what_was_not_sent_is_told_with_its_reason(operator: Client) -> None:
    resting = make_invocation(make_webhook(active=False), status="failed")
    test = make_invocation(make_webhook(), event=None, trigger="test")

    assert press(operator, INVOCATIONS, resting, test) == [
        "1 delivery is queued.",
        "1 of them waits until its webhook is switched on.",
        "1 was not sent: A test has no event: press Test on the webhook's page.",
    ]


@pytest.mark.parametrize("url", [EVENTS, INVOCATIONS])
def test_it_is_told_that_a_row_is_gone(operator: Client, url: str) -> None:
    """Its page was open while it was pruned."""
    data = {"action": "send_again", "_selected_action": ["7"], "_back": "1"}

    page = operator.post(url, data, follow=True)

    told = [str(message) for message in page.context["messages"]]
    assert told == ["Nothing of it can be sent again."]
    assert not Invocation.objects.exists()


def test_it_is_told_that_sending_is_switched_off(operator: Client, configure: Any) -> None:
    configure(SEND=False)
    row = make_invocation(make_webhook(), status="failed")

    assert press(operator, INVOCATIONS, row) == [
        "1 delivery is queued.",
        "Sending is switched off in the settings: they wait.",
    ]


def test_selected_events_are_sent_again(operator: Client) -> None:
    make_webhook()
    make_webhook()
    events = [make_event(fanned_out_at=timezone.now()) for _ in range(2)]

    assert press(operator, EVENTS, *events) == ["4 deliveries are queued."]
    assert LogEntry.objects.filter(change_message="Sent again.").count() == 2


@pytest.mark.parametrize("url", [INVOCATIONS, EVENTS])
def test_only_holders_of_the_permission_see_the_action(client: Client, url: str) -> None:
    log_in(client, "view_invocation", "view_event")
    row = make_invocation(make_webhook(), status="failed")

    assert b"send_again" not in client.get(url).content
    press(client, url, row if url == INVOCATIONS else row.event)
    assert Invocation.objects.count() == 1


def test_holders_see_the_action(operator: Client) -> None:
    make_invocation(make_webhook())
    for url in (INVOCATIONS, EVENTS):
        assert b'value="send_again"' in operator.get(url).content


def test_more_than_a_request_should_do_is_refused(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resending, "MOST", 1)
    webhook = make_webhook()
    rows = [make_invocation(webhook, status="failed") for _ in range(2)]

    [message] = press(operator, INVOCATIONS, *rows)

    assert "at most 1" in message
    assert Invocation.objects.count() == 2


def test_many_rows_take_few_statements(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    webhook = make_webhook()
    rows = [make_invocation(webhook, status="failed") for _ in range(60)]
    data = {"action": "send_again", "_selected_action": [one.pk for one in rows]}

    with django_assert_max_num_queries(26):
        operator.post(INVOCATIONS, data)
    assert Invocation.objects.filter(trigger="manual").count() == 60

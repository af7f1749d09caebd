"""The list of webhooks: what it shows at a glance, how it is narrowed, and what is done there."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import make_invocation, make_webhook

pytestmark = pytest.mark.django_db

LIST = "/admin/auditwebhooks/webhook/"


@pytest.fixture
def operator(client: Client) -> User:
    user = User.objects.create_superuser("op", "op@example.com", "pw")
    client.force_login(user)
    return user


def by_the_system(name: str, reason: str = "The receiver answered 410 Gone.") -> Webhook:
    webhook = make_webhook(name=name)
    webhook.switch_off_by_system()
    WebhookHealth.objects.create(webhook=webhook, disabled_reason=reason)
    return webhook


def paused(name: str) -> Webhook:
    webhook = make_webhook(name=name)
    until = timezone.now() + timedelta(hours=1)
    WebhookHealth.objects.create(webhook=webhook, paused_until=until, pause_reason="retry_after")
    return webhook


def cells(page: str, name: str) -> dict[str, str]:
    """Column -> its HTML, in the row of the webhook of this name."""
    [row] = [one for one in re.findall(r"<tr>.*?</tr>", page, re.S) if f">{name}</a>" in one]
    found = re.findall(r'class="field-(\w+)[^"]*">(.*?)</t[dh]>', row, re.S)
    return {column: html.unescape(text) for column, text in found}


def words(cell: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", "", cell).split())


def names(page: str) -> set[str]:
    return set(re.findall(r'class="field-name"><a[^>]*>([^<]+)</a>', page))


def test_each_state_is_told_by_colour_word_and_reason(client: Client, operator: User) -> None:
    make_webhook(name="On")
    make_webhook(name="Off", active=False)
    paused("Held")
    by_the_system("Gone")
    page = client.get(LIST).content.decode()

    status = {name: cells(page, name)["status"] for name in ("On", "Off", "Held", "Gone")}
    assert {name: words(cell) for name, cell in status.items()} == {
        "On": "Active",
        "Off": "Inactive",
        "Held": "Paused",
        "Gone": "Inactive by the system",
    }
    colours = {name: re.findall(r"-dot-(\w+)", cell) for name, cell in status.items()}
    assert colours == {"On": ["green"], "Off": ["white"], "Held": ["amber"], "Gone": ["white"]}
    assert re.search(r'title="Until .+: the receiver asked to wait"', status["Held"])
    assert 'title="The receiver answered 410 Gone."' in status["Gone"]
    assert "title" not in status["On"] + status["Off"]


def test_a_row_tells_host_last_result_rate_and_backlog(client: Client, operator: User) -> None:
    now = timezone.now()
    webhook = make_webhook(name="SIEM", url="https://hooks.example.com/in/canary")
    WebhookHealth.objects.create(
        webhook=webhook, last_success_at=now - timedelta(days=2), last_failure_at=now
    )
    for outcome in ("success", "success", "timeout"):
        status = "succeeded" if outcome == "success" else "failed"
        make_invocation(webhook, status=status, outcome=outcome, started_at=now)
    # None of these counts as a delivery of the last day.
    make_invocation(webhook, status="failed", started_at=now - timedelta(hours=25))
    make_invocation(webhook, status="failed", trigger="test", event=None, started_at=now)
    make_invocation(webhook, status="failed", outcome="cancelled", started_at=now)
    make_invocation(webhook)
    make_invocation(webhook, status="sending", started_at=now)
    page = client.get(LIST).content.decode()

    row = cells(page, "SIEM")
    assert list(row) == ["status", "name", "host", "last_result", "success_rate", "backlog"]
    assert words(row["host"]) == "hooks.example.com"
    assert words(row["last_result"]) == "failed 0 minutes ago"
    assert timezone.localtime(now).strftime("%H:%M:%S") in row["last_result"]
    assert words(row["success_rate"]) == "66.6 %"
    assert words(row["backlog"]) == "2"
    assert "canary" not in page


def test_days_have_the_case_that_german_asks_for(
    client: Client, operator: User, settings: Any
) -> None:
    settings.LANGUAGE_CODE = "de"
    webhook = make_webhook(name="Old")
    WebhookHealth.objects.create(
        webhook=webhook, last_failure_at=timezone.now() - timedelta(days=5, hours=1)
    )

    row = cells(client.get(LIST).content.decode(), "Old")
    # "5 Tage" is what Django gives, and "vor" would ask for "5 Tagen".
    assert words(row["last_result"]) == "fehlgeschlagen, 5 Tage her"


def test_a_webhook_that_did_nothing_has_dashes(client: Client, operator: User) -> None:
    make_webhook(name="New")

    row = cells(client.get(LIST).content.decode(), "New")

    told = [words(row[column]) for column in ("last_result", "success_rate", "backlog")]
    assert told == ["-", "-", "0"]


def test_the_queries_do_not_grow_with_the_webhooks(
    client: Client, operator: User, django_assert_num_queries: Any
) -> None:
    for number in range(3):
        make_invocation(make_webhook(name=f"Few {number}"))
    # Session, user, two counts, the page, rate and backlog.
    with django_assert_num_queries(7):
        client.get(LIST)
    for number in range(30):
        webhook = make_webhook(name=f"More {number}")
        make_invocation(webhook, status="succeeded", started_at=timezone.now())
        WebhookHealth.objects.create(webhook=webhook)

    with django_assert_num_queries(7):
        client.get(LIST)


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("state=active", {"On"}),
        ("state=paused", {"Held"}),
        ("state=inactive", {"Off", "Gone"}),
        ("state=by_system", {"Gone"}),
        ("method__exact=PUT", {"Off"}),
        ("type__exact=http", {"On", "Off", "Held", "Gone"}),
        ("state=what", {"On", "Off", "Held", "Gone"}),
    ],
)
def test_the_list_is_narrowed(client: Client, operator: User, query: str, shown: set[str]) -> None:
    make_webhook(name="On")
    make_webhook(name="Off", active=False, method="PUT")
    paused("Held")
    by_the_system("Gone")

    assert names(client.get(f"{LIST}?{query}", follow=True).content.decode()) == shown


@pytest.mark.parametrize("order", ["1", "-2", "4", "-4"])
def test_the_list_is_sorted_by_what_can_be(client: Client, operator: User, order: str) -> None:
    make_webhook(name="New")
    for _number in range(2):
        WebhookHealth.objects.create(webhook=make_webhook(), last_success_at=timezone.now())

    assert client.get(f"{LIST}?o={order}").status_code == 200


def act(client: Client, action: str, *webhooks: Webhook) -> list[tuple[str, str]]:
    """Run an action on the webhooks; level and text of each message."""
    chosen = [str(one.pk) for one in webhooks]
    data = {"action": action, "_selected_action": chosen}
    response = client.post(LIST, data, follow=True)
    assert response.status_code == 200
    return [(one.level_tag, str(one)) for one in response.context["messages"]]


def notes() -> list[tuple[str, str]]:
    return list(LogEntry.objects.order_by("pk").values_list("object_repr", "change_message"))


def test_webhooks_are_switched_off_and_on(client: Client, operator: User) -> None:
    on, busy, off = make_webhook(name="A"), make_webhook(name="B"), make_webhook(active=False)
    make_invocation(busy)

    told = act(client, "switch_off", on, busy, off)

    assert told == [
        ("success", "2 webhooks are switched off: A, B."),
        (
            "warning",
            "1 delivery that was queued for B waits until it is on again. Open the webhook to "
            "discard what waits.",
        ),
    ]
    assert not Webhook.objects.filter(active=True).exists()
    assert notes() == [("A", "Switched off."), ("B", "Switched off.")]

    assert act(client, "switch_on", on) == [("success", "1 webhook is switched on: A.")]
    assert Webhook.objects.get(active=True) == on
    assert notes()[2:] == [("A", "Switched on.")]
    changes = Event.objects.filter(event_type="auditwebhooks.webhook.updated")
    assert [event.actor_id for event in changes] == ["op@example.com"] * 3


def test_nothing_to_switch_is_said(client: Client, operator: User) -> None:
    told = act(client, "switch_on", make_webhook())

    assert told == [("info", "Nothing was changed: they are switched on already.")]
    assert notes() == []


def test_each_test_is_told_and_noted(client: Client, operator: User, inbox: Inbox) -> None:
    inbox.answers = [Answer(), Answer(status=403)]
    good, bad = make_webhook(name="A", url=inbox.url), make_webhook(name="B", url=inbox.url)

    [first, second] = act(client, "send_tests", good, bad)

    assert first[0] == "success"
    assert "A: Test successful" in first[1]
    assert second[0] == "error"
    assert "B: Test failed" in second[1]
    assert "403 Forbidden" in second[1]
    invocation = Invocation.objects.get(webhook=bad)
    assert f'href="/admin/auditwebhooks/invocation/{invocation.pk}/change/"' in second[1]
    assert notes() == [("A", "Tested: Test successful"), ("B", "Tested: Test failed")]


def test_tests_that_would_take_too_long_are_not_begun(
    client: Client, operator: User, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditwebhooks.admin.actions.TEST_SECONDS", 0)
    told = act(client, "send_tests", make_webhook(url=inbox.url))

    text = "1 webhook was not tested: it took too long. Select fewer."
    assert told == [("warning", text)]
    assert inbox.deliveries == []


@pytest.mark.parametrize(
    ("permissions", "actions"),
    [
        (["view_webhook"], set()),
        (["view_webhook", "change_webhook"], {"switch_on", "switch_off"}),
        (["view_webhook", "test_webhook"], {"send_tests"}),
    ],
)
def test_each_action_needs_its_permission(
    client: Client, permissions: list[str], actions: set[str]
) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    webhook = make_webhook(active=False)
    page = client.get(LIST).content.decode()

    assert set(re.findall(r'<option value="(\w+)">', page)) == actions
    if "switch_on" not in actions:
        act(client, "switch_on", webhook)
        assert not Webhook.objects.get().active


def test_after_so_many_tests_a_minute_no_more_are_sent(
    client: Client, operator: User, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditwebhooks.delivery.allowance.MOST", 1)
    webhooks = [make_webhook(url=inbox.url) for _number in range(3)]
    told = act(client, "send_tests", *webhooks)

    assert [kind for kind, _text in told] == ["success", "warning"]
    assert "1 tests a minute" in told[1][1]
    assert len(inbox.deliveries) == 1

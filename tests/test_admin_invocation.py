"""The page of one invocation: what was sent, what came back, and what to do now."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

import auditwebhooks
from auditwebhooks.models import Invocation, WebhookHealth
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

LIST = "/admin/auditwebhooks/invocation/"


def log_in(client: Client, *permissions: str, superuser: bool = False) -> User:
    with auditwebhooks.paused():
        user = User.objects.create_user("op", is_staff=True, is_superuser=superuser)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
    return user


@pytest.fixture
def operator(client: Client) -> User:
    return log_in(client, superuser=True)


def page_of(client: Client, invocation: Invocation) -> str:
    answer = client.get(f"{LIST}{invocation.pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def failed(**overrides: Any) -> Invocation:
    values = {
        "status": "failed",
        "outcome": "http_status",
        "message": "The receiver answered 401 Unauthorized.",
        "request_method": "POST",
        "request_url": "https://hooks.example.com/***",
        "request_headers": {"Authorization": "***", "webhook-id": "evt_1"},
        "request_body": '{"a":"it\'s"}',
        "response_status": 401,
        "response_headers": {"Server": "nginx"},
        "response_body": '{"error":["no"]}',
        "duration_ms": 120,
        "timings": {"resolve": 1.5, "wait": 100.25},
        **overrides,
    }
    webhook = values.pop("webhook", None) or make_webhook(name="SIEM")
    return make_invocation(webhook, **values)


def test_request_and_response(client: Client, operator: User) -> None:
    page = html.unescape(page_of(client, failed()))

    for words in (
        "POST https://hooks.example.com/***",
        "<dt>webhook-id</dt><dd>evt_1</dd>",
        '{\n  "a": "it\'s"\n}',
        "<code>401</code>",
        "<dt>Server</dt><dd>nginx</dd>",
        '"error": [',
        "The receiver answered 401 Unauthorized.",
        "120 ms",
        "Resolving the name",
        "100.25 ms",
        'max="120" value="100.250"',
    ):
        assert words in page


def test_a_tip_for_the_failure_at_hand(client: Client, operator: User) -> None:
    assert "Check the Authorization header" in page_of(client, failed())


def test_a_success_has_no_tip(client: Client, operator: User) -> None:
    row = failed(status="succeeded", outcome="success", response_status=200)

    assert "Tip:" not in page_of(client, row)


def test_it_can_be_copied_as_curl_without_secrets(client: Client, operator: User) -> None:
    page = html.unescape(page_of(client, failed()))
    command = page[page.index("curl --globoff") : page.index("</pre>", page.index("curl --glob"))]

    assert command == (
        "curl --globoff --request POST 'https://hooks.example.com/***' \\\n"
        "  --header 'Authorization: ***' \\\n"
        "  --header 'webhook-id: evt_1' \\\n"
        '  --data-raw \'{"a":"it\'"\'"\'s"}\''
    )


def test_what_a_receiver_answers_never_becomes_html(client: Client, operator: User) -> None:
    evil = "</pre><script>alert(1)</script>"
    row = failed(
        message=evil,
        request_headers={evil: evil},
        request_body=evil,
        response_headers={evil: evil},
        response_body=evil,
        validation_results=[
            {
                "json_path": evil,
                "expected_values": [evil],
                "found": [evil],
                "passed": False,
                "reading": evil,
            }
        ],
    )

    assert "<script>alert" not in page_of(client, row)


def test_validator_results(client: Client, operator: User) -> None:
    result = {
        "json_path": "$.data.ok",
        "expected_values": ["true"],
        "found": ["false"],
        "passed": False,
        "reading": "the body itself",
    }
    page = page_of(client, failed(outcome="validation", validation_results=[result]))

    assert "$.data.ok" in page
    assert "failed (the body itself)" in page


def test_the_attempts_of_its_delivery_are_linked(client: Client, operator: User) -> None:
    webhook, event = make_webhook(), make_event()
    rows = [failed(webhook=webhook, event=event, attempt=number) for number in (1, 2)]
    later = make_invocation(webhook, event=event, attempt=3, trigger="retry")
    other = make_invocation(make_webhook(), event=event)
    page = page_of(client, rows[1])

    section = page[page.index('id="auditwebhooks-attempts"') :]
    linked = re.findall(r"invocation/(\d+)/change", section)
    assert linked == [str(rows[0].pk), str(later.pk)]
    assert f"#{rows[1].pk}" in section
    assert f"#{other.pk}<" not in section
    assert f"/admin/auditwebhooks/event/{event.pk}/change/" in page
    assert f"/admin/auditwebhooks/webhook/{webhook.pk}/change/" in page


def test_when_the_next_attempt_is_due(client: Client, operator: User, settings: Any) -> None:
    webhook, event = make_webhook(), make_event()
    row = failed(webhook=webhook, event=event)
    assert "No other attempt follows by itself." in page_of(client, row)
    due = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    settings.TIME_ZONE = "UTC"
    waiting = make_invocation(webhook, event=event, attempt=2, trigger="retry", due_at=due)

    for one in (row, waiting):
        assert "Attempt 2 is due Jan. 2, 2030 03:04:05." in page_of(client, one)
    paused = {"paused_until": due, "pause_reason": "retry_after"}
    WebhookHealth.objects.update_or_create(webhook=webhook, defaults=paused)
    assert "The webhook is paused until Jan. 2, 2030" in page_of(client, waiting)
    webhook.active = False
    webhook.save()
    assert "waits until the webhook is switched on" in page_of(client, waiting)


def test_a_test_and_an_orphan_have_pages(client: Client, operator: User) -> None:
    test = failed(event=None, trigger="test")
    orphan = failed(webhook=make_webhook(name="Gone"))
    assert orphan.webhook is not None
    orphan.webhook.delete()

    assert "No other attempt" not in page_of(client, test)
    assert "Gone" in page_of(client, Invocation.objects.get(pk=orphan.pk))


def test_a_viewer_of_invocations_gets_no_forbidden_links(client: Client) -> None:
    log_in(client, "view_invocation")
    page = page_of(client, failed()).split("<main")[1]

    assert "/webhook/" not in page
    assert "/event/" not in page
    assert "Send again" not in page


def test_who_may_sends_it_again_and_comes_back(client: Client) -> None:
    log_in(client, "view_invocation", "resend_invocation")
    row = failed()
    assert "Send again" in page_of(client, row)

    data = {"action": "send_again", "_selected_action": row.pk, "_back": "1"}
    assert client.post(LIST, data)["Location"] == f"{LIST}{row.pk}/change/"
    assert Invocation.objects.latest("id").trigger == "manual"


def test_the_list_has_its_columns(client: Client, operator: User) -> None:
    failed(event=make_event(event_type="own.thing.moved", target_name="Prod DB"))
    page = client.get(LIST).content.decode()

    assert re.findall(r'class="(?:[\w ]*)column-(\w+)', page) == [
        "time",
        "shown_webhook",
        "about",
        "shown_status",
        "outcome",
        "http_status",
        "trigger",
        "attempt",
        "duration",
    ]
    for words in ("SIEM", ">thing.moved Prod DB", "HTTP status", "401", "120 ms"):
        assert words in page


def test_an_invocation_is_found_by_its_event(client: Client, operator: User) -> None:
    row = failed()
    failed(webhook=make_webhook(name="Other"))
    assert row.event is not None

    found = client.get(f"{LIST}?q={row.event.event_id}").context["cl"].result_list
    assert found == [row]


def test_a_page_costs_few_queries(
    client: Client, operator: User, django_assert_max_num_queries: Any
) -> None:
    webhook, event = make_webhook(), make_event()
    rows = [failed(webhook=webhook, event=event, attempt=number) for number in range(1, 30)]
    with django_assert_max_num_queries(10):
        page_of(client, rows[0])


@pytest.mark.parametrize("depth", range(800, 2000, 100))
def test_a_body_of_any_depth_is_shown(client: Client, operator: User, depth: int) -> None:
    """Python 3.12 reads JSON that is nested deeper than it can write."""
    body = "[" * depth + "]" * depth

    page = page_of(client, failed(response_status=200, response_body=body))

    assert page.count("[") > depth

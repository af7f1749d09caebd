"""The admin: the seed page's form, Test, and the logs."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
from auditwebhooks.payload import DEFAULT_TEMPLATE
from auditwebhooks.receiver import Answer
from project.demo.form import form_fields
from tests.conftest import Inbox
from tests.factories import SECRET, make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

ADD = "/admin/auditwebhooks/webhook/add/"
TEST_NEW = "/admin/auditwebhooks/webhook/test/"
LIST = "/admin/auditwebhooks/webhook/"


@pytest.fixture
def operator(client: Client) -> User:
    user = User.objects.create_superuser("op", "op@example.com", "pw")
    client.force_login(user)
    return user


def may(client: Client, *permissions: str) -> User:
    """Log in somebody of the staff with these permissions only."""
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)
    return user


def form(**overrides: Any) -> dict[str, Any]:
    """The form as a browser sends it."""
    values = {
        "name": "SIEM",
        "active": "on",
        "type": "http",
        "method": "POST",
        "url": "https://hooks.example.com/in",
        "body_template": DEFAULT_TEMPLATE,
        "headers-0-key": "Authorization",
        "headers-0-value": "Bearer canary",
        "headers-1-key": "",
        "headers-1-value": "",
        "timeout_in_sec": "5",
        "response_validators-0-path": "$.data.ok",
        "response_validators-0-expected": "true\r\nyes\r\n",
        "event_types": "access.*\r\n*.deleted",
        "signing_secret": SECRET,
    }
    return {**values, **overrides}


def change_url(webhook: Webhook) -> str:
    return reverse("admin:auditwebhooks_webhook_change", args=[webhook.pk])


def test_a_webhook_is_added_with_everything_of_the_page(client: Client, operator: User) -> None:
    response = client.post(ADD, form())

    assert response.status_code == 302, response.content
    webhook = Webhook.objects.get()
    assert (webhook.name, webhook.active, webhook.method) == ("SIEM", True, "POST")
    assert webhook.revealed_headers() == {"Authorization": "Bearer canary"}
    assert webhook.timeout_in_sec == 5
    assert webhook.response_validators == [
        {"json_path": "$.data.ok", "expected_values": ["true", "yes"]}
    ]
    assert webhook.event_types == ["access.*", "*.deleted"]
    assert webhook.signing_secret == "***"
    assert LogEntry.objects.get().object_id == str(webhook.pk)
    event = Event.objects.get(event_type="auditwebhooks.webhook.created")
    assert event.actor_id == "op@example.com"


def test_the_form_has_the_fields_in_the_order_of_the_page(client: Client, operator: User) -> None:
    html = client.get(ADD).content.decode()

    labels = [
        "Audit Webhook Name",
        "Status: Active",
        "Type",
        "Method",
        "URL",
        "Body Template",
        "View audit event's payload schema",
        "Headers",
        "Timeout in seconds",
        "Response Validators",
        "Test<",
        'value="Save"',
    ]
    start = html.index("<fieldset")
    places = [html.index(label, start) for label in labels]
    assert places == sorted(places)
    assert "{{data.previous_target_object}}" in html
    assert "HTTP Webhook" in html


def test_a_stored_secret_is_never_shown_and_kept_when_left_empty(
    client: Client, operator: User
) -> None:
    client.post(ADD, form())
    webhook = Webhook.objects.get()

    page = client.get(change_url(webhook)).content.decode()
    assert "canary" not in page
    assert SECRET not in page
    assert "stored: leave empty to keep" in page

    client.post(
        change_url(webhook), form(**{"headers-0-value": "", "signing_secret": "", "name": "New"})
    )
    webhook = Webhook.objects.get()
    assert webhook.name == "New"
    assert webhook.revealed_headers() == {"Authorization": "Bearer canary"}
    assert webhook.signing_secret == "***"


def test_saving_what_was_shown_changes_nothing(client: Client, operator: User) -> None:
    client.post(ADD, form())
    webhook = Webhook.objects.get()
    before = Event.objects.count()
    page = client.get(change_url(webhook)).content.decode()
    shown = dict(
        form_fields(
            page.replace("<template>", "<!--").replace("</template>", "-->"), "webhook_form"
        )
    )
    assert shown["headers-0-key"] == "Authorization"
    assert shown["response_validators-0-expected"] == "true\nyes"

    assert client.post(change_url(webhook), shown).status_code == 302

    assert Event.objects.count() == before
    assert "No fields changed" in LogEntry.objects.latest("id").get_change_message()


def test_a_row_left_out_takes_the_header_away(client: Client, operator: User) -> None:
    client.post(ADD, form())
    webhook = Webhook.objects.get()
    client.post(change_url(webhook), form(**{"headers-0-key": "", "headers-0-value": ""}))

    assert Webhook.objects.get().headers == {}


def test_the_signing_secret_can_be_removed(client: Client, operator: User) -> None:
    client.post(ADD, form())
    webhook = Webhook.objects.get()
    client.post(
        change_url(webhook),
        form(**{"headers-0-value": "", "signing_secret": "", "signing_secret-remove": "on"}),
    )

    assert Webhook.objects.get().signing_secret == ""


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"name": "a/b"}, "Take out"),
        ({"url": "http://hooks.example.com/"}, "must start with https://"),
        ({"body_template": '{"a": {{event_id}}}'}, "Put the placeholder in quotes"),
        ({"headers-0-key": "Host"}, "set by the delivery itself"),
        ({"headers-0-value": ""}, "no stored value"),
        ({"headers-1-key": "Authorization", "headers-1-value": "x"}, "stands here twice"),
        ({"timeout_in_sec": "61"}, "1 to 60 seconds"),
        ({"response_validators-0-path": "data.ok"}, "starts with"),
        ({"response_validators-0-expected": ""}, "at least one expected value"),
        ({"event_types": "access/flow"}, "no event type"),
        ({"signing_secret": "hunter2"}, "starts with"),
    ],
)
def test_a_bad_value_is_shown_at_its_field(
    client: Client, operator: User, overrides: dict[str, str], words: str
) -> None:
    response = client.post(ADD, form(**overrides))

    assert response.status_code == 200
    assert not Webhook.objects.exists()
    errors = response.context["adminform"].form.errors
    assert len(errors) == 1
    assert words in str(errors)
    # What was typed in secret boxes does not come back in the page.
    assert "canary" not in response.content.decode()


def test_another_host_asks_for_the_secrets_again(client: Client, operator: User) -> None:
    client.post(ADD, form())
    webhook = Webhook.objects.get()
    response = client.post(
        change_url(webhook),
        form(**{"headers-0-value": "", "signing_secret": "", "url": "https://other.example.com/"}),
    )

    assert set(response.context["adminform"].form.errors) == {"headers", "signing_secret"}
    assert Webhook.objects.get().url == "https://hooks.example.com/in"


def test_a_test_sends_what_stands_in_the_form(
    client: Client, operator: User, inbox: Inbox
) -> None:
    response = client.post(TEST_NEW, form(url=inbox.url), headers={"Accept": "application/json"})

    answer = response.json()
    assert answer["result"] == "Test successful"
    assert "View Invocation Data" in answer["html"]
    assert "200" in answer["html"]
    assert "canary" not in answer["html"]
    [delivery] = inbox.deliveries
    assert delivery.headers["Authorization"] == "Bearer canary"
    assert not Webhook.objects.exists()
    assert not Invocation.objects.exists()


def test_a_failed_test_says_why(client: Client, operator: User, inbox: Inbox) -> None:
    inbox.answers = [Answer(status=403, body=b"<script>alert(1)</script>")]
    answer = client.post(
        TEST_NEW, form(url=inbox.url), headers={"Accept": "application/json"}
    ).json()

    assert answer["result"] == "Test failed"
    assert "403 Forbidden" in answer["html"]
    assert "<script>" not in answer["html"]
    assert "&lt;script&gt;" in answer["html"]


def test_a_form_with_errors_is_not_tested(client: Client, operator: User, inbox: Inbox) -> None:
    answer = client.post(
        TEST_NEW, form(url=inbox.url, name=""), headers={"Accept": "application/json"}
    ).json()

    assert answer["result"] == ""
    assert list(answer["errors"]) == ["Audit Webhook Name"]
    assert inbox.deliveries == []


def test_without_a_script_the_form_comes_back_with_the_result(
    client: Client, operator: User, inbox: Inbox
) -> None:
    page = client.post(TEST_NEW, form(url=inbox.url, name="Typed name")).content.decode()

    assert "Test successful" in page
    assert 'value="Typed name"' in page
    assert f'action="{ADD}"' in page
    assert "canary" not in page


def test_a_saved_webhook_is_tested_with_kept_secrets_and_typed_values(
    client: Client, operator: User, inbox: Inbox
) -> None:
    client.post(ADD, form(url=inbox.url))
    webhook = Webhook.objects.get()
    url = reverse("admin:auditwebhooks_webhook_test", args=[webhook.pk])
    page = client.post(
        url, form(**{"url": inbox.url + "typed", "headers-0-value": "", "signing_secret": ""})
    ).content.decode()

    assert "Test successful" in page
    assert f'action="{change_url(webhook)}"' in page
    [delivery] = inbox.deliveries
    assert delivery.path == "/typed"
    assert delivery.headers["Authorization"] == "Bearer canary"
    assert Webhook.objects.get().url == inbox.url
    assert Invocation.objects.get().trigger == "test"


def test_a_test_is_a_post_with_permission(client: Client, inbox: Inbox) -> None:
    assert client.post(TEST_NEW, form(url=inbox.url)).status_code == 302
    may(client, "view_webhook", "test_webhook")
    assert client.post(TEST_NEW, form(url=inbox.url)).status_code == 403
    may_more = Permission.objects.get(codename="add_webhook")
    User.objects.get().user_permissions.add(may_more)
    got = client.get(TEST_NEW)
    assert (got.status_code, got["Location"]) == (302, ADD)
    assert inbox.deliveries == []
    assert client.post(TEST_NEW, form(url=inbox.url)).status_code == 200
    assert len(inbox.deliveries) == 1


def test_who_may_not_test_sees_no_button(client: Client) -> None:
    may(client, "add_webhook", "view_webhook")

    assert 'name="_test"' not in client.get(ADD).content.decode()


def test_a_viewer_sees_no_url_and_no_secrets(client: Client) -> None:
    webhook = make_webhook(
        url="https://hooks.example.com/canary", headers={"X-Canary": "c"}, signing_secret=SECRET
    )
    may(client, "view_webhook")
    for url, shown in (
        (LIST, "hooks.example.com"),
        (change_url(webhook), "https://hooks.example.com/***"),
    ):
        page = client.get(url).content.decode()
        assert shown in page
        assert "canary" not in page


def test_the_list_shows_dots_with_words(
    client: Client, operator: User, django_assert_max_num_queries: Any
) -> None:
    make_webhook(name="On")
    make_webhook(name="Off", active=False)
    held = make_webhook(name="Held")
    WebhookHealth.objects.create(
        webhook=held, paused_until="2999-01-01T00:00:00Z", pause_reason="retry_after"
    )
    for number in range(20):
        make_webhook(name=f"More {number}")

    with django_assert_max_num_queries(8):
        page = client.get(LIST).content.decode()

    dots = r'auditwebhooks-dot-(\w+)" aria-hidden="true"></span> (\w+).*?>([\w ]+)</a>'
    shown = {name: (kind, word) for kind, word, name in re.findall(dots, page, re.S)}
    assert shown["On"] == ("green", "Active")
    assert shown["Off"] == ("white", "Inactive")
    assert shown["Held"] == ("amber", "Paused")


def test_nothing_inline_for_a_strict_content_security_policy(
    client: Client, operator: User
) -> None:
    webhook = make_webhook()
    event = make_event()
    make_invocation(webhook, event=event)
    for url in (ADD, LIST, change_url(webhook), "/admin/auditwebhooks/event/"):
        page = client.get(url).content.decode()
        ours = re.sub(r'<script[^>]*src="[^"]*"[^>]*>\s*</script>', "", page)
        assert "style=" not in ours
        assert not re.search(r"<script(?![^>]*application/json)[^>]*>", ours)


@pytest.mark.parametrize("model", ["event", "invocation"])
def test_the_logs_are_read_only(client: Client, operator: User, model: str) -> None:
    invocation = make_invocation(make_webhook())
    pk = invocation.pk if model == "invocation" else invocation.event_id
    base = f"/admin/auditwebhooks/{model}/"

    assert client.get(base).status_code == 200
    assert client.get(f"{base}{pk}/change/").status_code == 200
    assert client.get(f"{base}add/").status_code == 403
    assert client.post(f"{base}{pk}/change/", {"action": "forged"}).status_code == 403
    assert client.post(f"{base}{pk}/delete/", {"post": "yes"}).status_code == 403
    assert b"delete_selected" not in client.get(base).content


def test_the_audit_log_has_its_columns_newest_first(client: Client, operator: User) -> None:
    make_event(action="first")
    make_event(action="second")
    page = client.get("/admin/auditwebhooks/event/").content.decode()

    columns = re.findall(r'class="(?:[\w ]*)column-(\w+)', page)
    assert columns == ["time", "action", "actor_name", "target", "source"]
    rows = page[page.index("<tbody>") :]
    assert rows.index("second") < rows.index("first")


def test_an_event_page_shows_before_after_and_invocations(client: Client, operator: User) -> None:
    event = make_event()
    invocation = make_invocation(make_webhook(name="SIEM"), event=event)
    page = client.get(f"/admin/auditwebhooks/event/{event.pk}/change/").content.decode()

    assert "Prod DB" in page
    assert "<mark> read</mark>" in page
    assert f"/admin/auditwebhooks/invocation/{invocation.pk}/change/" in page


def test_an_invocation_page_shows_request_and_response(client: Client, operator: User) -> None:
    invocation = make_invocation(
        make_webhook(name="SIEM"),
        status="failed",
        outcome="http_status",
        message="The receiver answered 500.",
        request_method="POST",
        request_url="https://hooks.example.com/***",
        request_headers={"webhook-id": "evt_1"},
        request_body='{"a":1}',
        response_status=500,
        response_body="<b>broken</b>",
    )
    page = client.get(f"/admin/auditwebhooks/invocation/{invocation.pk}/change/").content.decode()

    for words in ("https://hooks.example.com/***", "evt_1", "&quot;a&quot;: 1", "500"):
        assert words in page
    assert "&lt;b&gt;broken&lt;/b&gt;" in page
    assert f"/admin/auditwebhooks/event/{invocation.event_id}/change/" in page


def test_the_lists_load_no_bodies(client: Client, operator: User) -> None:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    make_invocation(make_webhook())
    for model, column in (("invocation", "response_body"), ("event", "payload_text")):
        with CaptureQueriesContext(connection) as queries:
            client.get(f"/admin/auditwebhooks/{model}/")
        assert not any(f'"{column}"' in query["sql"] for query in queries.captured_queries)


def test_deleting_a_webhook_keeps_its_invocations(client: Client, operator: User) -> None:
    webhook = make_webhook(name="SIEM")
    make_invocation(webhook)
    url = reverse("admin:auditwebhooks_webhook_delete", args=[webhook.pk])

    assert client.post(url, {"post": "yes"}).status_code == 302

    invocation = Invocation.objects.get()
    assert (invocation.webhook, invocation.webhook_name) == (None, "SIEM")
    assert invocation.outcome == "cancelled"

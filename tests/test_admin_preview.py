"""The form's preview and Format, and the event that they and Test are made with."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.payload import DEFAULT_TEMPLATE
from auditwebhooks.receiver import Answer
from auditwebhooks.rules import TEMPLATE_LENGTH
from tests.conftest import Inbox
from tests.factories import make_event, make_webhook

pytestmark = pytest.mark.django_db

ADD = "/admin/auditwebhooks/webhook/add/"
PREVIEW_NEW = "/admin/auditwebhooks/webhook/preview/"
TEST_NEW = "/admin/auditwebhooks/webhook/test/"
JSON = {"Accept": "application/json"}
HOSTILE = "<script>alert(1)</script>"


def url_of(word: str, webhook: Webhook) -> str:
    return reverse(f"admin:auditwebhooks_webhook_{word}", args=[webhook.pk])


@pytest.fixture(autouse=True)
def operator(client: Client) -> User:
    user = User.objects.create_superuser("op", "op@example.com", "pw")
    client.force_login(user)
    return user


def may(client: Client, *permissions: str) -> None:
    user = User.objects.create_user("-".join(permissions) or "nobody", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)


def form(**typed: str) -> dict[str, str]:
    return {
        "name": "SIEM",
        "type": "http",
        "method": "POST",
        "url": "https://hooks.example.com/",
        "body_template": "{}",
        "headers-0-key": "Authorization",
        "headers-0-value": "Bearer canary",
        "response_validators-0-path": "",
        "response_validators-0-expected": "",
        **typed,
    }


def ask(client: Client, template: str, **more: str) -> Any:
    answer = client.post(PREVIEW_NEW, {"body_template": template, **more}, headers=JSON)
    assert answer.status_code == 200
    return answer.json()


def shown(page: str) -> str:
    """The body in the preview."""
    [found] = re.findall(r"data-auditwebhooks-body>\s*<pre[^>]*>(.*?)</pre>", page, re.S)
    return html.unescape(found)


def area(page: str) -> str:
    [found] = re.findall(r'<textarea name="body_template"[^>]*>\n?(.*?)</textarea>', page, re.S)
    return html.unescape(found)


def options(page: str, name: str) -> list[str]:
    [found] = re.findall(rf'<select name="{name}">(.*?)</select>', page, re.S)
    return re.findall(r'<option value="([^"]*)"', found)


def test_the_page_comes_with_a_preview_of_the_mock_event(client: Client) -> None:
    page = client.get(ADD).content.decode()

    assert '"actor_name": "Ada Lovelace"' in shown(page)
    assert area(page) == DEFAULT_TEMPLATE


def test_the_preview_follows_what_is_typed(client: Client) -> None:
    answer = ask(client, '{"who": "{{data.actor_name}}"}')

    assert "&quot;who&quot;: &quot;Ada Lovelace&quot;" in answer["html"]
    assert answer["error"] == ""
    assert ask(client, "")["html"].strip() == '<p class="help">The request has no body.</p>'


def test_an_error_is_told_with_line_and_column_of_what_was_typed(client: Client) -> None:
    answer = ask(client, '\r\n\r\n{"a": {{event_id}}}')

    assert (answer["line"], answer["column"]) == (3, 7)
    assert answer["error"].startswith("Line 3, column 7: Put the placeholder in quotes")


def test_a_recorded_event_may_be_chosen_from_the_newest_or_by_its_id(client: Client) -> None:
    listed, other = make_event(), make_event()
    for chosen, more in (
        (listed, {"preview_event": listed.event_id}),
        (other, {"preview_event": listed.event_id, "preview_event_id": f" {other.event_id} "}),
    ):
        assert chosen.event_id in ask(client, '{"id": "{{event_id}}"}', **more)["html"]
    refused = ask(client, "{}", preview_event_id="1")
    assert refused["error"] == "There is no event with this ID."


def test_those_that_the_webhook_collects_are_offered(client: Client) -> None:
    event = make_event(target_name=HOSTILE)
    make_event(event_type="other.word")
    page = client.get(url_of("change", make_webhook(event_types=["testapp.*"]))).content.decode()

    for name in ("preview_event", "test_event"):
        assert options(page, name) == ["", event.event_id]
    assert HOSTILE not in page
    assert html.escape(HOSTILE) in page


@pytest.mark.parametrize("seen", [(), ("view_event",), ("see_payload",)])
def test_whoever_may_not_see_events_gets_the_mock_one_only(
    client: Client, seen: tuple[str, ...]
) -> None:
    """An event and what is in it."""
    event = make_event(target_name="canary")
    may(client, "add_webhook", "view_webhook", "test_webhook", *seen)
    page = client.get(ADD).content.decode()

    assert "preview_event" not in page
    assert "test_event" not in page
    assert "canary" not in page
    assert "Ada Lovelace" in ask(client, '"{{data.actor_name}}"')["html"]
    for name in ("preview_event", "preview_event_id"):
        sent = {"body_template": "{}", name: event.event_id}
        assert client.post(PREVIEW_NEW, sent, headers=JSON).status_code == 403
    sent = form(test_event_id=event.event_id)
    assert client.post(TEST_NEW, sent, headers=JSON).status_code == 403


@pytest.mark.parametrize(
    ("permissions", "new", "saved"),
    [
        (["view_webhook", "view_event", "test_webhook"], 403, 403),
        (["add_webhook"], 200, 403),
        (["change_webhook"], 403, 200),
    ],
)
def test_a_preview_takes_the_right_to_save(
    client: Client, permissions: list[str], new: int, saved: int
) -> None:
    webhook = make_webhook()
    may(client, *permissions)
    sent = {"body_template": "{}"}

    assert client.post(PREVIEW_NEW, sent, headers=JSON).status_code == new
    answer = client.post(url_of("preview", webhook), sent, headers=JSON)
    assert answer.status_code == saved


def test_a_viewer_sees_no_buttons_for_it(client: Client) -> None:
    webhook = make_webhook()
    may(client, "view_webhook", "view_event")
    page = client.get(url_of("change", webhook)).content.decode()

    assert "_format" not in page
    assert "preview_event" not in page
    # What Enter would press.
    assert '<button type="submit"' not in page.split('id="webhook_form"')[1]


def test_a_webhook_that_is_not_there_is_not_previewed(client: Client) -> None:
    webhook = make_webhook()
    url = url_of("preview", webhook)
    webhook.delete()

    assert client.post(url, {"body_template": "{}"}, headers=JSON).status_code == 404


def test_format_sets_the_template_out_and_keeps_what_stands_in_it(client: Client) -> None:
    typed = '{"a":"{{ data.actor_id|default:\\"x\\" }}",\r\n"b":[1.50,"\\u00e9"]}'
    answer = ask(client, typed, _format="1")

    assert answer["text"] == (
        '{\n    "a": "{{ data.actor_id|default:\\"x\\" }}",\n    "b": [\n        1.50,\n'
        '        "\\u00e9"\n    ]\n}'
    )
    assert ask(client, answer["text"], _format="1")["text"] == answer["text"]


def test_what_is_no_json_is_not_formatted(client: Client) -> None:
    answer = ask(client, '{"a":\n}', _format="1")

    assert answer["text"] == '{"a":\n}'
    assert (answer["line"], answer["column"]) == (2, 1)


def test_without_a_script_the_form_comes_back_with_the_preview(client: Client) -> None:
    event = make_event()
    sent = form(
        name="",
        body_template='{"id":"{{event_id}}"}',
        preview_event=event.event_id,
        event_types="own.*\r\n*.deleted",
        _preview="",
    )
    sent["response_validators-0-path"] = "$.data.typed"
    page = client.post(PREVIEW_NEW, sent).content.decode()

    assert shown(page) == f'{{\n    "id": "{event.event_id}"\n}}'
    assert area(page) == '{"id":"{{event_id}}"}'
    assert 'value="$.data.typed"' in page
    assert "own.*" in page
    assert f'action="{ADD}"' in page
    assert "canary" not in page
    # Nothing is judged yet.
    assert "errornote" not in page
    assert "errorlist" not in page
    assert not Webhook.objects.exists()


def test_without_a_script_an_event_that_is_not_offered_stays_chosen(client: Client) -> None:
    event = make_event(event_type="other.word")
    webhook = make_webhook()
    sent = form(preview_event=event.event_id, test_event=event.event_id)
    page = client.post(url_of("preview", webhook), sent).content.decode()

    for name in ("preview_event_id", "test_event_id"):
        assert f'name="{name}" value="{event.event_id}"' in page


def test_without_a_script_format_shows_the_form_set_out(client: Client) -> None:
    page = client.post(PREVIEW_NEW, form(body_template='{"a":1}', _format="")).content.decode()
    assert area(page) == '{\n    "a": 1\n}'

    page = client.post(PREVIEW_NEW, form(body_template='{"a":', _format="")).content.decode()
    assert area(page) == '{"a":'
    assert "Line 1, column 6" in page


def test_a_preview_does_not_hide_that_somebody_else_was_faster(client: Client) -> None:
    webhook = make_webhook()
    opened = Webhook.objects.get().version
    Webhook.objects.get().delete()
    webhook = make_webhook(name="SIEM")
    sent = form(version=opened)
    page = client.post(url_of("preview", webhook), sent).content.decode()

    assert f'name="version" value="{opened}"' in page


def test_a_page_with_errors_shows_the_preview_of_what_was_typed(client: Client) -> None:
    page = client.post(ADD, form(name="", body_template='{"typed": 1}')).content.decode()
    assert shown(page) == '{\n    "typed": 1\n}'


def test_an_error_that_was_refused_is_told_once_and_beside_its_field(client: Client) -> None:
    page = client.post(ADD, form(body_template='{"typed": }')).content.decode()

    assert page.count("Line 1, column 11") == 1
    [told] = re.findall(r'<ul class="errorlist" id="id_body_template_error">(.*?)</ul>', page)
    assert "Line 1, column 11" in told
    [described] = re.findall(r'<textarea name="body_template"[^>]*aria-describedby="(.*?)"', page)
    assert "id_body_template_error" in described.split()
    # Where a script can lead to.
    assert 'data-line="1" data-column="11"' in page


def test_an_error_that_was_not_refused_is_told_by_the_preview(client: Client) -> None:
    typed = form(body_template='{"typed": }', _preview="1")
    page = client.post(PREVIEW_NEW, typed).content.decode()

    assert page.count("Line 1, column 11") == 1
    assert "errorlist" not in page

    too_long = form(body_template='{"typed": }' + " " * TEMPLATE_LENGTH)
    page = client.post(ADD, too_long).content.decode()
    assert "Shorten it" in page
    assert page.count("Line 1, column 11") == 1


def test_nothing_of_a_template_or_an_event_is_run_by_the_browser(client: Client) -> None:
    event = make_event(payload_text=make_event().payload_text.replace("Ada Lovelace", HOSTILE))
    template = f'{{"{HOSTILE}": "{{{{data.actor_name}}}}"}}'
    answer = ask(client, template, preview_event_id=event.event_id)
    sent = form(body_template=template, preview_event_id=event.event_id, test_event_id=HOSTILE)
    page = client.post(PREVIEW_NEW, sent).content.decode()

    assert answer["html"].count(html.escape(HOSTILE)) == 2
    assert HOSTILE not in answer["html"]
    assert HOSTILE not in page


@pytest.mark.parametrize("word", ["preview", "test"])
def test_a_log_in_in_between_leads_back_to_the_form(client: Client, word: str) -> None:
    """Without a script the log in goes on with a GET, which has nothing that was typed."""
    webhook = make_webhook()
    for url, page in (
        (f"/admin/auditwebhooks/webhook/{word}/", ADD),
        (url_of(word, webhook), url_of("change", webhook)),
    ):
        client.logout()
        login = client.post(url, form())
        assert login.status_code == 302
        client.force_login(User.objects.get())
        back = client.get(url, follow=True)
        assert back.redirect_chain == [(page, 302)]
        assert "nothing was done" in back.content.decode()


def test_no_page_costs_many_queries(client: Client, django_assert_max_num_queries: Any) -> None:
    webhook = make_webhook()
    for _number in range(30):
        make_event()
    event = make_event()
    # Session, user, webhook, what waits, events, the chart; and one for each known type.
    types = Event.objects.values("event_type").distinct().count() + 1
    with django_assert_max_num_queries(6 + types):
        client.get(url_of("change", webhook))
    sent = {"body_template": "{}", "preview_event": event.event_id}
    with django_assert_max_num_queries(5):
        client.post(url_of("preview", webhook), sent, headers=JSON)


def test_enter_in_a_field_saves(client: Client) -> None:
    """A browser presses the first button of the form."""
    page = client.get(ADD).content.decode().split('id="webhook_form"')[1]
    first = re.findall(r'<(?:button|input)[^>]*type="submit"[^>]*>', page)[0]

    assert "formaction" not in first
    assert "name=" not in first


def test_a_recorded_event_is_sent_as_a_test(client: Client, inbox: Inbox) -> None:
    event = make_event(target_name=HOSTILE)
    template = '{"id": "{{event_id}}"}'
    sent = form(url=inbox.url, body_template=template, test_event_id=event.event_id)
    answer = client.post(TEST_NEW, sent, headers=JSON).json()

    assert answer["result"] == "Test successful"
    assert "Sent with the recorded event:" in answer["html"]
    assert HOSTILE not in answer["html"]
    [delivery] = inbox.deliveries
    assert event.event_id.encode() in delivery.body
    assert delivery.headers["webhook-id"].startswith("test_")
    assert not Invocation.objects.exists()


def test_an_event_that_is_not_there_is_not_sent(client: Client, inbox: Inbox) -> None:
    sent = form(url=inbox.url, test_event_id="1")

    assert client.post(TEST_NEW, sent, headers=JSON).json() == {
        "result": "",
        "html": "",
        "errors": {},
        "refused": "There is no event with this ID.",
    }
    assert "There is no event with this ID." in client.post(TEST_NEW, sent).content.decode()
    assert inbox.deliveries == []


def test_too_many_tests_are_refused_with_the_time_to_wait(
    client: Client, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditwebhooks.delivery.allowance.MOST", 1)
    sent = form(url=inbox.url)
    client.post(TEST_NEW, sent, headers=JSON)
    refused = client.post(TEST_NEW, sent, headers=JSON)

    assert (refused.status_code, refused.json()["html"]) == (429, "")
    assert "1 tests a minute" in refused.json()["refused"]
    assert 1 <= int(refused["Retry-After"]) <= 60
    page = client.post(TEST_NEW, sent).content.decode()
    assert "1 tests a minute" in page
    assert 'value="SIEM"' in page
    assert len(inbox.deliveries) == 1


def test_the_panel_has_a_tip_the_times_and_the_request_as_curl(
    client: Client, inbox: Inbox
) -> None:
    inbox.answers = [Answer(status=401)]
    page = client.post(TEST_NEW, form(url=inbox.url), headers=JSON).json()["html"]

    assert "Check the Authorization header" in page
    assert "Copy as curl" in page
    assert "curl --globoff --request POST" in page
    assert "canary" not in page
    assert re.search(r"The call took \d+ ms", page)
    # What scrolls can be scrolled by the keyboard.
    assert page.count("<pre") == page.count('tabindex="0"') > 0


def test_the_test_of_a_saved_webhook_is_noted(client: Client, inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    client.post(url_of("test", webhook), form(url=inbox.url, name="Typed"), headers=JSON)

    entry = LogEntry.objects.get()
    assert (entry.object_id, entry.object_repr) == (str(webhook.pk), webhook.name)
    assert entry.change_message == "Tested: Test successful"
    assert Event.objects.filter(event_type__startswith="auditwebhooks").count() <= 1

"""The form's texts, and what a browser makes of them."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from auditwebhooks.models import Event, Webhook
from auditwebhooks.payload import DEFAULT_TEMPLATE, FIELDS
from project.demo.form import form_fields
from tests.factories import make_event, make_webhook

pytestmark = pytest.mark.django_db

ADD = "/admin/auditwebhooks/webhook/add/"


@pytest.fixture(autouse=True)
def operator(client: Client) -> User:
    user = User.objects.create_superuser("op", "op@example.com", "pw")
    client.force_login(user)
    return user


def shown(page: str) -> dict[str, str]:
    """The form as a browser sends it: lines end with CR LF."""
    page = re.sub(r"<template>.*?</template>", "", page, flags=re.S)
    fields = form_fields(page, "webhook_form")
    return {name: "\r\n".join(value.split("\n")) for name, value in fields}


def text(part: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", part).split()))


def details(page: str, summary: str) -> str:
    [found] = re.findall(
        rf"<details[^>]*>\s*<summary>{re.escape(summary)}</summary>.*", page, re.S
    )
    return found


def change_url(webhook: Webhook) -> str:
    return reverse("admin:auditwebhooks_webhook_change", args=[webhook.pk])


# The API takes values that no row can show: empty ones and such of several lines.
@pytest.mark.parametrize(
    "values", [["true", "1"], [" a "], [""], ["a\nb", "", "c"], ["a\r\nb"], ["a\u2028b\x0cc\x85"]]
)
def test_a_browser_that_saves_what_was_shown_changes_nothing(
    client: Client, values: list[str]
) -> None:
    webhook = make_webhook(
        response_validators=[{"json_path": "$.data.ok", "expected_values": values}]
    )
    before = Event.objects.count()

    page = client.get(change_url(webhook)).content.decode()
    response = client.post(change_url(webhook), shown(page))

    assert response.status_code == 302
    present = Webhook.objects.get()
    assert present.body_template == webhook.body_template
    assert present.sends_like(webhook)
    assert Event.objects.count() == before


def test_only_a_line_break_parts_expected_values(client: Client) -> None:
    webhook = make_webhook()
    sent = shown(client.get(change_url(webhook)).content.decode())
    sent["response_validators-0-path"] = "$.data.ok"
    sent["response_validators-0-expected"] = "a\u2028b\r\nc"

    assert client.post(change_url(webhook), sent).status_code == 302
    assert Webhook.objects.get().response_validators == [
        {"json_path": "$.data.ok", "expected_values": ["a\u2028b", "c"]}
    ]


def test_line_and_column_of_an_error_are_those_of_what_was_typed(client: Client) -> None:
    data = {**shown(client.get(ADD).content.decode()), "name": "SIEM"}
    data |= {"url": "https://hooks.example.com/", "body_template": '\r\n\r\n{"a": {{event_id}}}'}

    response = client.post(ADD, data)

    [error] = response.context["adminform"].form.errors["body_template"]
    assert error.startswith("Line 3, column 7: Put the placeholder in quotes")
    page = response.content.decode()
    row = page[page.index("field-body_template") :]
    assert row.index("Line 3, column 7") < row.index("<textarea")


def test_the_schema_tells_every_field_with_type_meaning_and_values(client: Client) -> None:
    page = details(client.get(ADD).content.decode(), "View audit event's payload schema")
    rows = [text(row) for row in re.findall(r"<tr>.*?</tr>", page, re.S)]

    for field in FIELDS:
        row = " ".join(
            ("{{" + field.path + "}}", field.type, str(field.meaning), *_listed(field.values))
        )
        assert row in rows


def _listed(values: Any) -> list[str]:
    return [", ".join(values)] if values else []


def test_the_schema_tells_the_fields_of_each_audited_model(client: Client) -> None:
    page = details(client.get(ADD).content.decode(), "View audit event's payload schema")

    article = details(page, "testapp.article (article)")
    rows = [text(row) for row in re.findall(r"<tr>.*?</tr>", article, re.S)]
    assert "{{data.current_target_object.price}} string price" in rows
    assert "testapp.section" not in re.findall(r"<summary>([\w.]+)", page)


def test_a_host_of_very_many_models_gets_a_page_that_can_be_loaded(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("auditwebhooks.admin.widgets.MOST_FIELDS", 10)
    page = client.get(ADD).content.decode()

    assert len(re.findall(r"\{\{data.current_target_object.\w+\}\}</code>", page)) <= 10
    assert "more models are audited" in page


def test_known_event_types_can_be_read_and_copied(client: Client) -> None:
    make_event(event_type="own.word")
    page = details(client.get(ADD).content.decode(), "Known event types")
    known = re.findall(r"<li><code>([^<]+)</code></li>", page)

    assert {"testapp.article.updated", "auth.user.login_failed", "own.word"} <= set(known)
    assert known == sorted(known)


def test_help_stands_beside_every_field(client: Client) -> None:
    form = client.get(ADD).context["adminform"].form

    without = {name for name, field in form.fields.items() if not field.help_text}
    assert without == {"type", "version"}
    assert str(form.fields["timeout_in_sec"].help_text).endswith("1 to 60. Empty: 10.")


def test_a_page_with_errors_does_not_speak_of_secrets_that_are_not_stored(client: Client) -> None:
    webhook = make_webhook(headers={"X-Kept": "1"})
    data = shown(client.get(change_url(webhook)).content.decode())
    data |= {"name": "", "headers-1-key": "X-New", "headers-1-value": ""}

    page = client.post(change_url(webhook), data).content.decode()

    assert "A secret is stored" not in page
    row = re.search(r'value="X-New".*?</div>', page, re.S)
    assert row is not None
    assert "type it again" in row[0]
    row = re.search(r'value="X-Kept".*?</div>', page, re.S)
    assert row is not None
    assert "stored: leave empty to keep" in row[0]


def test_a_new_webhook_sends_the_default_template_unless_it_is_emptied(client: Client) -> None:
    """Who fills in name and URL only would send nothing otherwise, and the Test would succeed."""
    data = shown(client.get(ADD).content.decode())
    data |= {"name": "SIEM", "url": "https://hooks.example.com/"}

    assert client.post(ADD, data).status_code == 302
    assert client.post(ADD, {**data, "name": "Bare", "body_template": ""}).status_code == 302

    sent = dict(Webhook.objects.values_list("name", "body_template"))
    assert sent == {"SIEM": DEFAULT_TEMPLATE, "Bare": ""}

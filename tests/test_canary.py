"""A canary in every secret, and a search for it wherever something is kept, shown or told: raw
tables, the queue, logs, pages, API answers, fixtures, error reports. The receiver repeats
everything that it gets."""

from __future__ import annotations

import base64
import html
import io
import json
import logging
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.core.signals import got_request_exception
from django.db import connection
from django.test import Client
from django.views.debug import ExceptionReporter

from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.receiver import Answer, Delivery
from tests.broker import queued
from tests.conftest import Inbox
from tests.test_admin import form
from tests.test_drain import drain_all
from tests.testapp.models import Account

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "canary-token-4711"
BASIC = base64.b64encode(b"ada:canary-password").decode()
KEYS = [b"canary signing key number %d" % number for number in range(2)]
SIGNING = ["whsec_" + base64.b64encode(key).decode() for key in KEYS]
PATH = "T000/canary-path-4711"
QUERY = "token=canary-query-4711"
MASKED = {"iban": "canary-iban", "api_key": "canary-api-key"}
NESTED = {"deep": [{"password": "canary-nested"}], "plain": "seen"}

# What nobody may find anywhere.
CANARIES = [
    TOKEN,
    BASIC,
    "canary-password",
    *SIGNING,
    *(secret.removeprefix("whsec_") for secret in SIGNING),
    *MASKED.values(),
    "canary-nested",
]
# In full for those who may change the webhook, in its form; found nowhere else.
URL_CANARIES = ["canary-path-4711", "canary-query-4711"]


def found(text: str, canaries: list[str] | None = None) -> list[str]:
    """The canaries that stand in a text, in any of the spellings of JSON, HTML and URLs."""
    return [
        canary
        for canary in ([*CANARIES, *URL_CANARIES] if canaries is None else canaries)
        if any(spelled in text for spelled in _spellings(canary))
    ]


def _spellings(canary: str) -> set[str]:
    return {canary, html.escape(canary), quote(canary, safe=""), canary.replace("/", "\\/")}


def repeat(delivery: Delivery, signing: str = "") -> Answer:
    """Everything that came in goes back, in the body and in the headers."""
    came = {
        "path": delivery.path,
        "headers": dict(delivery.headers.items()),
        "signing": signing,
        "sent": delivery.body.decode(),
    }
    echoed = {f"X-Echo-{name}": value for name, value in delivery.headers.items()}
    body = json.dumps(came).encode() + b"\n" + html.escape(json.dumps(came)).encode()
    return Answer(status=200, body=body, headers={**echoed, "X-Path": delivery.path})


@pytest.fixture
def reports() -> Iterator[list[str]]:
    """The error reports that Django would mail to the administrators."""
    made: list[str] = []

    def report(request: Any, **kwargs: Any) -> None:
        reporter = ExceptionReporter(request, *sys.exc_info())
        made.extend((reporter.get_traceback_html(), reporter.get_traceback_text()))

    got_request_exception.connect(report)
    yield made
    got_request_exception.disconnect(report)


@pytest.fixture
def operator() -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(User.objects.create_superuser("op", "op@example.com", "pw"))
    return client


@pytest.fixture
def viewer() -> Client:
    """May look at everything and change nothing."""
    user = User.objects.create_user("viewer", is_staff=True)
    names = ("view_webhook", "view_event", "view_invocation", "see_payload", "view_logentry")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.fixture
def webhook(inbox: Inbox, operator: Client) -> Webhook:
    """Made in the admin, rotated, tested, and with deliveries of every kind behind it."""
    inbox.answer = lambda delivery: repeat(delivery, " ".join(SIGNING))
    values = form(
        url=f"{inbox.url}{PATH}?{QUERY}",
        signing_secret=SIGNING[0],
        event_types="",
        **{
            "headers-0-value": f"Bearer {TOKEN}",
            "headers-1-key": "X-Basic",
            "headers-1-value": f"Basic {BASIC}",
            "response_validators-0-path": "$.headers",
            "response_validators-0-expected": "nothing",
        },
    )
    added = operator.post("/admin/auditwebhooks/webhook/add/", values)
    assert added.status_code == 302, added.content
    webhook = Webhook.objects.get()
    changed = operator.post(
        f"/admin/auditwebhooks/webhook/{webhook.pk}/change/",
        {**values, "signing_secret": SIGNING[1], "headers-0-value": "", "headers-1-value": ""},
    )
    assert changed.status_code == 302, changed.content
    account = Account.objects.create(owner="Ada", settings=NESTED, **MASKED)
    account.owner = "Countess"
    account.save()
    drain_all()
    # Answers that pass no validator, are no JSON, or none at all.
    inbox.answers = [
        Answer(status=500, body=repeat(inbox.deliveries[0]).body),
        Answer(status=302, headers={"Location": inbox.url + PATH}),
        Answer(body=json.dumps({"headers": {"x": f"Bearer {TOKEN}"}}).encode()),
    ]
    for owner in ("Byron", "Babbage", "Menabrea"):
        account.owner = owner
        account.save()
    drain_all()
    return Webhook.objects.get()


def cells() -> Iterator[tuple[str, str]]:
    """Every value of every table, as text, with its place."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")  # noqa: S608
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for column, value in zip(columns, row, strict=True):
                    raw = bytes(value) if isinstance(value, memoryview) else value
                    text = raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
                    yield f"{table}.{column}", text


def test_no_table_holds_a_secret(webhook: Webhook, inbox: Inbox) -> None:
    sent = inbox.deliveries[0]
    # The receiver did get them, or the search would prove nothing.
    assert found(f"{sent.path} {sent.headers}") == [TOKEN, BASIC, *URL_CANARIES]
    assert Invocation.objects.filter(response_body__contains="X-Basic").exists()
    assert {row.outcome for row in Invocation.objects.exclude(outcome="")} == {
        "validation",
        "http_status",
    }

    searched = {place: found(text) for place, text in cells()}

    # They stand where the host keeps them itself, and nowhere else.
    assert {place for place, canaries in searched.items() if canaries} <= {
        f"testapp_account.{column}" for column in ("iban", "api_key", "settings")
    }
    assert {"auditwebhooks_webhook.url", "auditwebhooks_event.payload_text"} <= set(searched)


def test_no_log_and_no_queued_task_holds_a_secret(
    caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest
) -> None:
    caplog.set_level(logging.DEBUG)
    # The statements of the database are the host's to log; they hold ciphertext of ours, and
    # the values of the host's own model.
    caplog.set_level(logging.INFO, "django.db.backends")
    request.getfixturevalue("webhook")

    assert caplog.records
    assert found(caplog.text) == []
    assert found(str([vars(record) for record in caplog.records])) == []
    assert queued(), "a commit rang"
    assert found(str(queued())) == []


def test_no_fixture_and_no_repr_holds_a_secret(webhook: Webhook) -> None:
    told = io.StringIO()
    call_command("dumpdata", "auditwebhooks", stdout=told)

    assert str(webhook.pk) in told.getvalue()
    assert found(told.getvalue()) == []
    invocation = Invocation.objects.select_related("webhook", "event").latest("id")
    shown = (webhook, webhook.headers, webhook.signing_secret, invocation, invocation.event)
    assert found("".join(f"{one!r} {one!s}" for one in shown)) == []
    assert found(str(vars(webhook)), CANARIES) == []


def pages(webhook: Webhook) -> list[str]:
    base = "/admin/auditwebhooks/"
    rows = [
        f"{base}{name}/{pk}/change/"
        for name, model in (("invocation", Invocation), ("event", Event))
        for pk in model.objects.values_list("pk", flat=True)
    ]
    history = f"{base}webhook/{webhook.pk}/history/"
    return ["/admin/", f"{base}webhook/", f"{base}invocation/", f"{base}event/", history, *rows]


def answers(webhook: Webhook) -> list[str]:
    base = "/api/audit/"
    events = Event.objects.values_list("event_id", flat=True)
    invocations = Invocation.objects.values_list("pk", flat=True)
    return [
        f"{base}webhooks/",
        f"{base}webhooks/{webhook.pk}/",
        f"{base}events/",
        f"{base}invocations/",
        *(f"{base}events/{pk}/" for pk in events),
        *(f"{base}invocations/{pk}/" for pk in invocations),
    ]


def test_no_page_shows_a_secret(webhook: Webhook, operator: Client, viewer: Client) -> None:
    change = f"/admin/auditwebhooks/webhook/{webhook.pk}/change/"
    for client, urls in ((operator, pages(webhook)), (viewer, [*pages(webhook), change])):
        for url in urls:
            page = client.get(url)
            assert page.status_code == 200, url
            assert found(page.content.decode()) == [], url

    form_of_the_webhook = operator.get(change).content.decode()
    assert found(form_of_the_webhook) == URL_CANARIES


def test_no_answer_of_the_api_shows_a_secret(
    webhook: Webhook, operator: Client, viewer: Client
) -> None:
    for client in (operator, viewer):
        for url in answers(webhook):
            answer = client.get(url)
            assert answer.status_code == 200, url
            may_see_url = client is operator and url.endswith(f"/webhooks/{webhook.pk}/")
            expected = URL_CANARIES if may_see_url else []
            assert found(answer.content.decode()) == expected, url


def test_no_test_shows_a_secret(webhook: Webhook, operator: Client, inbox: Inbox) -> None:
    by_api = operator.post(f"/api/audit/webhooks/{webhook.pk}/test/")
    assert by_api.json()["result"] == "Test failed"
    assert "X-Basic" in by_api.json()["invocation"]["response_body"]
    assert found(by_api.content.decode()) == []

    # What is only typed knows no other webhook's secrets.
    inbox.answer = lambda delivery: repeat(delivery, SIGNING[0])
    values = form(
        name="Another",
        url=f"{inbox.url}{PATH}?{QUERY}",
        signing_secret=SIGNING[0],
        **{"headers-0-value": f"Bearer {TOKEN}"},
    )
    by_script = operator.post(
        "/admin/auditwebhooks/webhook/test/", values, headers={"Accept": "application/json"}
    )
    assert "Test failed" in by_script.json()["html"]
    assert found(by_script.content.decode()) == []
    by_form = operator.post("/admin/auditwebhooks/webhook/test/", values)
    assert "Test failed" in by_form.content.decode()
    assert found(by_form.content.decode(), CANARIES) == []


def test_refused_values_are_not_repeated(operator: Client) -> None:
    values = {
        "name": "SIEM",
        "url": f"http://hooks.example.com/{PATH}?{QUERY}",
        "headers": {"Authorization": f"Bearer {TOKEN}\n", "Host": TOKEN},
        "signing_secret": SIGNING[0][:-8] + "!",
    }
    answer = operator.post("/api/audit/webhooks/", values, content_type="application/json")

    assert set(answer.json()) == {"url", "headers", "signing_secret"}
    assert "canary" not in answer.content.decode()
    assert re.search(r"Y2FuYXJ5", answer.content.decode()) is None


@pytest.mark.parametrize("face", ["admin", "api"])
def test_no_error_report_tells_a_secret(
    face: str,
    operator: Client,
    inbox: Inbox,
    reports: list[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What Django mails to the administrators when our own page breaks: no typed value, neither
    in the request's data nor in the variables of a frame."""

    def explode(self: Webhook, *args: object, **kwargs: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Webhook, "save", explode)
    url = f"{inbox.url}{PATH}?{QUERY}"
    if face == "admin":
        answer = operator.post(
            "/admin/auditwebhooks/webhook/add/",
            form(
                url=url,
                signing_secret=SIGNING[0],
                **{"headers-0-value": f"Bearer {TOKEN}"},
            ),
        )
    else:
        answer = operator.post(
            "/api/audit/webhooks/",
            {
                "name": "SIEM",
                "url": url,
                "headers": {"Authorization": f"Bearer {TOKEN}"},
                "signing_secret": SIGNING[0],
            },
            content_type="application/json",
        )

    assert answer.status_code == 500
    assert len(reports) == 2
    assert "broken" in reports[0]
    assert found("".join(reports)) == []
    assert found(caplog.text) == []

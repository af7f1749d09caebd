"""What nobody should send to the API: each is answered clearly, and nothing is half done."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.core.cache import cache
from django.db import connections
from rest_framework.test import APIClient

from auditwebhooks.api.parsing import MOST_NESTED
from auditwebhooks.api.serializers import SelectionSerializer, WebhookSerializer
from auditwebhooks.models import Event, Invocation, Replay, Webhook
from auditwebhooks.receiver import Answer, Delivery
from tests.conftest import Inbox
from tests.factories import make_event, make_invocation, make_webhook, someone
from tests.test_drain import drain_all

pytestmark = pytest.mark.django_db

WEBHOOKS = "/api/audit/webhooks/"
MEGABYTE = 1024 * 1024


@pytest.fixture
def client() -> APIClient:
    client = someone(
        *("view_webhook", "add_webhook", "change_webhook", "delete_webhook", "test_webhook"),
        *("view_invocation", "resend_invocation", "view_event", "view_replay"),
    )
    # An error of the server is an answer, too: every status is asserted.
    client.raise_request_exception = False
    return client


def values(**overrides: Any) -> dict[str, Any]:
    return {"name": "SIEM", "url": "https://hooks.example.com/in", **overrides}


def writes(webhook: Webhook) -> list[tuple[str, str]]:
    """Every route that reads a body."""
    one = f"{WEBHOOKS}{webhook.pk}/"
    invocation = make_invocation(webhook, status="failed")
    return [
        ("POST", WEBHOOKS),
        ("PUT", one),
        ("PATCH", one),
        ("POST", f"{WEBHOOKS}test/"),
        ("POST", f"{one}test/"),
        ("POST", f"{one}rotate-secret/"),
        ("POST", f"{one}replay/"),
        ("POST", f"/api/audit/invocations/{invocation.pk}/send-again/"),
    ]


def stored() -> list[Any]:
    models = (Webhook, Invocation, Replay, Event)
    return [list(model._base_manager.order_by("pk").values()) for model in models]


def send(client: APIClient, method: str, url: str, body: bytes, **options: Any) -> Any:
    options.setdefault("content_type", "application/json")
    return client.generic(method, url, body, **options)


# --- bodies -------------------------------------------------------------------------------

NO_JSON: dict[str, bytes] = {
    "words": b"name=SIEM",
    "half": b'{"name": "SIEM"',
    "twice": b"{}{}",
    "empty text": b'""',
    "list": b"[]",
    "number": b"5",
    "null": b"null",
    "deep lists": b"[" * 10_000 + b"]" * 10_000,
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep field": b'{"response_validators":' + b"[" * 500 + b"]" * 500 + b"}",
    "invalid UTF-8": b'{"name": "\xff\xfe"}',
    "UTF-16": '{"name": "SIEM"}'.encode("utf-16"),
    "byte order mark": b'\xef\xbb\xbf{"name": "SIEM"}',
    "NUL in a name": b'{"\\u0000": 1}',
    "raw NUL": b'{"name": "\x00"}',
    "surrogate in a name": b'{"\\ud800": 1}',
    "duplicate keys": b'{"name": "A", "name": "B"}',
    "duplicate keys below": b'{"headers": {"A": "1", "A": "2"}}',
    "NaN": b'{"timeout_in_sec": NaN}',
    "Infinity": b'{"timeout_in_sec": -Infinity}',
    "more than any number": b'{"name": 1e999}',
    "endless number": b'{"timeout_in_sec": ' + b"9" * 100_000 + b"}",
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_a_body_that_is_no_object_is_refused_everywhere(client: APIClient, body: bytes) -> None:
    webhook = make_webhook()
    routes = writes(webhook)
    before = stored()
    for method, url in routes:
        answer = send(client, method, url, body)
        assert answer.status_code == 400, (method, url, answer.content[:300])
        for field, reasons in answer.json().items():
            assert field in ("non_field_errors", "response_validators")
            assert all(isinstance(reason, str) and len(reason) < 200 for reason in reasons)
    assert stored() == before


@pytest.mark.parametrize("limited", [True, False])
def test_ten_megabytes_are_refused(client: APIClient, settings: Any, limited: bool) -> None:
    """Without a limit of the host's by the rules of the field."""
    if not limited:
        settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None
    routes = writes(make_webhook())
    before = stored()
    body = json.dumps(values(body_template='"' + "x" * 10 * MEGABYTE + '"')).encode()
    for method, url in routes:
        answer = send(client, method, url, body)
        assert answer.status_code == (413 if limited else 400), (method, url)
        assert list(answer.json()) == (["detail"] if limited else list(answer.json()))
        assert len(answer.content) < 1000
    assert stored() == before


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data", "x", ""])
def test_another_content_type_is_refused(client: APIClient, kind: str) -> None:
    routes = writes(make_webhook())
    before = stored()
    for method, url in routes:
        answer = send(client, method, url, b'{"name": "A"}', content_type=kind)
        assert (answer.status_code, list(answer.json())) == (415, ["detail"])
    assert stored() == before


def test_an_empty_form_says_nothing(client: APIClient) -> None:
    webhook = make_webhook()
    for kind, body in (
        ("multipart/form-data; boundary=b", b"--b--\r\n"),
        ("application/x-www-form-urlencoded", b""),
    ):
        answer = send(
            client, "POST", f"{WEBHOOKS}{webhook.pk}/rotate-secret/", body, content_type=kind
        )
        assert answer.status_code == 200, answer.content


def test_an_answer_that_cannot_be_given_is_refused(client: APIClient) -> None:
    answer = client.get(WEBHOOKS, headers={"Accept": "application/xml"})
    assert (answer.status_code, list(answer.json())) == (406, ["detail"])


@pytest.mark.parametrize("missing", ["", "rest_framework", "django_filters"])
def test_a_browser_gets_json_where_the_pages_have_no_templates(
    client: APIClient, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    installed = apps.is_installed
    monkeypatch.setattr(apps, "is_installed", lambda name: name != missing and installed(name))

    for path in ("", "webhooks/", "invocations/"):
        answer = client.get(f"/api/audit/{path}", headers={"Accept": "text/html,*/*;q=0.8"})
        kind = "application/json" if missing else "text/html; charset=utf-8"
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, kind), path


# --- fields -------------------------------------------------------------------------------

WRONG: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1.5,
    1e300,
    "",
    " ",
    "x",
    "\x00",
    "a\x00b",
    "\ud800",
    "x\udfffy",
    "x" * 100_000,
    [],
    [None],
    [[]],
    [{}],
    ["\x00"],
    ["\ud800"],
    {},
    {"": ""},
    {"a": None},
    {"a": {}},
    {"a": []},
    {"a": 1e300},
    {"\x00": "\ud800"},
    [{"json_path": None, "expected_values": None}],
    [{"json_path": "$.a", "expected_values": ["\x00"]}],
    [{"json_path": "$.a", "expected_values": {"a": 1}}],
    [{"json_path": ["$"], "expected_values": ["a"]}],
    [{"json_path": "$..[?(@", "expected_values": ["a"]}],
    [{"json_path": "$.a", "expected_values": ["a"], "more": 1}],
]
FIELDS = [one.field_name for one in WebhookSerializer().fields.values() if not one.read_only]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_takes_any_value_or_names_itself(client: APIClient, field: str) -> None:
    webhook = make_webhook(name="Before")
    url = f"{WEBHOOKS}{webhook.pk}/"
    for value in WRONG:
        for method, target in (("POST", WEBHOOKS), ("PUT", url), ("PATCH", url)):
            body = json.dumps({**values(name=method), field: value}).encode()
            before = stored()
            answer = send(client, method, target, body)
            assert answer.status_code in (200, 201, 400), (field, value, method)
            if answer.status_code == 400:
                assert list(answer.json()) == [field], (value, answer.json())
                assert stored() == before
            elif method == "POST":
                Webhook.objects.get(pk=answer.json()["id"]).delete()
            else:
                shown = client.get(url).json()[field]
                again = send(client, "PATCH", url, json.dumps({field: shown}).encode())
                assert again.status_code == 200, (field, value, again.content)


@pytest.mark.parametrize("field", FIELDS)
def test_a_value_is_tested_or_refused_as_it_is_saved_or_refused(
    client: APIClient, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is called for a value that could not be saved."""
    called: list[Webhook] = []
    monkeypatch.setattr(
        "auditwebhooks.api.webhooks.send_test",
        lambda webhook, event: called.append(webhook) or refuse(),
    )

    def refuse() -> Any:
        return make_invocation(make_webhook(), trigger="test", status="failed", event=None)

    for value in WRONG:
        # Else the limit of tests would answer.
        cache.clear()
        body = json.dumps(values(**{field: value})).encode()
        before = len(called)
        tested = send(client, "POST", f"{WEBHOOKS}test/", body)
        saved = send(client, "POST", WEBHOOKS, body)
        assert (tested.status_code, saved.status_code) in ((200, 201), (400, 400)), value
        assert len(called) == before + (tested.status_code == 200)
        if saved.status_code == 201:
            Webhook.objects.get(pk=saved.json()["id"]).delete()


@pytest.mark.parametrize("field", SelectionSerializer().fields)
def test_every_field_of_a_replay_takes_any_value_or_names_itself(
    client: APIClient, field: str
) -> None:
    url = f"{WEBHOOKS}{make_webhook().pk}/replay/"
    odd = ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-02-30T00:00:00Z"]
    for value in [*WRONG, *odd]:
        given = {"since": "2026-01-01T00:00:00Z", "dry_run": True, field: value}
        before = stored()
        answer = send(client, "POST", url, json.dumps(given).encode())
        assert answer.status_code in (200, 202, 400), (value, answer.content[:300])
        if answer.status_code == 400:
            assert set(answer.json()) <= {field, "since"}, (value, answer.json())
        if answer.status_code != 202:
            assert stored() == before


def test_unknown_fields_are_refused_by_name(client: APIClient) -> None:
    routes = writes(make_webhook())
    before = stored()
    for method, url in routes:
        answer = send(client, method, url, json.dumps({"colour": 1, "größe": None}).encode())
        assert answer.status_code == 400
        told = answer.json()
        assert told["colour"] == told["größe"] == ["There is no such field."], url
    assert stored() == before


def test_nesting_as_deep_as_is_let_is_taken(client: APIClient) -> None:
    deep: Any = "x"
    for _ in range(MOST_NESTED - 2):
        deep = [deep]
    answer = client.post(WEBHOOKS, values(event_types=deep), format="json")
    assert "nested" not in str(answer.json())
    answer = client.post(WEBHOOKS, values(event_types=[[deep]]), format="json")
    assert answer.json() == {"event_types": [f"This is nested more than {MOST_NESTED} deep."]}


# --- parameters ---------------------------------------------------------------------------

ODD = [
    *("%00", "a%00b", "%ED%A0%80", "%FF", "x" * 5000, "-1", "9" * 40, "1.5", "1e400", "NaN"),
    *("null", "[]", "true", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"),
    *("2026-02-30", "2026-01-01", "2026-01-01T00:00", "%F0%9F%A6%8A", "'\"%3B--", "%25", "_"),
]


@pytest.mark.parametrize("kind", ["events", "invocations", "webhooks"])
def test_every_filter_takes_any_value_or_names_itself(client: APIClient, kind: str) -> None:
    make_invocation(make_webhook())
    [reason] = client.get(f"/api/audit/{kind}/?x=").json()["x"]
    for name in reason.removesuffix(".").split("Known: ")[1].split(", "):
        for value in ODD:
            answer = client.get(f"/api/audit/{kind}/?{name}={value}")
            assert answer.status_code in (200, 400), (name, value, answer.content[:200])
            if answer.status_code == 400:
                assert list(answer.json()) == [name], (name, value)


@pytest.mark.parametrize("value", ODD)
def test_every_path_takes_any_key(client: APIClient, value: str) -> None:
    webhook = make_webhook()
    for method, url in (
        ("GET", f"{WEBHOOKS}{value}/"),
        ("PUT", f"{WEBHOOKS}{value}/"),
        ("PATCH", f"{WEBHOOKS}{value}/"),
        ("DELETE", f"{WEBHOOKS}{value}/"),
        ("POST", f"{WEBHOOKS}{value}/test/"),
        ("POST", f"{WEBHOOKS}{value}/rotate-secret/"),
        ("GET", f"{WEBHOOKS}{value}/stats/"),
        ("GET", f"{WEBHOOKS}{value}/replay/"),
        ("POST", f"{WEBHOOKS}{webhook.pk}/replay/{value}/cancel/"),
        ("GET", f"/api/audit/invocations/{value}/"),
        ("POST", f"/api/audit/invocations/{value}/send-again/"),
        ("GET", f"/api/audit/events/{value}/"),
    ):
        answer = send(client, method, url, b"{}")
        assert answer.status_code == 404, (method, url, answer.content[:200])
        # A key with a dot is none, and gets the host's own page.
        assert "." in value or list(answer.json()) == ["detail"], (method, url)
    assert Webhook.objects.filter(pk=webhook.pk).exists()


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match", "Idempotency-Key", "Accept"])
@pytest.mark.parametrize(
    "value", ["", '"', "\x00", "é", "*, *", 'W/"', "x" * 50_000, ",,,", "*/*"]
)
def test_every_header_takes_any_value(client: APIClient, name: str, value: str) -> None:
    webhook = make_webhook()
    url = f"{WEBHOOKS}{webhook.pk}/"
    again = f"/api/audit/invocations/{make_invocation(webhook, status='failed').pk}/send-again/"
    for method, target in (("GET", url), ("PATCH", url), ("POST", again)):
        answer = client.generic(
            method, target, b"{}", content_type="application/json", headers={name: value}
        )
        assert answer.status_code in (200, 201, 304, 400, 406, 412), (method, answer.content)


# --- at once ------------------------------------------------------------------------------


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """What each gave, all of them begun together."""
    barrier = threading.Barrier(len(tasks))
    answers: list[Any] = []

    def run(task: Callable[[], Any]) -> None:
        try:
            barrier.wait(10)
            answers.append(task())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[task]) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(answers) == len(tasks)
    return answers


def as_the_same(client: APIClient) -> APIClient:
    mine = APIClient(raise_request_exception=False)
    mine.force_authenticate(client.handler._force_user)
    return mine


TAKEN = {"name": ["There is a webhook of this name already (upper and lower case are the same)."]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [False, True])
def test_of_one_name_at_once_one_wins_and_the_others_are_told(
    client: APIClient, change: bool
) -> None:
    names = ["Größe", "GRÖSSE", "größe", "gröSSe"]
    webhooks = [make_webhook() for _ in names] if change else []

    def name(number: int) -> Any:
        mine, given = as_the_same(client), names[number]
        if not change:
            return mine.post(WEBHOOKS, values(name=given), format="json")
        url = f"{WEBHOOKS}{webhooks[number].pk}/"
        return mine.patch(url, {"name": given}, format="json")

    answers = at_once(*(lambda number=number: name(number) for number in range(len(names))))

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200 if change else 201, 400, 400, 400], [one.content for one in answers]
    assert all(one.json() == TAKEN for one in answers if one.status_code == 400)
    assert Webhook.objects.filter(name__in=names).count() == 1
    told = "updated" if change else "created"
    events = Event.objects.filter(event_type=f"auditwebhooks.webhook.{told}")
    assert events.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_deletions_at_once_one_deletes(client: APIClient) -> None:
    url = f"{WEBHOOKS}{make_webhook().pk}/"

    answers = at_once(*(lambda: as_the_same(client).delete(url) for _ in range(3)))

    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 204
    assert set(codes) <= {204, 404}
    deleted = Event.objects.filter(event_type="auditwebhooks.webhook.deleted")
    assert deleted.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_webhook_that_is_sending_is_deleted(client: APIClient, inbox: Inbox) -> None:
    """What is being sent ends as it ends; what waits is cancelled; all of it is kept."""
    webhook = make_webhook(url=inbox.url)
    first, second = make_event(target_id="1"), make_event(target_id="1")
    answers: list[Any] = []

    def delete_meanwhile(delivery: Delivery) -> Answer:
        def delete() -> None:
            try:
                answers.append(as_the_same(client).delete(f"{WEBHOOKS}{webhook.pk}/"))
            finally:
                connections.close_all()

        thread = threading.Thread(target=delete)
        thread.start()
        thread.join(30)
        return Answer(body=b"{}")

    inbox.answer = delete_meanwhile
    drain_all()

    codes = [answer.status_code for answer in answers]
    # A worker that holds both sends the other, too.
    assert codes in ([204], [204, 404]), answers[0].content
    assert not Webhook.objects.filter(pk=webhook.pk).exists()
    rows = Invocation.objects.filter(event__in=[first, second]).order_by("pk")
    assert {row.webhook_id for row in rows} == {None}
    assert {row.webhook_name for row in rows} == {webhook.name}
    assert sum(row.status == "succeeded" for row in rows) == len(inbox.deliveries)
    assert {row.outcome for row in rows} <= {"success", "cancelled"}
    assert not Invocation.objects.filter(status__in=["pending", "sending"]).exists()

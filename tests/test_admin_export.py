"""*Export* on the lists of the logs."""

from __future__ import annotations

import asyncio
import contextvars
import csv
import io
import json
import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import auditwebhooks
from auditwebhooks import extract
from auditwebhooks.admin.exporting import _apart
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

EVENTS = "/admin/auditwebhooks/event/"
INVOCATIONS = "/admin/auditwebhooks/invocation/"


def log_in(client: Client, *permissions: str) -> User:
    with auditwebhooks.paused():
        user = User.objects.create_user("-".join(permissions) or "staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
    return user


@pytest.fixture
def viewer(client: Client) -> User:
    return log_in(client, "view_event", "view_invocation", "see_payload")


def text_of(response: Any) -> str:
    assert response.status_code == 200
    assert response.streaming
    return b"".join(response.streaming_content).decode()


def csv_of(client: Client, url: str) -> list[dict[str, str]]:
    text = text_of(client.post(url)).removeprefix("\ufeff")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def json_of(client: Client, url: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(text_of(client.post(url)))
    return found


def notes() -> list[tuple[str, str | None, str]]:
    return list(LogEntry.objects.values_list("object_repr", "object_id", "change_message"))


def test_events_as_csv(client: Client, viewer: User) -> None:
    make_event(target_name="old")
    event = make_event(target_name="=cmd()", actor_name="Ada, the\nfirst")

    first, second = csv_of(client, f"{EVENTS}export/csv/")

    assert first == {
        "event_id": event.event_id,
        "event_type": "testapp.article.updated",
        "created_at": event.created_at.isoformat(),
        "action": "update",
        "actor_id": "ada@example.com",
        "actor_name": "Ada, the\nfirst",
        "actor_type": "user",
        "target_type": event.target_type,
        "target_id": event.target_id,
        "target_name": "'=cmd()",
        "source": "web application",
    }
    assert second["target_name"] == "old"
    assert notes() == [("event", None, "Exported as CSV: all.")]


def test_events_as_json_with_their_payload(client: Client, viewer: User) -> None:
    event = make_event(target_name="=cmd()")

    [row] = json_of(client, f"{EVENTS}export/json/")

    assert row["target_name"] == "=cmd()"
    assert row["payload"] == event.payload
    assert row["created_at"] == event.created_at.isoformat()


def test_invocations_as_csv_and_json(client: Client, viewer: User) -> None:
    row = make_invocation(
        make_webhook(name="SIEM"),
        status="failed",
        outcome="http_status",
        message="-1 is no status",
        response_status=404,
        request_headers={"Authorization": "***"},
        request_body='{"a": 1}',
        response_body="no",
        finished_at=timezone.now(),
    )
    make_invocation(make_webhook(), event=None, trigger="test")

    test, told = csv_of(client, f"{INVOCATIONS}export/csv/")
    assert (test["event_id"], test["trigger"], test["finished_at"]) == ("", "test", "")
    assert told["event_id"] == row.event.event_id  # type: ignore[union-attr]
    assert (told["webhook_name"], told["webhook"]) == ("SIEM", str(row.webhook_id))
    assert (told["response_status"], told["message"]) == ("404", "'-1 is no status")
    assert told["finished_at"] == row.finished_at.isoformat()  # type: ignore[union-attr]
    assert "request_body" not in told

    _test, whole = json_of(client, f"{INVOCATIONS}export/json/")
    assert whole["message"] == "-1 is no status"
    assert whole["request_headers"] == {"Authorization": "***"}
    assert (whole["request_body"], whole["response_body"]) == ('{"a": 1}', "no")


def test_what_the_list_shows_is_exported_and_nothing_else(client: Client, viewer: User) -> None:
    long_ago = timezone.now() - timedelta(days=3)
    for name in ("a", "b"):
        make_event(target_name=name, source="Terraform", target_id="7")
        make_event(target_name=name, source="Terraform", target_id="7", created_at=long_ago)
        make_event(target_name="other", target_id="7")
        make_event(target_name="other", source="Terraform")

    query = "?source=Terraform&span=24h&q=7"
    rows = csv_of(client, f"{EVENTS}export/csv/{query}&p=1")

    assert [row["target_name"] for row in rows] == ["b", "a"]
    shown = client.get(EVENTS + query).context["cl"].result_list
    assert [row["event_id"] for row in rows] == [event.event_id for event in shown]
    assert notes()[0][2] == "Exported as CSV: source=Terraform&span=24h&q=7."


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_selected_rows_or_all_that_match(client: Client, viewer: User, kind: str) -> None:
    events = [make_event(target_name=f"No. {number}") for number in range(3)]
    data = {"action": f"export_{kind}", "_selected_action": [one.pk for one in events[1:]]}

    text = text_of(client.post(EVENTS, data))
    assert ["No. 0" in text, "No. 1" in text, "No. 2" in text] == [False, True, True]
    assert notes()[0][2] == f"Exported as {kind.upper()}: 2 selected."

    text = text_of(client.post(f"{EVENTS}?span=7d", {**data, "select_across": 1, "index": 0}))
    assert "No. 0" in text
    assert notes()[0][2] == f"Exported as {kind.upper()}: span=7d."


@pytest.mark.parametrize("url", [EVENTS, INVOCATIONS])
def test_the_list_has_buttons_that_export_what_it_shows(
    client: Client, viewer: User, url: str
) -> None:
    page = client.get(f"{url}?p=1&span=7d&q=x").content.decode()

    for kind in ("csv", "json"):
        assert f'action="{url}export/{kind}/?q=x&amp;span=7d"' in page
        assert f'<option value="export_{kind}">' in page
    assert "export/" not in client.get(f"{url}?_popup=1").content.decode()


def test_the_file_has_a_name_with_the_date_and_is_not_looked_at(
    client: Client, viewer: User, settings: Any
) -> None:
    settings.TIME_ZONE = "Pacific/Kiritimati"
    response = client.post(f"{EVENTS}export/csv/")

    today = timezone.localdate().isoformat()
    disposition = response["Content-Disposition"]
    assert re.fullmatch(rf'attachment; filename="audit-events-{today}-\d{{6}}\.csv"', disposition)
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "no-store" in response["Cache-Control"]


def test_it_needs_the_permission_to_view(client: Client) -> None:
    log_in(client, "view_invocation", "view_webhook")

    assert client.post(f"{EVENTS}export/csv/").status_code == 403
    assert client.post(f"{INVOCATIONS}export/csv/").status_code == 200
    client.logout()
    assert client.post(f"{INVOCATIONS}export/csv/").status_code == 302
    assert LogEntry.objects.count() == 1


def test_payloads_and_bodies_are_exported_for_those_who_may_see_them(client: Client) -> None:
    log_in(client, "view_event", "view_invocation")
    row = make_invocation(make_webhook(), request_body="sent", response_body="came")
    with CaptureQueriesContext(connection) as queries:
        event, *_others = json_of(client, f"{EVENTS}export/json/")
        [told] = json_of(client, f"{INVOCATIONS}export/json/")

    assert event["event_id"] == row.event.event_id  # type: ignore[union-attr]
    assert "payload" not in event
    assert told["request_headers"] == {}
    assert {"request_body", "response_body"}.isdisjoint(told)
    assert not any("payload_text" in one["sql"] for one in queries.captured_queries)
    assert not any("_body" in one["sql"] for one in queries.captured_queries)


def test_looking_exports_nothing(client: Client, viewer: User) -> None:
    assert client.get(f"{EVENTS}export/csv/").status_code == 405
    assert client.post(f"{EVENTS}export/xml/").status_code == 404
    assert notes() == []


def test_it_is_for_the_operators_own_pages_only(viewer: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(viewer)

    assert client.post(f"{EVENTS}export/csv/").status_code == 403


@pytest.mark.parametrize("query", ["since=soon", "span=1y", "nonsense=1", "q=%00"])
def test_a_query_that_cannot_be_leads_back(client: Client, viewer: User, query: str) -> None:
    response = client.post(f"{EVENTS}export/csv/?{query}")

    assert (response.status_code, response["Location"]) == (302, EVENTS)
    assert notes() == []


def test_a_note_holds_whatever_the_url_has(client: Client, viewer: User) -> None:
    response = client.post(f"{EVENTS}export/csv/?target_model=a.b&target_id=%00")

    assert response.status_code == 200
    [(_model, _id, told)] = notes()
    assert told == "Exported as CSV: target_model=a.b&target_id=\ufffd."


def test_it_is_sent_while_it_is_read(
    client: Client, viewer: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extract, "PAGE", 2)
    for _number in range(6):
        make_event()
    response: Any = client.post(f"{EVENTS}export/csv/")
    parts = iter(response.streaming_content)

    with CaptureQueriesContext(connection) as queries:
        next(parts)
        assert len(queries) == 0
        next(parts)
        assert len(queries) == 1
        next(parts)
        assert len(queries) == 2


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_page_takes_the_same_statements_for_any_number_of_rows(
    client: Client, viewer: User, kind: str
) -> None:
    counted = []
    # Content types are looked up once.
    text_of(client.post(f"{INVOCATIONS}export/{kind}/"))
    for more in (3, 40):
        webhook = make_webhook()
        for _number in range(more):
            make_invocation(webhook)
        with CaptureQueriesContext(connection) as queries:
            text_of(client.post(f"{INVOCATIONS}export/{kind}/"))
        counted.append(len(queries))

    assert counted[0] == counted[1] <= 15


def test_under_asgi_it_is_sent_a_part_at_a_time() -> None:
    taken: list[int] = []

    def parts() -> Any:
        for number in range(3):
            taken.append(number)
            yield b"%d" % number

    async def take() -> None:
        stream = _apart(parts())
        assert await anext(stream) == b"0"
        assert taken == [0]
        assert [part async for part in stream] == [b"1", b"2"]

    # In a context of its own, as a request has one under ASGI.
    contextvars.Context().run(asyncio.run, take())

"""The REST API: webhooks, their test, and the logs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from auditwebhooks.api.serializers import WebhookSerializer
from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
from auditwebhooks.payload import DEFAULT_TEMPLATE
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import SECRET, make_event, make_invocation, make_webhook, someone

pytestmark = pytest.mark.django_db

WEBHOOKS = "/api/audit/webhooks/"
SLACK = "https://hooks.example.com/services/T0/B0/canary?a=1"


@pytest.fixture
def editor() -> APIClient:
    return someone(
        "view_webhook", "add_webhook", "change_webhook", "delete_webhook", "test_webhook"
    )


def values(**overrides: Any) -> dict[str, Any]:
    return {"name": "SIEM", "url": "https://hooks.example.com/in", **overrides}


def test_a_webhook_is_made_with_defaults(editor: APIClient) -> None:
    answer = editor.post(WEBHOOKS, values(), format="json")

    assert answer.status_code == 201, answer.json()
    made = answer.json()
    assert made["id"] == str(Webhook.objects.get().pk)
    assert made["active"] is True
    assert made["type"] == "http"
    assert made["method"] == "POST"
    assert made["body_template"] == DEFAULT_TEMPLATE
    assert made["headers"] == {}
    assert made["response_validators"] == []
    assert made["signing_secret"] == ""
    assert made["last_success_at"] is None
    assert made["consecutive_failures"] == 0


def test_a_new_webhook_says_where_it_is_and_not_where_it_sends(editor: APIClient) -> None:
    answer = editor.post(
        WEBHOOKS, values(url="https://hooks.example.com/T0/secret"), format="json"
    )

    assert answer.headers["Location"] == f"http://testserver{WEBHOOKS}{answer.json()['id']}/"
    assert editor.get(answer.headers["Location"]).status_code == 200


def test_secrets_are_written_and_never_read(editor: APIClient) -> None:
    answer = editor.post(
        WEBHOOKS,
        values(headers={"Authorization": "Bearer canary"}, signing_secret=SECRET),
        format="json",
    )

    assert answer.json()["headers"] == {"Authorization": "***"}
    assert answer.json()["signing_secret"] == "***"
    assert Webhook.objects.get().revealed_headers() == {"Authorization": "Bearer canary"}
    for url in (WEBHOOKS, f"{WEBHOOKS}{answer.json()['id']}/"):
        assert "canary" not in editor.get(url).content.decode()


EVERY_FIELD = {
    "name": "Größe_1 - ß",
    "active": False,
    "method": "PATCH",
    "url": "https://hooks.example.com/T0/canary?token=canary&a=%2F",
    "body_template": '{ "a" :\n "{{event_id}}" }',
    "headers": {"Authorization": "Bearer canary", "X-Team": "canary"},
    "timeout_in_sec": 7,
    "response_validators": [
        {"json_path": "$.data.ok", "expected_values": ["true", "1"]},
        {"json_path": "$.data.items[*].state", "expected_values": ["done"]},
    ],
    "event_types": ["testapp.*", "*.deleted"],
    "signing_secret": SECRET,
    "max_attempts": 3,
    "retry_on_validation": True,
    "max_per_minute": 60,
}


def row_of(webhook: Webhook) -> dict[str, Any]:
    """With what is stored in place of headers and secrets. The text of a URL is sealed anew each
    time."""
    texts = {one.name: one.value_to_string(webhook) for one in Webhook._meta.concrete_fields}
    return {**texts, "url": webhook.url}


def test_every_field_that_can_be_written_is_tried() -> None:
    fields = WebhookSerializer().fields.values()
    assert {one.field_name for one in fields if not one.read_only} == {*EVERY_FIELD, "type"}


@pytest.mark.parametrize("field", [None, "every", *EVERY_FIELD])
@pytest.mark.parametrize("method", ["put", "patch"])
def test_sending_back_what_was_read_changes_nothing(
    editor: APIClient, field: str | None, method: str
) -> None:
    given = {None: {}, "every": EVERY_FIELD}.get(field) or {field: EVERY_FIELD.get(str(field))}
    made = editor.post(WEBHOOKS, values(**(given if field else {})), format="json").json()
    url = f"{WEBHOOKS}{made['id']}/"
    read = editor.get(url)
    webhook = Webhook.objects.get()
    WebhookHealth.objects.create(
        webhook=webhook,
        paused_until=timezone.now() + timedelta(hours=1),
        paused_configuration=webhook.updated_at,
        pause_reason="breaker",
    )
    before, events = row_of(Webhook.objects.get()), Event.objects.count()

    answer = getattr(editor, method)(url, read.json(), format="json")

    assert answer.status_code == 200, answer.json()
    assert row_of(Webhook.objects.get()) == before
    assert Event.objects.count() == events
    assert Webhook.objects.get().paused_until is not None
    assert {**answer.json(), "paused_until": None} == read.json()
    assert answer.headers["ETag"].partition("-")[0] == read.headers["ETag"].partition("-")[0]


@pytest.mark.parametrize("field", [*EVERY_FIELD])
def test_one_other_value_is_a_change(editor: APIClient, field: str) -> None:
    made = editor.post(WEBHOOKS, values(), format="json").json()
    url = f"{WEBHOOKS}{made['id']}/"
    before = row_of(Webhook.objects.get())

    answer = editor.put(url, {**made, field: EVERY_FIELD[field]}, format="json")

    assert answer.status_code == 200, answer.json()
    after = row_of(Webhook.objects.get())
    changed = {name for name in before if before[name] != after[name]}
    assert changed - {"name_key", "active_periods"} == {field, "updated_at"}


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"name": "a/b"}, "name", "Take out"),
        ({"url": "http://hooks.example.com/"}, "url", "must start with https://"),
        ({"method": "TRACE"}, "method", "not a valid choice"),
        ({"body_template": '{"a": {{event_id}}}'}, "body_template", "in quotes"),
        ({"headers": {"Host": "x"}}, "headers", "set by the delivery itself"),
        ({"headers": {"A": "***"}}, "headers", "no stored value"),
        ({"headers": ["A"]}, "headers", "dictionary"),
        ({"timeout_in_sec": 61}, "timeout_in_sec", "1 to 60 seconds"),
        ({"timeout_in_sec": -1}, "timeout_in_sec", "1 to 60 seconds"),
        ({"timeout_in_sec": 10**30}, "timeout_in_sec", "1 to 60 seconds"),
        ({"max_per_minute": -1}, "max_per_minute", "1 or more"),
        ({"max_per_minute": 10**30}, "max_per_minute", "less than or equal"),
        ({"timeout_in_sec": "soon"}, "timeout_in_sec", "integer"),
        ({"timeout_in_sec": "7"}, "timeout_in_sec", "integer"),
        ({"timeout_in_sec": True}, "timeout_in_sec", "integer"),
        ({"name": 5}, "name", "string"),
        ({"url": 5}, "url", "string"),
        ({"body_template": 1.5}, "body_template", "string"),
        ({"signing_secret": 0}, "signing_secret", "string"),
        ({"active": 1}, "active", "boolean"),
        ({"active": "yes"}, "active", "boolean"),
        ({"retry_on_validation": "off"}, "retry_on_validation", "boolean"),
        (
            {"response_validators": [{"json_path": "$.a", "expected_values": []}]},
            "response_validators",
            "at least one expected value",
        ),
        ({"event_types": ["a b"]}, "event_types", "no event type"),
        ({"signing_secret": "hunter2"}, "signing_secret", "starts with"),
        ({"max_attempts": 12}, "max_attempts", "1 to 11"),
        ({"colour": "red"}, "colour", "no such field"),
    ],
)
def test_a_bad_value_is_answered_with_its_field(
    editor: APIClient, given: dict[str, Any], field: str, words: str
) -> None:
    answer = editor.post(WEBHOOKS, values(**given), format="json")

    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert words in " ".join(answer.json()[field])
    assert not Webhook.objects.exists()


def test_a_refused_change_changes_nothing(editor: APIClient) -> None:
    webhook = make_webhook(name="SIEM", headers={"A": "canary"})
    answer = editor.patch(
        f"{WEBHOOKS}{webhook.pk}/",
        {"name": "New", "url": "https://other.example.com/"},
        format="json",
    )

    assert answer.status_code == 400
    assert list(answer.json()) == ["headers"]
    webhook.refresh_from_db()
    assert (webhook.name, webhook.url) == ("SIEM", "https://hooks.example.com/in")


def test_read_only_fields_are_ignored(editor: APIClient) -> None:
    webhook = make_webhook()
    answer = editor.patch(
        f"{WEBHOOKS}{webhook.pk}/",
        {"id": "x", "consecutive_failures": 9, "active": False},
        format="json",
    )

    assert answer.status_code == 200
    assert answer.json()["active"] is False
    assert answer.json()["consecutive_failures"] == 0


def test_the_user_of_the_api_is_the_actor_of_the_change(editor: APIClient) -> None:
    editor.post(WEBHOOKS, values(), format="json")

    event = Event.objects.get(event_type="auditwebhooks.webhook.created")
    assert event.actor_type == "user"
    assert event.source == "API"


def test_values_are_tested_without_saving(editor: APIClient, inbox: Inbox) -> None:
    answer = editor.post(
        f"{WEBHOOKS}test/",
        values(url=inbox.url, headers={"Authorization": "Bearer canary"}),
        format="json",
    )

    assert answer.status_code == 200, answer.json()
    assert answer.json()["result"] == "Test successful"
    invocation = answer.json()["invocation"]
    assert (invocation["trigger"], invocation["status"]) == ("test", "succeeded")
    assert invocation["request_headers"]["Authorization"] == "***"
    assert inbox.deliveries[0].headers["Authorization"] == "Bearer canary"
    assert not Webhook.objects.exists()
    assert not Invocation.objects.exists()


def test_a_saved_webhook_is_tested_with_values_over_the_saved_ones(
    editor: APIClient, inbox: Inbox
) -> None:
    webhook = make_webhook(url=inbox.url + "saved", headers={"A": "stored"})
    inbox.answers = [Answer(), Answer(status=500)]
    url = f"{WEBHOOKS}{webhook.pk}/test/"

    assert editor.post(url).json()["result"] == "Test successful"
    typed = editor.post(url, {"url": inbox.url + "typed"}, format="json").json()
    assert typed["result"] == "Test failed"

    assert [one.path for one in inbox.deliveries] == ["/saved", "/typed"]
    assert inbox.deliveries[1].headers["A"] == "stored"
    assert Webhook.objects.get().url.endswith("saved")
    assert Invocation.objects.filter(trigger="test").count() == 2


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        ((), [403, 403, 403, 403, 403, 403]),
        (("view_webhook",), [200, 200, 403, 403, 403, 403]),
        (("view_webhook", "test_webhook"), [200, 200, 403, 403, 403, 200]),
        (("add_webhook", "test_webhook"), [403, 403, 201, 403, 200, 200]),
        (("change_webhook",), [403, 403, 403, 200, 403, 403]),
    ],
)
def test_who_may_do_what(permissions: tuple[str, ...], expected: list[int], inbox: Inbox) -> None:
    client = someone(*permissions)
    webhook = make_webhook(url=inbox.url)
    one = f"{WEBHOOKS}{webhook.pk}/"
    answers = [
        client.get(WEBHOOKS),
        client.get(one),
        client.post(WEBHOOKS, values(), format="json"),
        client.patch(one, {"active": True}, format="json"),
        client.post(f"{WEBHOOKS}test/", values(name="x", url=inbox.url), format="json"),
        client.post(f"{one}test/"),
    ]

    assert [answer.status_code for answer in answers] == expected


def test_other_values_for_a_saved_webhook_take_the_right_to_change_it(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    client = someone("test_webhook")
    url = f"{WEBHOOKS}{webhook.pk}/test/"

    assert client.post(url, {"method": "PUT"}, format="json").status_code == 403
    assert inbox.deliveries == []


def test_without_a_login_nothing_is_answered() -> None:
    for url in (WEBHOOKS, "/api/audit/events/", "/api/audit/invocations/"):
        assert APIClient().get(url).status_code in (401, 403)


def test_a_viewer_does_not_see_the_path_of_the_url() -> None:
    webhook = make_webhook(url="https://hooks.example.com/T0/canary")
    url = f"{WEBHOOKS}{webhook.pk}/"

    assert "canary" not in someone("view_webhook").get(url).content.decode()
    assert "canary" in someone("view_webhook", "change_webhook").get(url).content.decode()


def test_a_list_has_no_path_of_a_url_and_can_be_sent_back(editor: APIClient) -> None:
    made = editor.post(WEBHOOKS, values(url=SLACK), format="json").json()
    assert made["url"] == SLACK
    one = f"{WEBHOOKS}{made['id']}/"
    [listed] = editor.get(WEBHOOKS).json()["results"]
    assert listed == {**made, "url": "https://hooks.example.com/***"}
    before = row_of(Webhook.objects.get())

    for answer in (
        editor.put(one, listed, format="json"),
        editor.patch(one, {"url": listed["url"]}, format="json"),
    ):
        assert (answer.status_code, answer.json()["url"]) == (200, SLACK)
    assert row_of(Webhook.objects.get()) == before


def test_a_url_as_it_is_told_to_others_stands_for_the_stored_one_alone(editor: APIClient) -> None:
    made = editor.post(WEBHOOKS, values(url=SLACK), format="json").json()
    masked = {"url": ["Type the whole URL: *** stands for a path that is not shown here."]}

    new = values(name="Other", url="https://hooks.example.com/***")
    answer = editor.post(WEBHOOKS, new, format="json")
    assert (answer.status_code, answer.json()) == (400, masked)
    for other in ("https://other.example.com/***", "https://hooks.example.com/***?a=1"):
        answer = editor.patch(f"{WEBHOOKS}{made['id']}/", {"url": other}, format="json")
        assert (answer.status_code, answer.json()) == (400, masked)


def test_a_test_with_the_url_as_a_list_tells_it_calls_the_stored_one(
    editor: APIClient, inbox: Inbox
) -> None:
    webhook = make_webhook(url=f"{inbox.url}canary?a=1")
    url = f"{WEBHOOKS}{webhook.pk}/test/"

    answer = editor.post(url, {"url": webhook.masked_url}, format="json")

    assert answer.json()["result"] == "Test successful"
    assert [delivery.path for delivery in inbox.deliveries] == ["/canary?a=1"]


def test_logs_are_listed_newest_first_and_filtered() -> None:
    client = someone("view_event", "view_invocation", "see_payload")
    first, second = make_event(action="first"), make_event(action="second")
    webhook = make_webhook()
    make_invocation(webhook, event=first, status="failed")
    make_invocation(webhook, event=second)
    own = "?event_type=testapp.article.updated"

    listed = client.get(f"/api/audit/events/{own}").json()["results"]
    assert [one["action"] for one in listed] == ["second", "first"]
    assert listed[0]["payload"] == second.payload
    found = client.get("/api/audit/events/?action=first").json()["results"]
    assert [one["event_id"] for one in found] == [first.event_id]
    failed = client.get("/api/audit/invocations/?status=failed").json()["results"]
    assert [one["event"] for one in failed] == [first.pk]


def test_pages_are_followed_by_cursor() -> None:
    client = someone("view_event")
    for number in range(5):
        make_event(action=str(number))

    seen: list[str] = []
    url = "/api/audit/events/?page_size=2&event_type=testapp.article.updated"
    while url:
        page = client.get(url).json()
        seen += [one["action"] for one in page["results"]]
        url = page["next"]

    assert seen == ["4", "3", "2", "1", "0"]


def test_single_rows_are_found_and_cannot_be_written() -> None:
    client = someone("view_event", "view_invocation", "change_webhook")
    invocation = make_invocation(make_webhook())
    event = f"/api/audit/events/{invocation.event.event_id}/"
    one = f"/api/audit/invocations/{invocation.pk}/"

    assert client.get(event).json()["id"] == invocation.event_id
    assert client.get(one).json()["webhook_name"] == invocation.webhook_name
    for url in (event, one):
        assert client.delete(url).status_code in (403, 405)
        assert client.put(url, {}).status_code in (403, 405)


@pytest.mark.parametrize("kind", ["webhooks", "invocations", "events"])
def test_a_parameter_that_a_list_does_not_know_is_refused(kind: str) -> None:
    client = someone(f"view_{kind.removesuffix('s')}")
    answer = client.get(f"/api/audit/{kind}/?colour=red&staus=failed&page_size=1")

    assert answer.status_code == 400
    assert set(answer.json()) == {"colour", "staus"}
    [reason] = answer.json()["staus"]
    assert "no such parameter" in reason
    assert {"webhooks": "active", "invocations": "status", "events": "actor_id"}[kind] in reason
    assert "cursor" in reason


def test_a_list_of_replays_refuses_it_too() -> None:
    webhook = make_webhook()
    url = f"{WEBHOOKS}{webhook.pk}/replay/"
    client = someone("view_webhook", "view_replay")

    assert client.get(f"{url}?page_size=1").status_code == 200
    assert client.get(f"{url}?status=running").status_code == 400


def test_every_filter_that_is_told_works() -> None:
    client = someone("view_webhook", "view_invocation", "view_event")
    invocation = make_invocation(
        make_webhook(),
        status="failed",
        response_status=500,
        outcome="http_status",
        finished_at=timezone.now(),
    )
    for kind in ("webhooks", "invocations", "events"):
        [reason] = client.get(f"/api/audit/{kind}/?x=").json()["x"]
        [shown] = [
            one
            for one in client.get(f"/api/audit/{kind}/").json()["results"]
            if one.get("event_id") in (None, invocation.event.event_id)
        ]
        names = set(reason.removesuffix(".").split("Known: ")[1].split(", "))
        for name in names - {"cursor", "include", "ordering", "page_size"}:
            value = shown[name.partition("__")[0]]
            value = str(value).lower() if isinstance(value, bool) else value
            answer = client.get(f"/api/audit/{kind}/", {name: value})
            assert answer.status_code == 200, (name, answer.json())
            found = [one["id"] for one in answer.json()["results"]]
            assert (shown["id"] in found) is not name.endswith("__lt"), name
    assert client.get("/api/audit/events/?format=json").status_code == 200


@pytest.mark.parametrize("kind", ["webhooks", "invocations", "events"])
def test_a_parameter_that_says_nothing_or_too_much_is_refused(kind: str) -> None:
    """It would be left out of account, and the list tell everything."""
    client = someone(f"view_{kind.removesuffix('s')}")
    [reason] = client.get(f"/api/audit/{kind}/?x=").json()["x"]
    for name in reason.removesuffix(".").split("Known: ")[1].split(", "):
        for query in (f"{name}=", f"{name}=1&{name}=2", f"{name}=%00"):
            answer = client.get(f"/api/audit/{kind}/?{query}")
            assert (answer.status_code, list(answer.json())) == (400, [name]), query


def test_the_event_of_an_invocation_is_found_by_its_number() -> None:
    client = someone("view_invocation", "view_event")
    invocation = make_invocation(make_webhook())
    make_event()
    told = client.get(f"/api/audit/invocations/{invocation.pk}/").json()["event"]

    [found] = client.get("/api/audit/events/", {"id": told}).json()["results"]
    assert found["event_id"] == invocation.event.event_id
    [again] = client.get("/api/audit/events/", {"event_id": found["event_id"]}).json()["results"]
    assert again == found
    assert client.get("/api/audit/events/", {"id": "9" * 30}).json()["results"] == []
    assert client.get("/api/audit/events/", {"id": "1.5"}).status_code == 400


def test_the_page_for_people_lists_no_events_to_choose_from() -> None:
    """As options of a filter they were all that were ever recorded."""
    client = someone("view_invocation")
    webhook = make_webhook(name="Hidden SIEM")
    make_invocation(webhook, event=make_event(target_name="Secret project"))
    url = "/api/audit/invocations/?page_size=1"
    client.get(url, HTTP_ACCEPT="text/html")
    with CaptureQueriesContext(connection) as queries:
        page = client.get(f"{url}&webhook={webhook.pk}", HTTP_ACCEPT="text/html")

    assert page.headers["Content-Type"].startswith("text/html")
    assert f'value="{webhook.pk}"' in page.content.decode()
    assert "Secret project" not in page.content.decode()
    assert not any("event_type" in one["sql"] for one in queries.captured_queries)


@pytest.mark.parametrize("value", ["maybe", "1", "null", "TRUE"])
def test_a_flag_is_true_or_false(value: str) -> None:
    client = someone("view_webhook")
    webhook = make_webhook(active=False)

    assert client.get(f"{WEBHOOKS}?active={value}").json() == {"active": ["Enter true or false."]}
    assert client.get(f"{WEBHOOKS}?active=true").json()["results"] == []
    [found] = client.get(f"{WEBHOOKS}?active=false").json()["results"]
    assert found["id"] == str(webhook.pk)


def test_a_webhook_is_found_by_its_name_in_any_case() -> None:
    webhook = make_webhook(name="Größe SIEM")
    make_webhook()

    [found] = someone("view_webhook").get(WEBHOOKS, {"name": "GRÖSSE siem"}).json()["results"]
    assert found["id"] == str(webhook.pk)


def test_a_list_of_invocations_has_bodies_when_it_is_asked_for_them() -> None:
    client = someone("view_invocation", "see_payload")
    row = make_invocation(make_webhook(), request_body="sent", response_body="came")
    url = "/api/audit/invocations/"

    with CaptureQueriesContext(connection) as queries:
        [listed] = client.get(url).json()["results"]
    assert "request_body" not in listed
    assert "response_body" not in listed
    assert not any("_body" in one["sql"] for one in queries.captured_queries)
    [whole] = client.get(f"{url}?include=body").json()["results"]
    assert (whole["request_body"], whole["response_body"]) == ("sent", "came")
    assert client.get(f"{url}{row.pk}/").json() == whole
    assert client.get(f"{url}?include=payload").json() == {
        "include": ["Only body can be included."]
    }

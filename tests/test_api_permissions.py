"""Who may do what in the API, as one table, and what each of them sees."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.signals import got_request_exception
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern
from django.utils import timezone
from django.views.debug import ExceptionReporter
from rest_framework.test import APIClient

from auditwebhooks import signing
from auditwebhooks.api import urls
from auditwebhooks.models import Event, Invocation, Replay, Webhook
from tests.conftest import Inbox
from tests.factories import SECRET, make_event, make_invocation, make_webhook, someone
from tests.test_canary import repeat

pytestmark = pytest.mark.django_db

ROLES: dict[str, tuple[str, ...] | None] = {
    "anonymous": None,
    "nobody": (),
    "viewer": ("view_webhook", "view_invocation", "view_event", "view_replay", "see_payload"),
    # Sees who changed which object when, and how its deliveries went.
    "watcher": ("view_webhook", "view_invocation", "view_event", "view_replay"),
    "editor": ("view_webhook", "add_webhook", "change_webhook"),
    "tester": ("view_webhook", "test_webhook"),
    "resender": ("view_invocation", "resend_invocation"),
    "deleter": ("view_webhook", "delete_webhook"),
    "all": (
        *("view_webhook", "add_webhook", "change_webhook", "delete_webhook", "test_webhook"),
        *("view_invocation", "resend_invocation", "view_event", "view_replay", "see_payload"),
    ),
}

# Every route and method; for each role the status, "-" for 401 or 403.
TABLE = """
                               anonymous nobody viewer watcher editor tester resender deleter all
GET    webhooks-list                   -      -    200     200    200    200        -     200 200
POST   webhooks-list                   -      -      -       -    201      -        -       - 201
GET    webhooks-detail                 -      -    200     200    200    200        -     200 200
PUT    webhooks-detail                 -      -      -       -    200      -        -       - 200
PATCH  webhooks-detail                 -      -      -       -    200      -        -       - 200
DELETE webhooks-detail                 -      -      -       -      -      -        -     204 204
POST   webhooks-test-values            -      -      -       -      -      -        -       - 200
POST   webhooks-test-saved             -      -      -       -      -    200        -       - 200
POST   webhooks-rotate-secret          -      -      -       -    200      -        -       - 200
GET    webhooks-stats                  -      -    200     200    200    200        -     200 200
GET    webhooks-replays                -      -    200     200      -      -      200       - 200
POST   webhooks-replays                -      -      -       -      -      -      202       - 202
POST   webhooks-cancel-replay          -      -      -       -      -      -      200       - 200
GET    invocations-list                -      -    200     200      -      -      200       - 200
GET    invocations-detail              -      -    200     200      -      -      200       - 200
POST   invocations-send-again          -      -      -       -      -      -      201       - 201
GET    events-list                     -      -    200     200      -      -        -       - 200
GET    events-detail                   -      -    200     200      -      -        -       - 200
GET    event-types                     -      -    200     200    200    200        -     200 200
GET    payload-schema                  -      -    200     200    200    200        -     200 200
GET    schema                          -      -    200     200    200    200      200     200 200
GET    api-root                        -      -    200     200    200    200      200     200 200
"""

NAMES = {"webhook": "webhooks", "invocation": "invocations", "event": "events"}


def rows() -> Iterator[tuple[str, str, dict[str, str]]]:
    head, *lines = TABLE.strip().splitlines()
    for line in lines:
        method, name, *cells = line.split()
        yield method, name, dict(zip(head.split(), cells, strict=True))


CELLS = [
    pytest.param(method, name, role, code, id=f"{method} {name} {role}")
    for method, name, cells in rows()
    for role, code in cells.items()
]


def routes() -> dict[str, tuple[str, set[str]]]:
    """Name of a route as the table has it -> its path and methods."""
    found = {}
    for one in urls.urlpatterns:
        assert isinstance(one, URLPattern)
        assert one.name is not None
        model, _dash, rest = one.name.partition("-")
        name = f"{NAMES[model]}-{rest}" if model in NAMES and rest != "types" else one.name
        actions = getattr(one.callback, "actions", None)
        methods = set(actions) if actions else {"get"}
        found[name] = (str(one.pattern), {method.upper() for method in methods} - {"HEAD"})
    return found


class Place:
    """Rows that all the routes are about, with a canary in each secret."""

    def __init__(self, receiver: str) -> None:
        self.webhook = make_webhook(
            url=f"{receiver}canary-path?token=canary-query",
            headers={"Authorization": "Bearer canary-header"},
            signing_secret=SECRET,
        )
        self.event = make_event(fanned_out_at=timezone.now())
        self.invocation = make_invocation(self.webhook, event=self.event, status="failed")
        self.replay = Replay.objects.create(
            webhook=self.webhook,
            webhook_name=self.webhook.name,
            since=timezone.now(),
            until=timezone.now(),
        )
        self.receiver = receiver

    def url(self, name: str) -> str:
        path, _methods = routes()[name]
        for pattern, value in (
            ("(?P<replay_id>[^/.]+)", self.replay.pk),
            ("(?P<event_id>[^/.]+)", self.event.event_id),
            ("(?P<pk>[^/.]+)", self.invocation.pk if "invoc" in name else self.webhook.pk),
        ):
            path = path.replace(pattern, str(value))
        return f"/api/audit/{path.removeprefix('^').removesuffix('$')}"

    def body(self, method: str, name: str) -> Any:
        values = {"name": "New", "url": self.receiver}
        since = (timezone.now() - timedelta(hours=1)).isoformat()
        return {
            "POST webhooks-list": values,
            "PUT webhooks-detail": {**values, "headers": {}, "signing_secret": ""},
            "PATCH webhooks-detail": {"active": False},
            "POST webhooks-test-values": values,
            "POST webhooks-replays": {"since": since},
        }.get(f"{method} {name}")


@pytest.fixture
def place(inbox: Inbox) -> Place:
    inbox.answer = repeat
    return Place(inbox.url)


def client_of(role: str) -> APIClient:
    permissions = ROLES[role]
    return APIClient() if permissions is None else someone(*permissions)


def ask(client: APIClient, place: Place, method: str, name: str) -> Any:
    body = place.body(method, name)
    return client.generic(
        method,
        place.url(name),
        b"" if body is None else json.dumps(body).encode(),
        content_type="application/json",
    )


def test_the_table_has_every_route() -> None:
    told: dict[str, set[str]] = {}
    for method, name, cells in rows():
        told.setdefault(name, set()).add(method)
        assert list(cells) == list(ROLES)
    assert told == {name: methods for name, (_path, methods) in routes().items()}


@pytest.mark.parametrize(("method", "name", "role", "code"), CELLS)
def test_who_may_do_what(place: Place, method: str, name: str, role: str, code: str) -> None:
    if name == "schema":
        pytest.importorskip("drf_spectacular", reason="drf-spectacular is missing")
    client = client_of(role)
    before = stored()

    answer = ask(client, place, method, name)

    assert answer.status_code in ({401, 403} if code == "-" else {int(code)}), answer.content
    if code == "-":
        assert b"detail" in answer.content
        assert stored() == before
    if method == "GET":
        assert client.head(place.url(name)).status_code == answer.status_code
    refused = client.options(place.url(name)).status_code
    assert refused in (200, 401, 403)
    if role in ("anonymous", "nobody"):
        assert refused != 200


def stored() -> list[Any]:
    """What a refused request may not change."""
    models = (Webhook, Invocation, Replay, Event)
    return [list(model._base_manager.order_by("pk").values()) for model in models]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("name", "path"), [(name, path) for name, (path, _) in routes().items()])
def test_no_other_method_is_served(place: Place, role: str, name: str, path: str) -> None:
    client = client_of(role)
    before = stored()
    _path, methods = routes()[name]
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT"} - methods:
        answer = client.generic(method, place.url(name))
        assert answer.status_code in (401, 403, 405), (method, answer.content)
    assert stored() == before


# --- what each sees -----------------------------------------------------------------------

SECRETS = ["canary-header", SECRET, SECRET.removeprefix("whsec_")]
OF_URL = ["canary-path", "canary-query"]


def leaks(text: str) -> list[str]:
    return [one for one in (*SECRETS, *OF_URL) if one in text]


@pytest.mark.parametrize("role", ROLES)
def test_what_each_reads_of_secrets(place: Place, role: str) -> None:
    """In every route that can be read, after a test whose receiver repeats all it gets, and a
    change: only who may change a webhook sees its path and query, and only in its own page."""
    tested = ask(someone("test_webhook"), place, "POST", "webhooks-test-saved")
    assert tested.status_code == 200
    place.webhook.name = "Changed"
    place.webhook.save()
    place.invocation = Invocation.objects.get(trigger="test")
    place.event = Event.objects.get(event_type="auditwebhooks.webhook.updated")
    client = client_of(role)
    may_change = "change_webhook" in (ROLES[role] or ())

    for method, name, cells in rows():
        if method != "GET" or cells[role] == "-" or name == "schema":
            continue
        has_bodies = name == "invocations-list" and "see_payload" in (ROLES[role] or ())
        queries = ["", "?include=body"] if has_bodies else [""]
        for query in queries:
            answer = client.get(place.url(name) + query)
            assert answer.status_code == 200, (name, answer.content)
            told = answer.content.decode() + str(answer.headers)
            whole = may_change and name == "webhooks-detail"
            assert leaks(told) == (OF_URL if whole else []), name


FIELDS = {
    "url": (
        "https://127.0.0.1:{port}/***",
        "https://127.0.0.1:{port}/canary-path?token=canary-query",
    ),
    "headers": ({"Authorization": "***"},) * 2,
    "signing_secret": ("***",) * 2,
}


@pytest.mark.parametrize("role", ["viewer", "editor", "tester", "deleter", "all"])
@pytest.mark.parametrize("field", FIELDS)
def test_each_field_as_each_role_reads_it(place: Place, role: str, field: str) -> None:
    may_change = "change_webhook" in (ROLES[role] or ())
    masked, whole = FIELDS[field]
    port = place.receiver.rstrip("/").rpartition(":")[2]
    client = client_of(role)

    [listed] = client.get(place.url("webhooks-list")).json()["results"]
    assert listed[field] == of(port, masked)
    one = client.get(place.url("webhooks-detail")).json()
    assert one[field] == of(port, whole if may_change else masked)


def of(port: str, told: Any) -> Any:
    return told.format(port=port) if isinstance(told, str) else told


def test_who_makes_a_webhook_without_the_right_to_change_it_sees_no_path(place: Place) -> None:
    values = {
        "name": "New",
        "url": f"{place.receiver}canary-path",
        "headers": {"A": "canary-header"},
    }
    answer = someone("add_webhook").post(place.url("webhooks-list"), values, format="json")

    assert answer.status_code == 201
    assert leaks(answer.content.decode()) == []


PAYLOAD = {"payload", "request_body", "response_body"}


@pytest.mark.parametrize("role", ["viewer", "watcher", "all"])
def test_payloads_and_bodies_take_a_permission_of_their_own(place: Place, role: str) -> None:
    """Whoever has it not gets neither the fields nor a query that reads them."""
    place.invocation.request_body = "canary-body"
    place.invocation.save()
    client = client_of(role)
    may_see = "see_payload" in (ROLES[role] or ())
    seen = set()
    with CaptureQueriesContext(connection) as queries:
        for name in ("events-list", "events-detail", "invocations-list", "invocations-detail"):
            answer = client.get(place.url(name)).json()
            for row in answer.get("results", [answer]):
                seen |= PAYLOAD & set(row)
    read = {name for name in ("payload_text", "request_body") if name in str(queries[:])}

    assert seen == (PAYLOAD if may_see else set())
    assert bool(read) is may_see
    asked = client.get(place.url("invocations-list") + "?include=body")
    assert asked.status_code == (200 if may_see else 403)
    assert (b"canary-body" in asked.content) is may_see
    if not may_see:
        assert asked.json() == {"detail": "Bodies take the permission auditwebhooks.see_payload."}


def test_whoever_sends_again_is_told_no_bodies_without_it(place: Place) -> None:
    for role in ("resender", "all"):
        answer = ask(client_of(role), place, "POST", "invocations-send-again")
        assert ("request_body" in answer.json()) is (role == "all")


def test_whoever_tests_sees_what_the_test_sent(place: Place) -> None:
    """It is the mock event: a recorded one takes the right to see payloads."""
    answer = ask(client_of("tester"), place, "POST", "webhooks-test-saved")
    assert "Ada Lovelace" in answer.json()["invocation"]["request_body"]


def test_a_new_secret_is_told_once(place: Place) -> None:
    client = client_of("editor")
    answer = ask(client, place, "POST", "webhooks-rotate-secret")

    secret = answer.json()["signing_secret"]
    assert secret.startswith(signing.PREFIX)
    assert answer.headers["Cache-Control"] == "no-store"
    assert secret not in client.get(place.url("webhooks-detail")).content.decode()


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "given",
    [
        {"url": "https://ada:canary-path@hooks.example.com/"},
        {"url": "https://hooks.example.com:8443/canary-path?canary-query"},
        {"url": "https://[canary-path/"},
        {"headers": {"A": "canary-header\n"}},
        {"headers": {"A": ["canary-header"]}},
        {"headers": "canary-header"},
        {"signing_secret": "whsec_canary-header"},
        {"signing_secret": ["canary-header"]},
        {"signing_secret": {"a": "canary-header"}},
        {"body_template": "canary-header"},
    ],
)
def test_no_refusal_repeats_a_secret(
    place: Place, settings: Any, debug: bool, given: dict[str, Any]
) -> None:
    settings.DEBUG = debug
    client = client_of("all")
    values = {"name": "New", "url": "https://hooks.example.com/", **given}
    for method, name in (
        ("POST", "webhooks-list"),
        ("POST", "webhooks-test-values"),
        ("PUT", "webhooks-detail"),
        ("POST", "webhooks-test-saved"),
    ):
        answer = client.generic(
            method, place.url(name), json.dumps(values), content_type="application/json"
        )
        assert answer.status_code == 400
        assert leaks(answer.content.decode()) == []
        assert "Traceback" not in answer.content.decode()


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("role", ["anonymous", "nobody", "all"])
def test_what_is_not_there_is_told_as_json(
    place: Place, settings: Any, debug: bool, role: str
) -> None:
    settings.DEBUG = debug
    client = client_of(role)
    for path in (
        f"webhooks/{'0' * 8}-{'0' * 4}-{'0' * 4}-{'0' * 4}-{'0' * 12}/",
        "webhooks/canary/",
        "webhooks/%00/",
        "invocations/0/",
        f"invocations/{'9' * 40}/",
        "invocations/x/",
        "events/canary/",
        "events/%00/",
        "events/%ED%A0%80/",
    ):
        answer = client.get(f"/api/audit/{path}")
        assert answer.status_code == (404 if role == "all" else 403), path
        assert list(answer.json()) == ["detail"]


@pytest.mark.parametrize("where", ["full_clean", "save"])
def test_the_report_of_an_error_holds_no_secret(
    place: Place, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """What Django mails to the administrators: every frame with its variables."""
    reports: list[str] = []

    def report(request: Any, **kwargs: Any) -> None:
        reporter = ExceptionReporter(request, *sys.exc_info())
        reports.extend((reporter.get_traceback_html(), reporter.get_traceback_text()))

    def die(*args: Any, **kwargs: Any) -> None:
        raise ZeroDivisionError

    client = client_of("all")
    client.raise_request_exception = False
    monkeypatch.setattr(Webhook, where, die)
    values = {
        "name": "New",
        "url": f"{place.receiver}canary-path?canary-query",
        "headers": {"Authorization": "Bearer canary-header"},
        "signing_secret": SECRET,
    }
    got_request_exception.connect(report)
    try:
        answer = client.post(place.url("webhooks-list"), values, format="json")
    finally:
        got_request_exception.disconnect(report)

    assert answer.status_code == 500
    assert len(reports) == 2
    for text in (*reports, answer.content.decode()):
        assert leaks(text) == []
    assert "ZeroDivisionError" not in answer.content.decode()

"""``schema/``: what is told of the API is what it does. ``python -m tests.test_openapi`` writes
``tests/schema.yml`` anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

drf_spectacular = pytest.importorskip("drf_spectacular", reason="drf-spectacular is missing")

STORED = Path(__file__).parent / "schema.yml"
URL = "/api/audit/schema/"


def told(client: Any, accept: str = "application/vnd.oai.openapi+json") -> Any:
    answer = client.get(URL, headers={"Accept": accept})
    assert answer.status_code == 200
    return answer


@pytest.fixture
def schema(db: None) -> dict[str, Any]:
    from tests.factories import someone

    found: dict[str, Any] = told(someone("view_webhook")).json()
    return found


def operations(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    }


@pytest.mark.django_db
def test_it_is_the_one_that_is_stored() -> None:
    from tests.factories import someone

    assert told(someone("view_webhook"), "application/vnd.oai.openapi").content.decode() == (
        STORED.read_text()
    ), "python -m tests.test_openapi writes it anew"


def test_the_tool_s_own_command_finds_nothing_wrong(tmp_path: Path) -> None:
    from django.core.management import call_command
    from drf_spectacular.management.commands.spectacular import Command

    call_command(
        Command(),
        urlconf="auditwebhooks.api.urls",
        file=str(tmp_path / "schema.yml"),
        validate=True,
        fail_on_warn=True,
    )
    assert "/webhooks/{id}/stats/" in (tmp_path / "schema.yml").read_text()


def test_it_names_the_place_where_the_host_has_it(schema: dict[str, Any]) -> None:
    assert schema["servers"] == [{"url": "/api/audit"}]
    assert schema["info"]["title"] == "Audit webhooks"


def test_every_route_is_told(schema: dict[str, Any]) -> None:
    assert set(operations(schema)) == {
        "GET /webhooks/",
        "POST /webhooks/",
        "GET /webhooks/{id}/",
        "PUT /webhooks/{id}/",
        "PATCH /webhooks/{id}/",
        "DELETE /webhooks/{id}/",
        "POST /webhooks/test/",
        "POST /webhooks/{id}/test/",
        "POST /webhooks/{id}/rotate-secret/",
        "GET /webhooks/{id}/stats/",
        "GET /webhooks/{id}/replay/",
        "POST /webhooks/{id}/replay/",
        "POST /webhooks/{id}/replay/{replay_id}/cancel/",
        "GET /invocations/",
        "GET /invocations/{id}/",
        "POST /invocations/{id}/send-again/",
        "GET /events/",
        "GET /events/{event_id}/",
        "GET /event-types/",
        "GET /payload-schema/",
    }


@pytest.mark.parametrize(
    ("operation", "statuses"),
    [
        ("GET /webhooks/", "200 400 401 403 406 429"),
        ("POST /webhooks/", "201 400 401 403 406 413 415 429"),
        ("GET /webhooks/{id}/", "200 304 401 403 404 406 429"),
        ("PUT /webhooks/{id}/", "200 400 401 403 404 406 412 413 415 429"),
        ("DELETE /webhooks/{id}/", "204 401 403 404 406 412 429"),
        ("POST /webhooks/test/", "200 400 401 403 406 409 413 415 422 429"),
        ("POST /webhooks/{id}/replay/", "200 202 400 401 403 404 406 409 413 415 422 429"),
        ("POST /invocations/{id}/send-again/", "201 400 401 403 404 406 409 413 415 422 429"),
        ("GET /events/{event_id}/", "200 401 403 404 406 429"),
    ],
)
def test_every_status_is_told(schema: dict[str, Any], operation: str, statuses: str) -> None:
    assert " ".join(sorted(operations(schema)[operation]["responses"])) == statuses


def test_parameters_are_told(schema: dict[str, Any]) -> None:
    def names(operation: str) -> set[str]:
        return {one["name"] for one in operations(schema)[operation]["parameters"]}

    assert {"status", "include", "cursor", "page_size"} <= names("GET /invocations/")
    assert names("GET /webhooks/{id}/replay/") == {"id", "cursor", "ordering", "page_size"}
    assert {"event", "Idempotency-Key"} <= names("POST /webhooks/{id}/test/")
    assert {"event", "Idempotency-Key"} <= names("POST /webhooks/test/")
    assert "If-Match" in names("PATCH /webhooks/{id}/")
    assert "Idempotency-Key" in names("POST /webhooks/{id}/replay/")


def test_names_are_not_taken_from_the_host(schema: dict[str, Any]) -> None:
    for name in schema["components"]["schemas"]:
        assert "Audit" in name
    for operation in operations(schema).values():
        assert operation["operationId"].startswith("audit_")


def test_what_is_answered_is_what_is_told(schema: dict[str, Any]) -> None:
    """Each answer has the fields of its component, and no other."""
    from tests.factories import make_event, make_invocation, make_webhook, someone

    seen = ("view_webhook", "view_invocation", "view_event", "see_payload")
    client = someone(*seen, "change_webhook")
    webhook = make_webhook()
    event = make_event()
    invocation = make_invocation(webhook, event=event)
    components = schema["components"]["schemas"]
    for path, name in (
        (f"webhooks/{webhook.pk}/", "AuditWebhook"),
        (f"webhooks/{webhook.pk}/stats/", "AuditWebhookStats"),
        (f"invocations/{invocation.pk}/", "AuditInvocation"),
        (f"events/{event.event_id}/", "AuditEvent"),
    ):
        answer = client.get(f"/api/audit/{path}").json()
        assert set(answer) == set(components[name]["properties"]), name
    [listed] = client.get("/api/audit/invocations/").json()["results"]
    told = components["AuditInvocation"]
    assert set(told["required"]) <= set(listed)
    assert set(told["properties"]) - set(listed) == {"request_body", "response_body"}
    assert "payload" not in components["AuditEvent"]["required"]


def test_a_test_tells_both_bodies_and_perhaps_no_id(schema: dict[str, Any]) -> None:
    told = schema["components"]["schemas"]["AuditTestedInvocation"]
    assert told["properties"]["id"]["nullable"]
    assert {"id", "request_body", "response_body"} <= set(told["required"])


@pytest.mark.django_db
def test_it_is_for_those_who_use_the_app() -> None:
    from rest_framework.test import APIClient

    from tests.factories import someone

    assert someone("add_user").get(URL).status_code == 403
    assert APIClient().get(URL).status_code in (401, 403)


WITHOUT = """
import sys
sys.modules["drf_spectacular"] = None
import django
django.setup()
from auditwebhooks.api import urls
print(*(str(one.pattern) for one in urls.urlpatterns if "schema" in str(one.pattern)))
"""


def test_without_drf_spectacular_the_api_is_there_and_the_schema_is_not() -> None:
    told = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stdout.split() == ["payload-schema/"], told.stderr


def write() -> None:
    """What a superuser gets, who needs no database."""
    import django

    django.setup()
    from django.contrib.auth.models import User
    from rest_framework.test import APIClient

    client = APIClient()
    client.force_authenticate(User(is_superuser=True))
    answer = client.get(URL, headers={"Accept": "application/vnd.oai.openapi"})
    STORED.write_bytes(answer.content)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    write()

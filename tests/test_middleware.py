"""Who and where from, as real requests leave it in the events."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import AsyncClient, Client
from rest_framework.authtoken.models import Token

from auditwebhooks.context import current
from auditwebhooks.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    user = User.objects.create_user(
        "ada", "ada@example.com", "pw", first_name="Ada", last_name="Lovelace"
    )
    return user


def last() -> dict[str, Any]:
    event = Event.objects.filter(event_type="testapp.article.created").latest("id")
    data: dict[str, Any] = event.payload["data"]
    return data


def test_a_logged_in_user_is_the_actor(client: Client, ada: User) -> None:
    client.force_login(ada)
    client.post(
        "/change/?secret=1",
        headers={"User-Agent": "Firefox", "X-Request-ID": "req-1"},
        REMOTE_ADDR="203.0.113.9",
    )

    data = last()
    assert data["actor_id"] == "ada@example.com"
    assert data["actor_name"] == "Ada Lovelace"
    assert data["actor_type"] == "user"
    assert data["source"] == "web application"
    assert data["metadata"] == {
        "request_id": "req-1",
        "ip": "203.0.113.9",
        "user_agent": "Firefox",
        "method": "POST",
        "path": "/change/",
        "actor_pk": str(ada.pk),
    }


def test_nobody_logged_in_is_anonymous(client: Client) -> None:
    client.post("/change/")

    assert last()["actor_type"] == "anonymous"
    assert last()["actor_id"] == "anonymous"
    assert "actor_pk" not in last()["metadata"]


def test_a_user_without_address_is_known_by_name(client: Client) -> None:
    client.force_login(User.objects.create_user("grace"))
    client.post("/change/")

    assert last()["actor_id"] == last()["actor_name"] == "grace"


def test_a_token_is_the_api__auditlog_115(client: Client, ada: User) -> None:
    token = Token.objects.create(user=ada)
    client.post("/change/api/", headers={"Authorization": f"Token {token.key}"})

    assert last()["actor_id"] == "ada@example.com"
    assert last()["source"] == "API"


def test_basic_authentication_is_the_api__auditlog_318(client: Client, ada: User) -> None:
    given = base64.b64encode(b"ada:pw").decode()
    client.post("/change/api/", headers={"Authorization": f"Basic {given}"})

    assert last()["actor_id"] == "ada@example.com"
    assert last()["source"] == "API"


def test_json_with_a_bearer_of_the_host_s_own_is_the_api__auditlog_532(
    client: Client, ada: User
) -> None:
    """As JSON web tokens come, read by an authentication class."""
    client.post(
        "/change/bearer/",
        {"title": "x"},
        content_type="application/json",
        headers={"Authorization": f"Bearer {ada.pk}"},
    )

    assert last()["actor_id"] == "ada@example.com"
    assert last()["actor_type"] == "user"
    assert last()["source"] == "API"


def test_rest_framework_by_session_is_the_web_application(client: Client, ada: User) -> None:
    client.force_login(ada)
    client.post("/change/api/")

    assert last()["actor_id"] == "ada@example.com"
    assert last()["source"] == "web application"


def test_rest_framework_without_a_user_is_the_web_application(client: Client) -> None:
    client.post("/change/api/")

    assert last()["actor_type"] == "anonymous"
    assert last()["source"] == "web application"


def test_terraform_is_told_by_its_user_agent(client: Client, ada: User) -> None:
    token = Token.objects.create(user=ada)
    client.post(
        "/change/api/",
        headers={"Authorization": f"Token {token.key}", "User-Agent": "HashiCorp TERRAform/1.9"},
    )

    assert last()["source"] == "Terraform"


def test_context_goes_over_the_request(client: Client, ada: User) -> None:
    client.force_login(ada)
    client.post("/change/another/")

    data = last()
    assert data["actor_id"] == "importer"
    assert data["actor_type"] == "service_account"
    assert data["source"] == "integration"
    assert data["metadata"]["row"] == 7
    assert data["metadata"]["path"] == "/change/another/"


def test_secret_arguments_of_the_url_are_masked(client: Client) -> None:
    client.post("/reset/Mg/set-password-canary/")

    assert last()["metadata"]["path"] == "/reset/Mg/***/"


def test_a_strange_request_id_is_not_taken_over(client: Client) -> None:
    client.post("/change/", headers={"X-Request-ID": "x" * 201})

    assert len(last()["metadata"]["request_id"]) == 32


def test_one_request_has_one_id(client: Client, ada: User) -> None:
    client.force_login(ada)
    client.post("/change/")
    first = last()["metadata"]["request_id"]
    client.post("/change/")

    assert last()["metadata"]["request_id"] != first


@pytest.mark.parametrize(
    ("proxies", "address"),
    [(0, "10.0.0.1"), (1, "198.51.100.2"), (2, "198.51.100.1"), (9, "6.6.6.6")],
)
def test_forwarded_addresses_count_as_far_as_proxies_are_trusted(
    client: Client, configure: Any, proxies: int, address: str
) -> None:
    configure(TRUSTED_PROXIES=proxies)
    client.post(
        "/change/",
        headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.1, 198.51.100.2"},
        REMOTE_ADDR="10.0.0.1",
    )

    assert last()["metadata"]["ip"] == address


def test_nothing_is_left_after_the_request(client: Client, ada: User) -> None:
    client.force_login(ada)
    client.post("/change/")

    assert current().request is None


@pytest.mark.django_db(transaction=True)
def test_async_views_know_the_actor(ada: User) -> None:
    @async_to_sync
    async def request() -> None:
        client = AsyncClient()
        await client.aforce_login(ada)
        await client.post("/change/async/")

    request()

    event = Event.objects.filter(event_type="testapp.article.created").latest("id")
    assert event.actor_id == "ada@example.com"
    assert event.source == "web application"
    assert event.payload["data"]["metadata"]["path"] == "/change/async/"

"""Log in, log out and failed log in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_login_failed
from django.http import HttpRequest
from django.test import Client

import auditwebhooks
from auditwebhooks.capture import record as own_events
from auditwebhooks.models import Event

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"


@pytest.fixture
def ada() -> User:
    with auditwebhooks.paused():
        return User.objects.create_superuser("ada", "ada@example.com", "pw")


def told() -> list[tuple[str, str, str]]:
    return list(Event.objects.order_by("id").values_list("event_type", "action", "actor_id"))


def test_log_in_and_out_by_the_browser(ada: User, client: Client) -> None:
    client.post(LOGIN, {"username": "ada", "password": "pw"}, headers={"User-Agent": "browser"})
    client.post("/admin/logout/")

    assert told() == [
        ("auth.user.logged_in", "login", "ada@example.com"),
        ("auth.user.logged_out", "logout", "ada@example.com"),
    ]
    data = Event.objects.earliest("id").payload["data"]
    assert data["target_id"] == str(ada.pk)
    assert data["target_name"] == "ada"
    assert data["source"] == "web application"
    assert data["metadata"]["user_agent"] == "browser"
    assert data["metadata"]["actor_pk"] == str(ada.pk)
    assert data["current_target_object"]["password"] == "***"


def test_a_failed_log_in_of_somebody_known(ada: User, client: Client) -> None:
    client.post(LOGIN, {"username": "ada", "password": "canary"})

    assert told() == [("auth.user.login_failed", "login_failed", "anonymous")]
    data = Event.objects.get().payload["data"]
    assert data["target_id"] == str(ada.pk)
    assert data["metadata"]["username"] == "ada"
    assert "canary" not in json.dumps(data)


def test_an_unknown_name_is_not_kept(client: Client) -> None:
    client.post(LOGIN, {"username": "canary-password", "password": "canary"})

    [event] = Event.objects.all()
    assert event.target_id is None
    assert event.payload["data"]["metadata"]["username"] == "***"
    assert "canary" not in event.payload_text


@pytest.mark.parametrize("name", ["ada\x00", "ada\ud800"])
def test_a_name_that_no_database_looks_up_is_told_without_an_error(ada: User, name: str) -> None:
    """PostgreSQL refuses them, and a refusal in a transaction breaks it."""
    user_login_failed.send(sender=auth.__name__, credentials={"username": name}, request=None)

    assert told() == [("auth.user.login_failed", "login_failed", "system")]
    assert Event.objects.get().payload["data"]["metadata"]["username"] == "***"


@pytest.mark.parametrize("credentials", [{}, {"token": "canary"}, {"username": 5}])
def test_other_credentials_are_not_kept(credentials: dict[str, Any]) -> None:
    assert auth.authenticate(None, **credentials) is None

    for event in Event.objects.all():
        assert event.payload["data"]["metadata"]["username"] == "***"
        assert "canary" not in event.payload_text


def test_outside_of_requests_whoever_logs_in_acts(ada: User, client: Client) -> None:
    client.force_login(ada)

    assert told() == [("auth.user.logged_in", "login", "ada@example.com")]


def test_the_host_may_say_who_acts(ada: User, client: Client) -> None:
    with auditwebhooks.context(actor="support@example.com"):
        client.force_login(ada)

    assert told() == [("auth.user.logged_in", "login", "support@example.com")]


def test_somebody_who_was_not_logged_in_does_not_log_out(client: Client) -> None:
    request = HttpRequest()
    request.user = AnonymousUser()
    request.session = client.session
    auth.logout(request)

    assert told() == []


def test_nothing_is_recorded_while_paused(ada: User, client: Client) -> None:
    with auditwebhooks.paused():
        client.force_login(ada)
        auth.authenticate(None, username="ada", password="wrong")

    assert told() == []


def test_a_failure_of_ours_lets_people_in(
    ada: User, client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(own_events, "insert", explode)
    answer = client.post(LOGIN + "?next=/admin/", {"username": "ada", "password": "pw"})

    assert answer.status_code == 302
    assert client.get("/admin/").status_code == 200
    assert "could not be recorded" in caplog.text

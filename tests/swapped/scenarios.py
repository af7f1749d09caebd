"""What tests/test_user_model.py runs in a process of its own: a user model cannot be swapped in a
running one."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib import auth
from django.core.management import call_command
from django.test import Client

import auditwebhooks
from auditwebhooks.models import Event
from tests.swapped.models import Person
from tests.testapp.models import Article, Membership, Team

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Person:
    with auditwebhooks.paused():
        return Person.objects.create_user("ada@example.com", "pw")


def last(event_type: str) -> dict[str, Any]:
    data: dict[str, Any] = Event.objects.filter(event_type=event_type).latest("id").payload["data"]
    return data


def test_nothing_is_wrong_and_nothing_to_migrate() -> None:
    call_command("check", fail_level="WARNING")
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


def test_people_are_recorded_by_their_keys() -> None:
    person = Person.objects.create_user("ada@example.com", "canary")
    person.set_password("canary")
    person.save()
    key = str(person.pk)
    Person.objects.all().delete()

    made = last("swapped.person.created")
    assert made["target_id"] == key == str(uuid.UUID(key))
    assert made["current_target_object"] == {
        "id": key,
        "password": "***",
        "mail": "ada@example.com",
    }
    assert last("swapped.person.updated")["metadata"]["changed_fields"] == ["password"]
    assert last("swapped.person.deleted")["target_name"] == "ada@example.com"
    assert not any("canary" in event.payload_text for event in Event.objects.all())


def test_keys_of_people_in_other_objects(ada: Person) -> None:
    article = Article.objects.create(title="x", author=ada)
    team = Team.objects.create(name="Red")
    team.members.add(ada)
    Membership.objects.all().delete()
    key = str(ada.pk)
    ada.delete()

    assert last("testapp.article.created")["current_target_object"]["author"] == key
    lost = last("testapp.article.updated")
    assert lost["target_id"] == str(article.pk)
    assert lost["previous_target_object"]["author"] == key
    assert lost["current_target_object"]["author"] is None
    members = [
        (
            one.payload["data"]["previous_target_object"],
            one.payload["data"]["current_target_object"],
        )
        for one in Event.objects.filter(event_type="testapp.team.updated").order_by("id")
    ]
    assert [(before["members"], after["members"]) for before, after in members] == [
        ([], [key]),
        ([key], []),
    ]


def test_the_actor_of_a_request(ada: Person, client: Client) -> None:
    client.force_login(ada)
    client.post("/change/")

    data = last("testapp.article.created")
    assert data["actor_id"] == data["actor_name"] == "ada@example.com"
    assert data["actor_type"] == "user"
    assert data["metadata"]["actor_pk"] == str(ada.pk)


def test_log_in_out_and_failed_log_in(ada: Person, client: Client) -> None:
    """The event types are the same with any user model."""
    assert client.login(mail="ada@example.com", password="pw")
    client.logout()
    assert auth.authenticate(None, mail="ada@example.com", password="canary") is None
    assert auth.authenticate(None, mail="canary@example.com", password="canary") is None

    for told in ("logged_in", "logged_out", "login_failed"):
        assert Event.objects.filter(event_type=f"auth.user.{told}").exists()
    assert last("auth.user.logged_in")["target_id"] == str(ada.pk)
    assert last("auth.user.login_failed")["metadata"]["username"] == "***"
    assert not any("canary" in event.payload_text for event in Event.objects.all())

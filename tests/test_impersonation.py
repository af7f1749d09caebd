"""Staff who work as another user: the event names who really acted."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib import auth
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

import auditwebhooks
from auditwebhooks import queue
from auditwebhooks.context import Context, context, within
from auditwebhooks.models import Event
from tests.testapp.models import Article, Tag

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> User:
    with auditwebhooks.paused():
        return User.objects.create_user("ada", "ada@example.com")


@pytest.fixture
def grace() -> User:
    with auditwebhooks.paused():
        return User.objects.create_user("grace", "grace@example.com", first_name="Grace")


@pytest.fixture
def request_of_ada(rf: RequestFactory, ada: User) -> HttpRequest:
    request: Any = rf.post("/")
    request.user = ada
    request.session = {}
    return request


def impersonate(request: Any, impersonator: User) -> None:
    """As django-impersonate 1.9 leaves a request."""
    user = User.objects.get(pk=request.user.pk)
    user.is_impersonate = True
    user.impersonator = request.impersonator = request.real_user = impersonator
    request.user = user


def hijack(request: Any, *history: str) -> None:
    """As django-hijack 3.7 leaves a request: the session tells keys, as text, the first first."""
    request.session["hijack_history"] = list(history)
    pk = request.user.pk

    def load() -> User:
        user = User.objects.get(pk=pk)
        user.is_hijacked = bool(request.session.get("hijack_history", []))
        return user

    request.user = SimpleLazyObject(load)


def who() -> tuple[Any, ...]:
    data = Event.objects.latest("id").payload["data"]
    keys = ("actor_pk", "impersonating")
    return (data["actor_id"], data["actor_name"], *(data["metadata"].get(key) for key in keys))


def acted_as(actor: User, user: User) -> tuple[Any, ...]:
    told = {"id": user.email, "pk": str(user.pk)}
    return (actor.email, actor.get_full_name() or actor.username, str(actor.pk), told)


def test_django_impersonate(request_of_ada: HttpRequest, ada: User, grace: User) -> None:
    impersonate(request_of_ada, grace)
    with within(Context(request=request_of_ada)):
        Article.objects.create(title="x")

    assert who() == acted_as(grace, ada)
    assert Event.objects.get().actor_type == "user"


def test_django_hijack(request_of_ada: HttpRequest, ada: User, grace: User) -> None:
    hijack(request_of_ada, str(grace.pk))
    with within(Context(request=request_of_ada)):
        Article.objects.create(title="x")

    assert who() == acted_as(grace, ada)


def test_whoever_hijacked_first_acts(request_of_ada: Any, ada: User, grace: User) -> None:
    with auditwebhooks.paused():
        between = User.objects.create_user("between")
    hijack(request_of_ada, str(grace.pk), str(between.pk))
    with within(Context(request=request_of_ada)):
        Article.objects.create(title="x")

    assert who() == acted_as(grace, ada)


def test_a_hijacker_who_is_gone_is_told_by_the_key(request_of_ada: Any, ada: User) -> None:
    hijack(request_of_ada, "4711")
    with within(Context(request=request_of_ada)):
        Article.objects.create(title="x")

    assert who() == ("4711", "4711", "4711", {"id": ada.email, "pk": str(ada.pk)})


def test_the_hijacker_is_looked_up_once_a_request(
    request_of_ada: Any, grace: User, django_assert_num_queries: Any
) -> None:
    hijack(request_of_ada, str(grace.pk))
    str(request_of_ada.user)
    with within(Context(request=request_of_ada)):
        # The row, its event, the hijacker.
        with django_assert_num_queries(3):
            Tag.objects.create(name="a")
        with django_assert_num_queries(2):
            Tag.objects.create(name="b")


@pytest.mark.parametrize("installed", ["nothing", "impersonate", "hijack"])
def test_without_an_impersonation_nothing_is_asked_for(
    request_of_ada: Any, ada: User, installed: str, django_assert_num_queries: Any
) -> None:
    if installed == "impersonate":
        request_of_ada.user.is_impersonate = False
        request_of_ada.impersonator = None
        request_of_ada.real_user = request_of_ada.user
    elif installed == "hijack":
        hijack(request_of_ada)
        str(request_of_ada.user)
    with within(Context(request=request_of_ada)), django_assert_num_queries(2):
        Tag.objects.create(name="a")

    assert who() == ("ada@example.com", "ada", str(ada.pk), None)


def test_a_token_s_user_is_nobody_s_disguise(request_of_ada: Any, ada: User, grace: User) -> None:
    """DRF authenticated anew: the session's impersonation is not this user's."""
    impersonate(request_of_ada, grace)
    request_of_ada.user = User.objects.get(pk=ada.pk)
    with within(Context(request=request_of_ada)):
        Article.objects.create(title="x")

    assert who() == ("ada@example.com", "ada", str(ada.pk), None)


def test_the_host_may_say_otherwise(request_of_ada: Any, grace: User) -> None:
    impersonate(request_of_ada, grace)
    with within(Context(request=request_of_ada)), context(actor="robot"):
        Article.objects.create(title="x")
    assert who() == ("robot", "robot", None, None)


def test_another_package_is_told_by_the_context(request_of_ada: Any, grace: User) -> None:
    with (
        within(Context(request=request_of_ada)),
        context(actor=grace, impersonating={"id": "ada@example.com"}),
    ):
        Article.objects.create(title="x")
    assert who() == (grace.email, "Grace", str(grace.pk), {"id": "ada@example.com"})


@pytest.mark.parametrize("history", ["nonsense", 5, ["nonsense"], [None]])
def test_a_session_that_makes_no_sense_breaks_nothing(
    request_of_ada: Any, ada: User, history: Any
) -> None:
    hijack(request_of_ada, "1")
    request_of_ada.session["hijack_history"] = history
    with within(Context(request=request_of_ada)):
        Article.objects.create(title="x")

    assert Event.objects.get().actor_id in {"nonsense", "n", "None", "unknown"}


def test_it_travels_into_tasks(request_of_ada: Any, ada: User, grace: User) -> None:
    impersonate(request_of_ada, grace)
    task: dict[str, Any] = {}
    with within(Context(request=request_of_ada)):
        queue._pack(task=task)
    queue._enter(task=task)
    try:
        Article.objects.create(title="x")
    finally:
        queue._leave(task=task)

    assert who() == acted_as(grace, ada)


def test_bulk_writes_know_it_too(request_of_ada: Any, ada: User, grace: User) -> None:
    with auditwebhooks.paused():
        article = Article.objects.create(title="x")
        tag = Tag.objects.create(name="x")
    hijack(request_of_ada, str(grace.pk))
    with within(Context(request=request_of_ada)):
        article.tags.add(tag)

    assert who() == acted_as(grace, ada)


def test_a_log_out_is_of_who_acts(request_of_ada: Any, ada: User, grace: User) -> None:
    impersonate(request_of_ada, grace)
    request_of_ada.session = type("Session", (dict,), {"flush": dict.clear})()
    with within(Context(request=request_of_ada)):
        auth.logout(request_of_ada)

    assert Event.objects.get().event_type == "auth.user.logged_out"
    assert who() == acted_as(grace, ada)
    assert isinstance(request_of_ada.user, AnonymousUser)

"""Who makes a change and where from."""

from __future__ import annotations

import asyncio
import sys
import threading
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

from auditwebhooks.context import (
    Actor,
    Context,
    actor_of,
    client_ip,
    context,
    current,
    describe_actor,
    metadata_of,
    paused,
    source_of,
    within,
)

ADA = User(pk=7, username="ada", email="ada@example.com", first_name="Ada", last_name="Lovelace")
ADA_ACTOR = Actor(id="ada@example.com", name="Ada Lovelace", type="user", pk="7")
SYSTEM = Actor(id="system", name="system", type="system", pk=None)
ANONYMOUS = Actor(id="anonymous", name="anonymous", type="anonymous", pk=None)


def robot(name: str, actor_type: str = "service_account") -> Actor:
    return Actor(id=name, name=name, type=actor_type, pk=None)


def request_of(path: str = "/", user: Any = None, **meta: Any) -> HttpRequest:
    request = RequestFactory().post(path, **meta)
    if user is not None:
        request.user = user
    return request


# --- the block ----------------------------------------------------------------------------


def test_outside_of_a_block_nothing_is_known():
    assert current() == Context()
    assert current() == Context(
        actor=None, actor_type=None, source=None, metadata={}, request=None, paused=False
    )


def test_block_sets_who_and_where_from_and_takes_it_back():
    with context(actor="robot", source="integration", batch=42):
        assert current() == Context(actor="robot", source="integration", metadata={"batch": 42})
    assert current() == Context()


def test_inner_block_changes_only_what_it_names():
    with context(actor="robot", source="integration", a=1, b=1):
        with context(source="shell", b=2, c=3):
            assert current() == Context(
                actor="robot", source="shell", metadata={"a": 1, "b": 2, "c": 3}
            )
        assert current().metadata == {"a": 1, "b": 1}


def test_block_ends_by_an_exception_too():
    with pytest.raises(ZeroDivisionError), context(actor="robot"), paused():
        raise ZeroDivisionError
    assert current() == Context()


def test_one_block_may_be_entered_again_inside_itself():
    block = context(actor="robot")
    with block:
        with block:
            assert current().actor == "robot"
        assert current().actor == "robot"
    assert current() == Context()


def test_paused_keeps_what_is_known():
    with context(actor="robot", a=1), paused():
        assert current() == Context(actor="robot", metadata={"a": 1}, paused=True)


def test_context_inside_paused_stays_paused():
    with paused(), context(actor="robot"):
        assert current().paused is True


def test_within_forgets_everything_outside():
    inner = Context(source="background task")
    with context(actor="robot", a=1), paused(), within(inner):
        assert current() is inner
    assert current() == Context()


def test_metadata_may_be_named_like_parts_of_the_context():
    with context(request="r", paused="p", metadata="m"):
        assert current().metadata == {"request": "r", "paused": "p", "metadata": "m"}
        assert current().request is None
        assert current().paused is False


def test_context_cannot_be_changed_from_inside():
    with context(actor="robot"), pytest.raises(AttributeError):
        current().actor = "other"


# --- decorated functions, tasks and threads -----------------------------------------------


def test_decorated_function_runs_inside_the_block():
    @context(actor="robot")
    def work(depth: int) -> list[Any]:
        return [current().actor, *(work(depth - 1) if depth else [])]

    assert work(2) == ["robot", "robot", "robot"]
    assert current() == Context()


def test_decorated_coroutine_runs_inside_the_block():
    """Else its events would be recorded without actor, and nobody would be told."""

    @context(actor="robot")
    async def work() -> Any:
        await asyncio.sleep(0)
        return current().actor

    assert asyncio.run(work()) == "robot"


def test_decorated_function_runs_in_two_threads_at_once():
    entered = {"first": threading.Event(), "second": threading.Event()}
    first_left = threading.Event()
    seen: dict[str, Any] = {}

    @context(actor="robot")
    def work(name: str, wait_for: threading.Event) -> None:
        entered[name].set()
        assert wait_for.wait(5)
        seen[name] = current().actor

    def run(name: str, wait_for: threading.Event, left: threading.Event) -> None:
        try:
            work(name, wait_for)
            seen[name + " after"] = current().actor
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            seen[name] = error
        finally:
            left.set()

    # The first leaves while the second is inside.
    first = threading.Thread(target=run, args=("first", entered["second"], first_left))
    second = threading.Thread(target=run, args=("second", first_left, threading.Event()))
    first.start()
    assert entered["first"].wait(5)
    second.start()
    first.join(10)
    second.join(10)
    assert seen == {
        "first": "robot",
        "first after": None,
        "second": "robot",
        "second after": None,
    }


def test_tasks_of_one_loop_do_not_see_each_other():
    async def work(name: str) -> list[Any]:
        with context(actor=name):
            await asyncio.sleep(0)
            seen = current().actor
        await asyncio.sleep(0)
        return [seen, current().actor]

    async def both() -> list[list[Any]]:
        return await asyncio.gather(work("a"), work("b"))

    assert asyncio.run(both()) == [["a", None], ["b", None]]


# --- actor --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "actor"),
    [
        ({}, SYSTEM),
        ({"actor": "robot"}, robot("robot")),
        ({"actor": "robot", "actor_type": "user"}, robot("robot", "user")),
        ({"actor": "system"}, SYSTEM),
        ({"actor": "system", "actor_type": "service_account"}, robot("system")),
        ({"actor": ADA}, ADA_ACTOR),
        (
            {"actor": ADA, "actor_type": "service_account"},
            Actor(id="ada@example.com", name="Ada Lovelace", type="service_account", pk="7"),
        ),
        ({"actor": AnonymousUser()}, ANONYMOUS),
        ({"actor": ADA_ACTOR}, ADA_ACTOR),
    ],
)
def test_actor_of_a_block(given, actor):
    with context(**given):
        assert actor_of(current()) == actor


def test_text_in_an_inner_block_is_a_service_account():
    """The type belongs to the actor it was given with."""
    with context(actor="ada", actor_type="user"), context(actor="robot"):
        assert actor_of(current()) == robot("robot")


def test_user_in_an_inner_block_is_a_user():
    with context(actor="robot", actor_type="system"), context(actor=ADA):
        assert actor_of(current()) == ADA_ACTOR


@pytest.mark.parametrize(
    ("parts", "id_and_name"),
    [
        ({"email": "a@b.test", "username": "ada"}, ("a@b.test", "ada")),
        ({"username": "ada"}, ("ada", "ada")),
        ({"username": "ada", "first_name": "Ada"}, ("ada", "Ada")),
        ({"email": "a@b.test"}, ("a@b.test", "a@b.test")),
        ({}, ("7", "7")),
        ({"first_name": " ", "username": "ada"}, ("ada", "ada")),
    ],
)
def test_user_is_told_by_email_else_username_else_key(parts, id_and_name):
    actor = describe_actor(User(pk=7, **parts))
    assert (actor.id, actor.name) == id_and_name
    assert (actor.type, actor.pk) == ("user", "7")


class OtherUser:
    """Not Django's own: a key that is no number, e-mail in a field of another name."""

    pk = uuid.UUID(int=5)
    mail = "grace@example.com"
    is_anonymous = False

    @classmethod
    def get_email_field_name(cls) -> str:
        return "mail"

    def get_username(self) -> str:
        return "grace"


GRACE = Actor(id="grace@example.com", name="grace", type="user", pk=str(uuid.UUID(int=5)))


def test_custom_user_names_its_own_email_field():
    assert describe_actor(OtherUser()) == GRACE


def test_lazy_user_of_a_request_is_the_user_behind_it():
    """AuthenticationMiddleware sets one."""
    assert describe_actor(SimpleLazyObject(lambda: ADA)) == ADA_ACTOR
    assert describe_actor(SimpleLazyObject(lambda: OtherUser())) == GRACE
    assert describe_actor(SimpleLazyObject(AnonymousUser)) == ANONYMOUS


def test_user_without_anything_but_a_key():
    assert describe_actor(SimpleNamespace(pk=3)) == Actor(id="3", name="3", type="user", pk="3")


@pytest.mark.parametrize(
    ("user", "actor"), [(None, SYSTEM), (AnonymousUser(), ANONYMOUS), (ADA, ADA_ACTOR)]
)
def test_actor_of_a_request_is_its_user(user, actor):
    with within(Context(request=request_of(user=user))):
        assert actor_of(current()) == actor


def test_user_is_asked_for_when_the_change_is_recorded():
    """Django REST Framework authenticates after the middleware."""
    request = request_of(user=AnonymousUser())
    with within(Context(request=request)):
        request.user = ADA
        assert actor_of(current()) == ADA_ACTOR


def test_block_goes_before_the_request():
    with within(Context(request=request_of(user=ADA))), context(actor="robot"):
        assert actor_of(current()) == robot("robot")


# --- source -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "source"),
    [
        (["manage.py", "migrate"], "management command"),
        (["./manage.py", "import_orders", "--all"], "management command"),
        (["/srv/app/manage.py", "runserver"], "management command"),
        (["/usr/bin/django-admin", "flush"], "management command"),
        (["/lib/django/__main__.py", "flush"], "management command"),
        (["manage.py", "shell"], "shell"),
        (["manage.py", "shell_plus"], "shell"),
        (["manage.py"], "shell"),
        (["/usr/bin/gunicorn", "shop.wsgi"], "shell"),
        (["my_manage.py", "migrate"], "shell"),
        (["script.py"], "shell"),
        (["-c"], "shell"),
        ([""], "shell"),
        ([], "shell"),
    ],
)
def test_source_without_a_request_is_the_process(monkeypatch, argv, source):
    monkeypatch.setattr(sys, "argv", argv)
    assert source_of(Context()) == source


def test_host_can_set_any_source():
    with within(Context(request=request_of(user=ADA))), context(source="nightly robot"):
        assert source_of(current()) == "nightly robot"


@pytest.mark.parametrize("agent", ["terraform/1.5", "HashiCorp Terraform/1.5", "x TERRAFORM y"])
def test_terraform_is_told_by_its_user_agent(agent):
    request = request_of(user=ADA, HTTP_USER_AGENT=agent)
    request.auth = "token"
    assert source_of(Context(request=request)) == "Terraform"


SESSION = {"_auth_user_id": "7"}


@pytest.mark.parametrize(
    ("parts", "source"),
    [
        # Plain Django: no DRF, no ``auth``.
        ({"user": ADA, "session": SESSION}, "web application"),
        ({"user": AnonymousUser(), "session": {}}, "web application"),
        ({}, "web application"),
        # DRF sets ``auth`` on Django's request.
        ({"user": ADA, "session": SESSION, "auth": None}, "web application"),
        ({"user": AnonymousUser(), "session": {}, "auth": None}, "web application"),
        ({"user": ADA, "session": SESSION, "auth": "token"}, "API"),
        ({"user": ADA, "auth": "token"}, "API"),
        # Basic authentication gives no token, and leaves no user in the session.
        ({"user": ADA, "session": {}, "auth": None}, "API"),
        ({"user": ADA, "auth": None}, "API"),
    ],
)
def test_api_is_what_drf_authenticated_by_anything_but_the_session(parts, source):
    request = request_of()
    for name, value in parts.items():
        setattr(request, name, value)
    assert source_of(Context(request=request)) == source


# --- metadata -----------------------------------------------------------------------------


def metadata(request: HttpRequest | None, actor: Actor = SYSTEM, **more: Any) -> dict[str, Any]:
    return metadata_of(Context(request=request, metadata=more), actor)


def test_metadata_of_a_request():
    request = request_of(
        "/orders/5/?token=hunter2",
        user=ADA,
        HTTP_USER_AGENT="curl/8",
        HTTP_X_REQUEST_ID="req-1",
        REMOTE_ADDR="203.0.113.7",
    )
    assert metadata(request, ADA_ACTOR, batch=1) == {
        "request_id": "req-1",
        "ip": "203.0.113.7",
        "user_agent": "curl/8",
        "method": "POST",
        "path": "/orders/5/",
        "actor_pk": "7",
        "batch": 1,
    }


def test_metadata_without_a_request():
    assert metadata(None) == {}
    assert metadata(None, ADA_ACTOR) == {"actor_pk": "7"}


def test_hosts_own_metadata_goes_first():
    assert metadata(request_of(), ip="hidden")["ip"] == "hidden"


def test_texts_of_a_request_are_cut():
    found = metadata(request_of("/" + "a" * 1000, HTTP_USER_AGENT="b" * 1000))
    assert found["path"] == "/" + "a" * 499
    assert found["user_agent"] == "b" * 500


@pytest.mark.parametrize("given", ["", "x" * 201, "ü", "a\nb", "a\x00"])
def test_request_gets_an_id_of_its_own_where_none_is_usable(given):
    request = request_of(HTTP_X_REQUEST_ID=given)
    first = metadata(request)["request_id"]
    assert len(uuid.UUID(first).hex) == 32
    assert metadata(request)["request_id"] == first
    assert metadata(request_of())["request_id"] != first


@pytest.mark.parametrize("given", ["1", "x" * 200, "a b-c_d"])
def test_usable_request_id_is_kept(given):
    assert metadata(request_of(HTTP_X_REQUEST_ID=given))["request_id"] == given


@pytest.mark.parametrize(
    ("hops", "forwarded", "ip"),
    [
        (0, None, "10.0.0.1"),
        (0, "1.1.1.1", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, " , ", "10.0.0.1"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        (2, "6.6.6.6,1.1.1.1 ,10.0.0.2", "1.1.1.1"),
        (5, "1.1.1.1, 10.0.0.2", "1.1.1.1"),
        (1, "2001:db8::1", "2001:db8::1"),
    ],
)
def test_client_address_is_what_trusted_proxies_vouch_for(configure, hops, forwarded, ip):
    configure(TRUSTED_PROXIES=hops)
    meta = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    assert client_ip(request_of(REMOTE_ADDR="10.0.0.1", **meta)) == ip


def test_client_of_a_local_socket_has_no_address():
    assert client_ip(request_of(REMOTE_ADDR="")) is None


@pytest.fixture
def resolved() -> Callable[..., str]:
    """The path that is recorded of a request whose URL gave these arguments."""

    def record(path: str, **kwargs: Any) -> str:
        request = request_of(path)
        request.resolver_match = SimpleNamespace(kwargs=kwargs)
        return str(metadata(request)["path"])

    return record


@pytest.mark.parametrize(
    ("path", "kwargs", "recorded"),
    [
        ("/reset/MQ/c3t-abc/", {"uidb64": "MQ", "token": "c3t-abc"}, "/reset/MQ/***/"),
        ("/in/s3cret/", {"api_key": "s3cret"}, "/in/***/"),
        ("/otp/123456/", {"otp": 123456}, "/otp/***/"),
        ("/a/b/", {"token": ""}, "/a/b/"),
        ("/a/b/", {"token": None}, "/a/b/"),
        ("/order/5/", {"pk": 5}, "/order/5/"),
    ],
)
def test_arguments_of_the_url_that_look_secret_are_masked(resolved, path, kwargs, recorded):
    assert resolved(path, **kwargs) == recorded


def test_long_secret_is_masked_before_the_path_is_cut(resolved):
    secret = "s" * 600
    assert resolved(f"/in/{secret}/x", token=secret) == "/in/***/x"


@pytest.mark.parametrize("given", [5, uuid.UUID(int=5)])
def test_an_actor_that_is_no_user_is_its_text(given):
    with context(actor=given):
        actor = actor_of(current())
    assert (actor.id, actor.name, actor.type) == (str(given), str(given), "service_account")


def test_nobody_found_by_rest_framework_is_anonymous() -> None:
    """With its UNAUTHENTICATED_USER None it says so by None; without it nobody was asked."""
    request = RequestFactory().post("/")
    assert actor_of(Context(request=request)) == SYSTEM
    request.user = None  # type: ignore[assignment]
    assert actor_of(Context(request=request)) == ANONYMOUS

"""Who makes a change and where from: a ContextVar that the middleware, the queue and the host set.

with auditwebhooks.context(actor="nightly-import", source="integration", batch="42"):
    ...
with auditwebhooks.paused():
    ...
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from copy import copy
from dataclasses import dataclass, field, replace
from functools import lru_cache, wraps
from inspect import iscoroutinefunction
from pathlib import PurePath
from types import TracebackType
from typing import Any

from django.http import HttpRequest
from django.utils.functional import Promise

from auditwebhooks.conf import conf
from auditwebhooks.enums import ActorType, Source
from auditwebhooks.impersonation import impersonator_of
from auditwebhooks.masking import MASK, looks_secret

# Longer texts of a request are cut: they are typed by strangers.
_MAX_TEXT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is known where a change happens; empty parts are found out when it is recorded."""

    # A user object or a text; None: whoever the request belongs to, else the system.
    actor: Any = None
    actor_type: str | None = None
    source: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    request: HttpRequest | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    id: str
    name: str
    type: str
    pk: str | None = None
    # Id and key of the user in whose place this one acts.
    impersonating: Mapping[str, str | None] | None = None


_SYSTEM = Actor(id="system", name="system", type=ActorType.SYSTEM.value)
_ANONYMOUS = Actor(id="anonymous", name="anonymous", type=ActorType.ANONYMOUS.value)

_NOTHING = Context()
_current: ContextVar[Context] = ContextVar("auditwebhooks_context", default=_NOTHING)


def current() -> Context:
    return _current.get()


class _Change(ContextDecorator):
    """Puts parts of the context in place for a block, or for the function it decorates."""

    def __init__(self, **parts: Any) -> None:
        self._parts = parts
        self._tokens: list[Token[Context]] = []

    def __enter__(self) -> None:
        self._tokens.append(_current.set(self._context(current())))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.reset(self._tokens.pop())

    def _context(self, outer: Context) -> Context:
        return replace(outer, **self._parts)

    def _recreate_cm(self) -> _Change:
        # Each call of a decorated function has its own tokens: calls run in several threads.
        fresh = copy(self)
        fresh._tokens = []
        return fresh

    def __call__(self, function: Any) -> Any:
        if not iscoroutinefunction(function):
            return super().__call__(function)

        @wraps(function)
        async def inside(*args: Any, **kwargs: Any) -> Any:
            with self._recreate_cm():
                return await function(*args, **kwargs)

        return inside


class context(_Change):  # noqa: N801 - used like a function, as contextlib's own
    """Set who and where from; what is not given stays as it is around the block.

    ``actor``: a user object, or a text that is id and name of a service account.
    ``actor_type``: one of ``ActorType`` where the actor is a text.
    ``source``: one of ``Source`` or the host's own word.
    Everything else is added to the event's ``metadata`` and must be JSON data.
    """

    def __init__(
        self,
        *,
        actor: Any = None,
        actor_type: str | None = None,
        source: str | None = None,
        **metadata: Any,
    ) -> None:
        given = {"actor": actor, "actor_type": actor_type, "source": source}
        parts = {name: value for name, value in given.items() if value is not None}
        if actor is not None:
            # The type belongs to the actor it was given with.
            parts["actor_type"] = actor_type
        super().__init__(**parts)
        self._metadata = metadata

    def _context(self, outer: Context) -> Context:
        return replace(super()._context(outer), metadata={**outer.metadata, **self._metadata})


class paused(_Change):  # noqa: N801 - used like a function, as contextlib's own
    """Record nothing inside the block."""

    def __init__(self) -> None:
        super().__init__(paused=True)


class within(_Change):  # noqa: N801 - used like a function, as contextlib's own
    """For the middleware and the queue: everything outside is forgotten inside the block."""

    def __init__(self, inner: Context) -> None:
        super().__init__()
        self._inner = inner

    def _context(self, outer: Context) -> Context:
        return self._inner


def actor_of(here: Context) -> Actor:
    """The actor of a context. A request's user is asked for only now: DRF authenticates after
    the middleware has run."""
    if here.actor is not None:
        return describe_actor(here.actor, here.actor_type)
    # Who finds out who it is may write, too, such as when the user was last seen.
    with _Change(actor=_SYSTEM, actor_type=None):
        return _requesting(here.request)


def _requesting(request: HttpRequest | None) -> Actor:
    user = getattr(request, "user", None)
    if user is None:
        # Nobody asked who it is, or DRF did and found nobody (its UNAUTHENTICATED_USER is None).
        return _ANONYMOUS if hasattr(request, "user") else _SYSTEM
    actor = describe_actor(user)
    impersonator = impersonator_of(request, user)
    if impersonator is None:
        return actor
    told = {"id": actor.id, "pk": actor.pk}
    return replace(describe_actor(impersonator), impersonating=told)


def describe_actor(actor: Any, actor_type: str | None = None) -> Actor:
    """A user object or a text as an Actor."""
    if isinstance(actor, Actor):
        return actor
    if isinstance(actor, str | Promise):
        actor = str(actor)
        if actor == _SYSTEM.id and actor_type is None:
            return _SYSTEM
        return Actor(id=actor, name=actor, type=actor_type or ActorType.SERVICE_ACCOUNT.value)
    if getattr(actor, "is_anonymous", False):
        return _ANONYMOUS
    if not (hasattr(actor, "pk") or hasattr(actor, "get_username")):
        # No user: a number, for example.
        return describe_actor(str(actor), actor_type)
    pk = str(getattr(actor, "pk", None) or "")
    username = str(actor.get_username()) if hasattr(actor, "get_username") else ""
    identifier = _email(actor) or username or pk
    full_name = str(actor.get_full_name()) if hasattr(actor, "get_full_name") else ""
    return Actor(
        id=identifier,
        name=full_name.strip() or username or identifier,
        type=actor_type or ActorType.USER.value,
        pk=pk or None,
    )


def _email(user: Any) -> str:
    # ``__class__`` looks through the lazy object that a request has.
    named = getattr(user.__class__, "get_email_field_name", None)
    return str(getattr(user, named() if named else "email", "") or "")


def source_of(here: Context) -> str:
    if here.source is not None:
        # It may be a lazy translation.
        return str(here.source)
    if here.request is not None:
        return _request_source(here.request).value
    return _process_source().value


def _request_source(request: HttpRequest) -> Source:
    if "terraform" in request.META.get("HTTP_USER_AGENT", "").lower():
        return Source.TERRAFORM
    return Source.API if _by_rest_framework(request) else Source.WEB_APPLICATION


def _by_rest_framework(request: HttpRequest) -> bool:
    """Authenticated by Django REST Framework, and by anything but the session.

    DRF sets ``auth`` on Django's request too: None for the session, but also for Basic
    authentication and for classes that return no token. Those leave no user in the session.
    """
    if not hasattr(request, "auth"):
        return False
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return False
    if request.auth is not None or "HTTP_AUTHORIZATION" in request.META:
        return True
    session = getattr(request, "session", None)
    return session is None or session.get("_auth_user_id") is None


def _process_source() -> Source:
    """A management command's process, or any other code."""
    return _command_line_source(tuple(sys.argv))


@lru_cache(maxsize=8)
def _command_line_source(command_line: tuple[str, ...]) -> Source:
    program, *arguments = command_line or ("",)
    is_django = PurePath(program).name in {
        "manage.py",
        "django-admin",
    } or program.endswith("django/__main__.py")
    command = next((one for one in arguments if not one.startswith("-")), "shell")
    if is_django and not command.startswith("shell"):
        return Source.MANAGEMENT_COMMAND
    return Source.SHELL


def metadata_of(here: Context, actor: Actor) -> dict[str, Any]:
    """Where from, in the shape of the payload's ``metadata``."""
    found: dict[str, Any] = {}
    if here.request is not None:
        found.update(_request_metadata(here.request))
    if actor.pk is not None:
        found["actor_pk"] = actor.pk
    if actor.impersonating is not None:
        found["impersonating"] = actor.impersonating
    found.update(here.metadata)
    return found


def _request_metadata(request: HttpRequest) -> dict[str, Any]:
    found = {
        "request_id": _request_id(request),
        "ip": client_ip(request),
        "user_agent": request.META.get("HTTP_USER_AGENT", ""),
        "method": request.method,
        "path": _path(request),
    }
    cut = [name for name, text in found.items() if text and len(text) > _MAX_TEXT]
    for name in cut:
        found[name] = found[name][:_MAX_TEXT]
    return {**found, "cut": [f"metadata.{name}" for name in cut]} if cut else found


def _request_id(request: HttpRequest) -> str:
    """The caller's own X-Request-ID, else one made here; the same for the whole request."""
    known: str | None = getattr(request, "_auditwebhooks_request_id", None)
    if known is None:
        given = request.META.get("HTTP_X_REQUEST_ID", "")
        usable = 0 < len(given) <= 200 and given.isascii() and given.isprintable()
        known = given if usable else uuid.uuid4().hex
        request._auditwebhooks_request_id = known  # type: ignore[attr-defined]
    return known


def client_ip(request: HttpRequest) -> str | None:
    """The address of the client; X-Forwarded-For only as far as TRUSTED_PROXIES vouches for it."""
    hops = conf.trusted_proxies
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    chain = [part.strip() for part in forwarded.split(",") if part.strip()]
    if hops and chain:
        return str(chain[-min(hops, len(chain))])
    return request.META.get("REMOTE_ADDR") or None


def _path(request: HttpRequest) -> str:
    """The path without its query; arguments of the URL that look like secrets are masked."""
    path = request.path
    match = request.resolver_match
    for name, value in (match.kwargs if match else {}).items():
        if looks_secret(name) and str(value):
            path = path.replace(str(value), MASK)
    return path

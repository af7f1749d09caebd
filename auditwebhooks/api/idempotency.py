"""``Idempotency-Key``: a request that is sent again gets the first answer again.

The key belongs to its user, method and URL for 24 hours. A request that was refused leaves no
trace, so that it may be mended under the same key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import Any

from django.db import IntegrityError, connections, router, transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework.exceptions import APIException, ValidationError
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_409_CONFLICT, HTTP_422_UNPROCESSABLE_ENTITY

from auditwebhooks.conf import conf
from auditwebhooks.models import IdempotencyKey
from auditwebhooks.rows import take_write_lock

HEADER = "Idempotency-Key"
# Set on an answer that is given again.
REPLAYED = "Idempotent-Replayed"

KEPT_FOR = timedelta(hours=24)
_LONGEST = 255
# How many keys that are over a new one takes away.
_SWEPT = 100

View = Callable[..., Response]


class KeyReusedError(APIException):
    status_code = HTTP_422_UNPROCESSABLE_ENTITY
    default_detail = gettext_lazy(
        "This Idempotency-Key was used for another body. Use a new key for a new request."
    )
    default_code = "idempotency_key_reused"


class StillActingError(APIException):
    status_code = HTTP_409_CONFLICT
    default_detail = gettext_lazy(
        "The first request with this Idempotency-Key is still being acted on. Ask again later."
    )
    default_code = "idempotency_key_in_use"


def idempotent(*, atomic: bool) -> Callable[[View], View]:
    """For a view method that answers JSON. ``atomic``: what it does and its answer commit
    together; False for one that calls out, over which no transaction may be open."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(self: Any, request: Request, *args: Any, **kwargs: Any) -> Response:
            key = request.headers.get(HEADER)
            if key is None:
                return view(self, request, *args, **kwargs)
            claim = _claim(request, key)
            if claim.answered is not None:
                return claim.answered
            return _act(claim, atomic, lambda: view(self, request, *args, **kwargs))

        return guarded

    return decorate


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """The key's row is ours to act under, or there is an answer already."""

    pk: int = 0
    answered: Response | None = None


def _act(claim: _Claim, atomic: bool, view: Callable[[], Response]) -> Response:
    using = router.db_for_write(IdempotencyKey)
    try:
        with _writing(using) if atomic else nullcontext():
            response = view()
            IdempotencyKey.objects.using(using).filter(pk=claim.pk).update(
                status=response.status_code,
                answer=JSONRenderer().render(response.data).decode(),
            )
    except BaseException:
        if not connections[using].needs_rollback:
            IdempotencyKey.objects.using(using).filter(pk=claim.pk).delete()
        raise
    return response


@contextmanager
def _writing(using: str) -> Iterator[None]:
    """A transaction of a writer from its start: the view reads before it writes."""
    with transaction.atomic(using=using):
        take_write_lock(connections[using], IdempotencyKey)
        yield


def _claim(request: Request, key: str) -> _Claim:
    if not 0 < len(key) <= _LONGEST or not (key.isascii() and key.isprintable()):
        reason = _("Enter 1 to %d visible ASCII characters.") % _LONGEST
        raise ValidationError({HEADER: [reason]})
    digest = _digest(_who(request), str(request.method), request.get_full_path(), key)
    body = _digest(json.dumps(_plain(request.data), sort_keys=True, default=str))
    now = timezone.now()
    _sweep(now - KEPT_FOR, digest)
    pk = _create(digest, body, now)
    if pk is not None:
        return _Claim(pk=pk)
    row = IdempotencyKey.objects.primary().filter(digest=digest).first()
    if row is None:
        # The first request was refused in this moment.
        raise StillActingError
    return _known(row, body)


def _known(row: IdempotencyKey, body: str) -> _Claim:
    if row.body_digest != body:
        raise KeyReusedError
    if row.status is not None:
        response = Response(json.loads(row.answer), status=row.status)
        response[REPLAYED] = "true"
        return _Claim(answered=response)
    now = timezone.now()
    if now - row.created_at < _longest_act():
        raise StillActingError
    # Its process died. Only one takes over.
    taken = IdempotencyKey.objects.primary().filter(
        pk=row.pk, status=None, created_at=row.created_at
    )
    if not taken.update(created_at=now):
        raise StillActingError
    return _Claim(pk=row.pk)


def _longest_act() -> timedelta:
    """Seconds that a test's call may last, and a margin."""
    return timedelta(seconds=conf.max_timeout + 30)


def _create(digest: str, body: str, now: Any) -> int | None:
    using = router.db_for_write(IdempotencyKey)
    try:
        with transaction.atomic(using=using):
            row = IdempotencyKey.objects.using(using).create(
                digest=digest, body_digest=body, created_at=now
            )
    except IntegrityError:
        return None
    return row.pk


def _sweep(before: Any, digest: str) -> None:
    """The key at hand, and the oldest others."""
    over = IdempotencyKey.objects.primary().filter(created_at__lt=before)
    ids = list(over.order_by("created_at").values_list("pk", flat=True)[:_SWEPT])
    ids += over.filter(digest=digest).values_list("pk", flat=True)
    if ids:
        over.filter(pk__in=ids).delete()


def _who(request: Request) -> str:
    user: Any = request.user
    return f"{user.__class__.__module__}.{user.__class__.__qualname__}:{user.pk}"


def _plain(data: Any) -> Any:
    """Forms as lists of their values, JSON as it is."""
    return dict(data.lists()) if hasattr(data, "lists") else data


def _digest(*parts: str) -> str:
    return salted_hmac(
        "auditwebhooks.idempotency", json.dumps(parts), algorithm="sha256"
    ).hexdigest()

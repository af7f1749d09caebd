"""Strong ETags of webhooks: nobody overwrites what somebody else changed meanwhile.

A tag has two halves. The first tells the configuration: ``If-Match`` asks for it alone, since
health changes with every delivery and is nothing that a client could overwrite. Both together
tell the whole representation, for ``If-None-Match``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from django.db import connections, router, transaction
from django.utils.http import parse_etags
from django.utils.translation import gettext_lazy
from rest_framework import viewsets
from rest_framework.exceptions import APIException, NotFound
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_304_NOT_MODIFIED, HTTP_412_PRECONDITION_FAILED

from auditwebhooks.models import Webhook
from auditwebhooks.rows import locked, take_write_lock

if TYPE_CHECKING:
    ModelViewSet = viewsets.ModelViewSet[Webhook]
else:
    ModelViewSet = viewsets.ModelViewSet


class ChangedMeanwhileError(APIException):
    status_code = HTTP_412_PRECONDITION_FAILED
    default_detail = gettext_lazy(
        "The webhook was changed meanwhile. Read it again, and send the change with its new ETag."
    )
    default_code = "changed_meanwhile"


def etag_of(webhook: Webhook, shown: Any) -> str:
    """``shown``: the representation, which differs with the rights of who reads it."""
    digest = hashlib.sha256(JSONRenderer().render(shown)).hexdigest()
    return f'"{webhook.version}-{digest[:32]}"'


class TaggedViewSet(ModelViewSet):
    """A webhook's representation carries its ETag; ``If-Match`` and ``If-None-Match`` hold."""

    def perform_create(self, serializer: Any) -> None:
        self._saved = serializer.save()

    perform_update = perform_create

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        webhook = self.get_object()
        response = _tagged(webhook, Response(self.get_serializer(webhook).data))
        return _unless_known(request, response)

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        response = super().create(request, *args, **kwargs)
        return _tagged(self._saved, response)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with self._unchanged(request):
            response = super().update(request, *args, **kwargs)
        return _tagged(self._saved, response)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        with self._unchanged(request):
            return super().destroy(request, *args, **kwargs)

    @contextmanager
    def _unchanged(self, request: Request) -> Iterator[None]:
        """With ``If-Match`` the row stays locked from the comparison to the end of the change."""
        given = request.headers.get("If-Match")
        if given is None:
            yield
            return
        pk = self.get_object().pk
        using = router.db_for_write(Webhook)
        with transaction.atomic(using=using):
            take_write_lock(connections[using], Webhook)
            row = locked(Webhook.objects.using(using).filter(pk=pk), using).first()
            if row is None:
                raise NotFound
            if not _matches(given, row):
                raise ChangedMeanwhileError
            yield


def _tagged(webhook: Webhook, response: Response) -> Response:
    response["ETag"] = etag_of(webhook, response.data)
    return response


def _unless_known(request: Request, response: Response) -> Response:
    known = [
        tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-None-Match", ""))
    ]
    if "*" not in known and response["ETag"] not in known:
        return response
    return Response(status=HTTP_304_NOT_MODIFIED, headers={"ETag": response["ETag"]})


def _matches(given: str, webhook: Webhook) -> bool:
    """A weak tag never matches (RFC 9110, 13.1.1)."""
    tags = parse_etags(given)
    return "*" in tags or any(tag.startswith(f'"{webhook.version}-') for tag in tags)

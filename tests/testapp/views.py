"""Views that change something, to see what the events know of the request."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
    SessionAuthentication,
    TokenAuthentication,
)
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.request import Request
from rest_framework.response import Response

import auditwebhooks
from tests.testapp.models import Article


def change(request: HttpRequest, **arguments: str) -> HttpResponse:
    Article.objects.create(title="By a view")
    return HttpResponse("changed")


async def change_async(request: HttpRequest) -> HttpResponse:
    await Article.objects.acreate(title="By an async view")
    return HttpResponse("changed")


def change_for_another(request: HttpRequest) -> HttpResponse:
    with auditwebhooks.context(actor="importer", source="integration", row=7):
        Article.objects.create(title="By the importer")
    return HttpResponse("changed")


@api_view(["POST"])
@authentication_classes([TokenAuthentication, BasicAuthentication, SessionAuthentication])
def change_by_api(request: Request) -> Response:
    Article.objects.create(title="By the API")
    return Response("changed")


class BearerAuthentication(BaseAuthentication):
    """Of the host's own, as for JSON web tokens; here the token is a user's key."""

    def authenticate(self, request: Request) -> tuple[User, None] | None:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        return (User.objects.get(pk=key), None) if scheme == "Bearer" else None


@api_view(["POST"])
@authentication_classes([BearerAuthentication])
def change_by_bearer(request: Request) -> Response:
    Article.objects.create(title=request.data["title"])
    return Response("changed")

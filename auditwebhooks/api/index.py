"""The API's root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse
from rest_framework.views import APIView

from auditwebhooks.api.parsing import JSONView
from auditwebhooks.api.permissions import MayUseTheApp


class Index(JSONView):
    """Links to what you may read."""

    name = "Audit webhooks"
    permission_classes = [MayUseTheApp]
    # As Django REST Framework's own root: who has the schema needs no links.
    schema = None
    # Path -> the name of its route, and its view.
    linked: Mapping[str, tuple[str, type[APIView]]] = {}

    def get(self, request: Request, **of_the_prefix: Any) -> Response:
        here: Any = request.resolver_match
        namespace = here.view_name.removesuffix(here.url_name)
        return Response(
            {
                path: reverse(f"{namespace}{route}", kwargs=of_the_prefix, request=request)
                for path, (route, view) in self.linked.items()
                if _may_read(request, view)
            }
        )


def _may_read(request: Request, view: type[APIView]) -> bool:
    # What a viewset has for a method that it does not know.
    asked: Any = view(request=request, action=None)
    return all(one.has_permission(request, asked) for one in asked.get_permissions())

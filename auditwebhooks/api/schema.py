"""``schema/``: the OpenAPI schema of this API alone. Needs drf-spectacular."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auditwebhooks import __version__
from auditwebhooks.api.permissions import MayUseTheApp

INFO = {
    "title": "Audit webhooks",
    "version": __version__,
    "description": "Webhooks that get the audit events of this project, and what they got.",
}


_RENDERERS: Any = [
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
]


class Schema(APIView):
    """YAML or JSON, as ``Accept`` asks for it."""

    permission_classes = [MayUseTheApp]
    renderer_classes = _RENDERERS
    # It does not tell of itself.
    schema = None
    # Of the views that it tells of.
    patterns: Sequence[Any] = ()

    def get(self, request: Request) -> Response:
        told = SchemaGenerator(patterns=self.patterns).get_schema(public=True)
        # The host's own settings name and place the host's own API.
        told["info"] = INFO
        told["servers"] = [{"url": request.path.removesuffix("/schema/") or "/"}]
        return Response(told)

"""What events look like: their types, and the schema of their payload."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from auditwebhooks.api.openapi import described, operation
from auditwebhooks.api.parsing import JSONView
from auditwebhooks.api.permissions import MayKnowEvents
from auditwebhooks.event_types import event_types
from auditwebhooks.payload_schema import json_schema

_TEXTS = {"type": "array", "items": {"type": "string"}}
_ANYTHING = {"type": "object", "additionalProperties": True}


@described
class EventTypes(JSONView):
    permission_classes = [MayKnowEvents]

    @operation("event_types", {200: (_TEXTS, "In the order of the alphabet.")})
    def get(self, request: Request) -> Response:
        """A list of texts, in the order of the alphabet."""
        return Response(event_types())


@described
class PayloadSchema(JSONView):
    permission_classes = [MayKnowEvents]

    @operation("payload_schema", {200: (_ANYTHING, "JSON Schema, draft 2020-12.")})
    def get(self, request: Request) -> Response:
        """JSON Schema, draft 2020-12."""
        return Response(json_schema())

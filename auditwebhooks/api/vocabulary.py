"""What events look like: their types, and the schema of their payload."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from auditwebhooks.api.permissions import MayKnowEvents
from auditwebhooks.event_types import event_types
from auditwebhooks.payload_schema import json_schema


class EventTypes(APIView):
    permission_classes = [MayKnowEvents]

    def get(self, request: Request) -> Response:
        """A list of texts, in the order of the alphabet."""
        return Response(event_types())


class PayloadSchema(APIView):
    permission_classes = [MayKnowEvents]

    def get(self, request: Request) -> Response:
        """JSON Schema, draft 2020-12."""
        return Response(json_schema())

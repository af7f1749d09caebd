"""The viewsets of the logs: invocations and events, added and read only.

Authentication is the host's; everything else is set here, whatever the host's REST_FRAMEWORK says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework import mixins, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, PermissionDenied, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_201_CREATED

from auditwebhooks import journal
from auditwebhooks.api.filters import EventFilter, InvocationFilter, KnownFilters
from auditwebhooks.api.idempotency import idempotent
from auditwebhooks.api.openapi import (
    IDEMPOTENCY_KEY,
    OF_A_BODY,
    described,
    operation,
    operations,
    query,
)
from auditwebhooks.api.pages import BY_ID, BY_TIME, Pages
from auditwebhooks.api.parsing import JSONView
from auditwebhooks.api.permissions import MayResend, ModelPermissions
from auditwebhooks.api.serializers import EventSerializer, InvocationSerializer, NoFields
from auditwebhooks.delivery.again import send_again
from auditwebhooks.models import Event, Invocation
from auditwebhooks.seeing import BODIES, SEE_PAYLOAD, may_see_payload

if TYPE_CHECKING:
    GenericViewSet = viewsets.GenericViewSet[Any]
    Listed = mixins.ListModelMixin
else:
    GenericViewSet = viewsets.GenericViewSet
    Listed = mixins.ListModelMixin

# What a list leaves out unless it is asked for: ?include=body.
INCLUDE, BODY = "include", "body"


class LogViewSet(JSONView, Listed, mixins.RetrieveModelMixin, GenericViewSet):
    """Rows that are added and read, by the million: every list goes along an index."""

    permission_classes = [ModelPermissions]
    pagination_class = Pages
    orderings = {**BY_TIME, **BY_ID}
    filter_backends = [KnownFilters]
    # Filters whose index goes on by ID. The others go along the time.
    filters_by_id: frozenset[str]
    # Serialized fields that take the right to see payloads.
    payload_fields: tuple[str, ...]

    def get_serializer_context(self) -> dict[str, Any]:
        return {**super().get_serializer_context(), "left_out": self.left_out()}

    def left_out(self) -> tuple[str, ...]:
        # The OpenAPI schema tells of all that there may be.
        if getattr(self, "swagger_fake_view", False) or may_see_payload(self.request.user):
            return ()
        return self.payload_fields

    def default_ordering(self, request: Request) -> str:
        """Newest first; both orders are the same but for rows of concurrent transactions."""
        given = {name for name, value in request.query_params.items() if value}
        return "-id" if given & self.filters_by_id else "-created_at"


@operations(
    list=operation(
        "invocations_list",
        {200: InvocationSerializer(many=True)},
        refuses=[400],
        parameters=[query(INCLUDE, "Have request_body and response_body told, too.", [BODY])],
    ),
    retrieve=operation("invocations_read", {200: InvocationSerializer}, refuses=[404]),
)
@described
class InvocationViewSet(LogViewSet):
    """Attempts: what was sent, what came back, and why it was judged so."""

    queryset = Invocation.objects.all()
    serializer_class = InvocationSerializer
    filterset_class = InvocationFilter
    filters_by_id = frozenset({"webhook", "event"})
    payload_fields = BODIES
    own_parameters = (INCLUDE,)

    def get_queryset(self) -> QuerySet[Invocation]:
        return super().get_queryset().defer(*self.left_out())

    def left_out(self) -> tuple[str, ...]:
        """A list has the bodies where they are asked for, one invocation always."""
        left_out = super().left_out()
        if self.action != "list" or getattr(self, "swagger_fake_view", False):
            return left_out
        asked = set(self.request.query_params.get(INCLUDE, "").split(",")) - {""}
        if asked - {BODY}:
            raise ValidationError({INCLUDE: [_("Only body can be included.")]})
        if asked and left_out:
            raise PermissionDenied(_("Bodies take the permission %s.") % SEE_PAYLOAD)
        return () if asked else BODIES

    @operation(
        "invocations_send_again",
        {201: InvocationSerializer},
        refuses=[*OF_A_BODY, 404, 409, 422],
        parameters=[IDEMPOTENCY_KEY],
        request=None,
    )
    @action(detail=True, methods=["post"], url_path="send-again", permission_classes=[MayResend])
    @idempotent(atomic=True)
    def send_again(self, request: Request, pk: str) -> Response:
        """Queue a new chain for the invocation's event and webhook; answers its first attempt."""
        NoFields(data=request.data).is_valid(raise_exception=True)
        invocation = self.get_object()
        again = send_again([invocation])
        if again.refused:
            raise ValidationError({one.field: [one.reason] for one in again.refused})
        journal.note(request.user, [invocation], journal.SENT_AGAIN)
        return Response(self.get_serializer(again.queued[0]).data, status=HTTP_201_CREATED)


@operations(
    list=operation("events_list", {200: EventSerializer(many=True)}, refuses=[400]),
    retrieve=operation("events_read", {200: EventSerializer}, refuses=[404]),
)
@described
class EventViewSet(LogViewSet):
    """The audit log: one event for each change."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    filterset_class = EventFilter
    filters_by_id = frozenset({"id", "event_type", "actor_id", "target_id", "target_type"})
    payload_fields = ("payload",)
    lookup_field = "event_id"

    def get_queryset(self) -> QuerySet[Event]:
        rows: QuerySet[Event] = super().get_queryset()
        return rows.defer("payload_text") if self.left_out() else rows

    def get_object(self) -> Event:
        if "\x00" in self.kwargs["event_id"]:
            # PostgreSQL looks for no such text.
            raise NotFound
        event: Event = super().get_object()
        return event

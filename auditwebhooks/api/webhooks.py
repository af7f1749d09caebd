"""The viewset of webhooks: their configuration, tests, secrets, figures and replays.

Authentication is the host's; everything else is set here, whatever the host's REST_FRAMEWORK says.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.decorators import action
from rest_framework.exceptions import NotFound, Throttled, ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.status import HTTP_202_ACCEPTED

from auditwebhooks import journal
from auditwebhooks.api.answers import (
    CountSerializer,
    NewSecretSerializer,
    ResultSerializer,
    StatsSerializer,
)
from auditwebhooks.api.etags import TaggedViewSet
from auditwebhooks.api.filters import KnownFilters, WebhookFilter, refuse_unknown
from auditwebhooks.api.idempotency import idempotent
from auditwebhooks.api.openapi import (
    ETAG,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    OF_A_BODY,
    described,
    number_in_path,
    operation,
    operations,
    query,
)
from auditwebhooks.api.pages import BY_TIME, Pages
from auditwebhooks.api.parsing import JSONView
from auditwebhooks.api.permissions import (
    EVENT,
    MayChange,
    MayReplay,
    MayResend,
    MayTest,
    ModelPermissions,
)
from auditwebhooks.api.serializers import (
    NoFields,
    ReplaySerializer,
    SelectionSerializer,
    TestedInvocationSerializer,
    WebhookSerializer,
    WebhookValuesSerializer,
)
from auditwebhooks.context import describe_actor
from auditwebhooks.delivery import replay
from auditwebhooks.delivery.allowance import refusal, take_test
from auditwebhooks.delivery.samples import recorded
from auditwebhooks.delivery.stats import stats_of
from auditwebhooks.delivery.trial import send_test, verdict
from auditwebhooks.exceptions import EncryptionError
from auditwebhooks.models import Event, Replay, Webhook
from auditwebhooks.rotation import rotate_signing_secret

_EVENT = query(EVENT, "The event_id of a recorded event to send in place of the mock one.")


@operations(
    list=operation("webhooks_list", {200: WebhookSerializer(many=True)}, refuses=[400]),
    create=operation(
        "webhooks_create",
        {201: WebhookSerializer},
        refuses=OF_A_BODY,
        parameters=[ETAG],
        request=WebhookValuesSerializer,
    ),
    retrieve=operation(
        "webhooks_read",
        {200: WebhookSerializer, 304: "It is as the ETag in If-None-Match has it."},
        refuses=[404],
        parameters=[IF_NONE_MATCH, ETAG],
    ),
    update=operation(
        "webhooks_replace",
        {200: WebhookSerializer},
        refuses=[*OF_A_BODY, 404, 412],
        parameters=[IF_MATCH, ETAG],
        request=WebhookValuesSerializer,
    ),
    partial_update=operation(
        "webhooks_change",
        {200: WebhookSerializer},
        refuses=[*OF_A_BODY, 404, 412],
        parameters=[IF_MATCH, ETAG],
        request=WebhookValuesSerializer,
    ),
    destroy=operation(
        "webhooks_delete",
        {204: "It is deleted; its invocations are kept."},
        refuses=[404, 412],
        parameters=[IF_MATCH],
    ),
)
@described
class WebhookViewSet(JSONView, TaggedViewSet):
    """Webhooks: where events are sent, and how a success is told."""

    queryset = Webhook.objects.select_related("health")
    serializer_class = WebhookSerializer
    permission_classes = [ModelPermissions]
    pagination_class = Pages
    orderings = BY_TIME
    filter_backends = [KnownFilters]
    filterset_class = WebhookFilter

    def default_ordering(self, request: Request) -> str:
        return "-created_at"

    def get_success_headers(self, data: Any) -> dict[str, str]:
        """Where the new webhook is. DRF would take its field ``url``, which may be a secret."""
        return {"Location": self.reverse_action("detail", [data["id"]])}

    @operation(
        "webhooks_test_values",
        {200: ResultSerializer},
        refuses=[*OF_A_BODY, 409, 422],
        parameters=[IDEMPOTENCY_KEY, _EVENT],
        request=WebhookValuesSerializer,
    )
    @action(detail=False, methods=["post"], url_path="test", permission_classes=[MayTest])
    @idempotent(atomic=False)
    def test_values(self, request: Request) -> Response:
        """Test the values of the body; nothing is saved."""
        return self._test(self.get_serializer(data=request.data))

    @operation(
        "webhooks_test",
        {200: ResultSerializer},
        refuses=[*OF_A_BODY, 404, 409, 422],
        parameters=[IDEMPOTENCY_KEY, _EVENT],
        request=WebhookValuesSerializer(partial=True),
    )
    @action(detail=True, methods=["post"], url_path="test", permission_classes=[MayTest])
    @idempotent(atomic=False)
    def test_saved(self, request: Request, pk: str) -> Response:
        """Test a saved webhook; values of the body go over the saved ones and stay unsaved."""
        webhook = self.get_object()
        return self._test(self.get_serializer(webhook, data=request.data, partial=True))

    @operation(
        "webhooks_rotate_secret",
        {200: NewSecretSerializer},
        refuses=[*OF_A_BODY, 404],
        request=None,
    )
    @action(
        detail=True, methods=["post"], url_path="rotate-secret", permission_classes=[MayChange]
    )
    def rotate_secret(self, request: Request, pk: str) -> Response:
        """A new signing secret, told this once; the old one signs along for 24 hours."""
        NoFields(data=request.data).is_valid(raise_exception=True)
        try:
            secret = rotate_signing_secret(self.get_object().pk)
        except EncryptionError as error:
            raise ValidationError({"url": [str(error)]}) from None
        except Webhook.DoesNotExist:
            raise NotFound from None
        return Response({"signing_secret": secret.reveal()}, headers={"Cache-Control": "no-store"})

    @operation("webhooks_stats", {200: StatsSerializer}, refuses=[404])
    @action(detail=True, methods=["get"])
    def stats(self, request: Request, pk: str) -> Response:
        """How the webhook's deliveries went in the last 24 hours, and what waits."""
        return Response(asdict(stats_of(self.get_object().pk, timezone.now())))

    @operation(
        "replays_list", {200: ReplaySerializer(many=True)}, refuses=[400, 404], filters=False
    )
    @action(detail=True, methods=["get"], url_path="replay", permission_classes=[MayReplay])
    def replays(self, request: Request, pk: str) -> Response:
        """The webhook's replays and how far they are, newest first."""
        refuse_unknown(request, self, set())
        rows: Any = Replay.objects.filter(webhook=self.get_object())
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(ReplaySerializer(page, many=True).data)

    @operation(
        "replays_start",
        {
            200: (CountSerializer, "Of a dry run: nothing is started."),
            202: (ReplaySerializer, "It is started."),
        },
        refuses=[*OF_A_BODY, 404, 409, 422],
        parameters=[IDEMPOTENCY_KEY],
        request=SelectionSerializer,
    )
    @replays.mapping.post
    @idempotent(atomic=True)
    def start_replay(self, request: Request, pk: str) -> Response:
        """Have the workers send recorded events; ``dry_run`` only counts them."""
        asked = SelectionSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        webhook = self.get_object()
        if asked.validated_data["dry_run"]:
            return Response({"count": replay.would_send(webhook, asked.selection)})
        started = replay.start(webhook, asked.selection, describe_actor(request.user).id)
        journal.note(request.user, [started], journal.REPLAY_STARTED)
        return Response(ReplaySerializer(started).data, status=HTTP_202_ACCEPTED)

    @operation(
        "replays_cancel",
        {200: ReplaySerializer},
        refuses=[*OF_A_BODY, 404],
        parameters=[number_in_path("replay_id")],
        request=None,
    )
    @action(
        detail=True,
        methods=["post"],
        # As the keys of viewsets: what is no number is answered here, not by the host's own page.
        url_path=r"replay/(?P<replay_id>[^/.]+)/cancel",
        permission_classes=[MayResend],
    )
    def cancel_replay(self, request: Request, pk: str, replay_id: str) -> Response:
        """End a replay and what waits of it."""
        NoFields(data=request.data).is_valid(raise_exception=True)
        found = get_object_or_404(Replay.objects.all(), pk=replay_id, webhook=self.get_object())
        if replay.cancel(found) is not None:
            journal.note(request.user, [found], journal.REPLAY_CANCELLED)
        return Response(ReplaySerializer(found).data)

    def _chosen(self) -> Event | None:
        """The recorded event that a test is asked to send."""
        asked = self.request.query_params.get(EVENT)
        if asked is None:
            return None
        event = recorded(asked)
        if event is None:
            raise ValidationError({EVENT: [_("There is no event with this ID.")]})
        return event

    def _test(self, serializer: Any) -> Response:
        serializer.is_valid(raise_exception=True)
        event = self._chosen()
        # Not before: what is refused is no test.
        wait = take_test(self.request.user)
        if wait:
            throttled = Throttled(detail=refusal(wait))
            # Not given above: it would be told a second time.
            throttled.wait = wait  # type: ignore[attr-defined]
            raise throttled
        invocation = send_test(serializer.webhook, event)
        if invocation.webhook is not None:
            tested = journal.TESTED % {"result": verdict(invocation)}
            journal.note(self.request.user, [invocation.webhook], tested)
        return Response(
            {
                "result": verdict(invocation),
                "invocation": TestedInvocationSerializer(invocation).data,
            }
        )

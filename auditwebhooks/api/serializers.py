"""Webhooks, invocations and events as JSON. The rules of a webhook are the model's."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError as ModelValidationError
from django.db import IntegrityError, models, router, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers

from auditwebhooks import rules
from auditwebhooks.api.fields import (
    ActorTypeField,
    CountField,
    FlagField,
    HeadersField,
    MethodField,
    NameField,
    OutcomeField,
    PayloadField,
    ReplayStatusField,
    StatusField,
    StoredHeadersField,
    TextField,
    TextsField,
    TimingsField,
    TriggerField,
    TypeField,
    URLField,
    ValidationResultsField,
    ValidatorsField,
)
from auditwebhooks.api.openapi import Base, component
from auditwebhooks.delivery.selection import Selection
from auditwebhooks.enums import (
    ActorType,
    Method,
    Outcome,
    ReplayStatus,
    Status,
    Trigger,
    WebhookType,
)
from auditwebhooks.models import Event, Invocation, Replay, Webhook

if TYPE_CHECKING:
    WebhookModelSerializer = serializers.ModelSerializer[Webhook]
    InvocationModelSerializer = serializers.ModelSerializer[Invocation]
    EventModelSerializer = serializers.ModelSerializer[Event]
    ReplayModelSerializer = serializers.ModelSerializer[Replay]
else:
    WebhookModelSerializer = serializers.ModelSerializer
    InvocationModelSerializer = serializers.ModelSerializer
    EventModelSerializer = serializers.ModelSerializer
    ReplayModelSerializer = serializers.ModelSerializer


class KnownFields(Base):
    """Refuses by name what is no field."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = sorted(set(data) - set(self.fields)) if isinstance(data, Mapping) else []
        if unknown:
            reason = _("There is no such field.")
            raise serializers.ValidationError({str(name): [reason] for name in unknown})
        return super().to_internal_value(data)


@component("AuditNothing")
class NoFields(KnownFields):
    """For a request that says all by its URL."""


@component("AuditWebhook")
class WebhookSerializer(KnownFields, WebhookModelSerializer):
    """A webhook; its secrets are told as "***"."""

    serializer_field_mapping = {
        **WebhookModelSerializer.serializer_field_mapping,
        models.BooleanField: FlagField,
        models.TextField: TextField,
    }
    name = NameField(max_length=rules.NAME_LENGTH)
    type = TypeField(choices=WebhookType.choices, required=False)
    method = MethodField(choices=Method.choices, required=False)
    # Read masked; "***" keeps what is stored.
    headers = HeadersField(required=False)
    signing_secret = TextField(required=False, allow_blank=True)
    url = URLField()
    response_validators = ValidatorsField(required=False)
    event_types = TextsField(required=False)
    timeout_in_sec = CountField(required=False, allow_null=True, validators=[rules.check_timeout])
    max_attempts = CountField(
        required=False, allow_null=True, validators=[rules.check_max_attempts]
    )
    max_per_minute = CountField(
        required=False, allow_null=True, validators=[rules.check_max_per_minute]
    )

    # After ``is_valid()``: with the given values, not saved yet.
    webhook: Webhook

    class Meta:
        model = Webhook
        fields = (
            "id",
            "name",
            "active",
            "type",
            "method",
            "url",
            "body_template",
            "headers",
            "timeout_in_sec",
            "response_validators",
            "event_types",
            "signing_secret",
            "max_attempts",
            "retry_on_validation",
            "max_per_minute",
            "created_at",
            "updated_at",
            "last_success_at",
            "last_failure_at",
            "consecutive_failures",
            "paused_until",
            "disabled_reason",
        )
        read_only_fields = (
            "id",
            "created_at",
            "updated_at",
            "last_success_at",
            "last_failure_at",
            "consecutive_failures",
            "paused_until",
            "disabled_reason",
        )

    def __repr__(self) -> str:
        # REST framework's own shows the data that it was given, and error reports show reprs.
        return f"<{type(self).__name__}>"

    def to_representation(self, instance: Webhook) -> dict[str, Any]:
        shown: dict[str, Any] = super().to_representation(instance)
        if not self._may_show_url():
            shown["url"] = instance.masked_url
        return shown

    def _may_show_url(self) -> bool:
        """Of one webhook, to those who may change it. A list has no path of anybody's."""
        user = getattr(self.context.get("request"), "user", None)
        is_listed = isinstance(self.parent, serializers.ListSerializer)
        return not is_listed and bool(user and user.has_perm("auditwebhooks.change_webhook"))

    def validate_url(self, url: str) -> str:
        """What a list told stands for what is stored, as "***" does in headers."""
        stored: Webhook | None = self.instance
        return url if stored is None or url != stored.masked_url else stored.url

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask the model, so that form, API and ``full_clean()`` answer alike."""
        webhook = copy.copy(self.instance) if self.instance else Webhook()
        for name, value in attrs.items():
            setattr(webhook, name, value)
        _clean(webhook)
        self.webhook = webhook
        return attrs

    def save(self, **kwargs: Any) -> Webhook:
        """What was read and is sent back is no change: no new ETag, and a pause goes on."""
        stored: Webhook | None = self.instance
        if stored is not None and not self._changes(stored):
            return stored
        using = router.db_for_write(Webhook)
        try:
            with transaction.atomic(using=using):
                self.webhook.save(using=using)
        except IntegrityError:
            # Somebody else was faster with this name.
            _clean(self.webhook)
            raise
        self.instance = self.webhook
        return self.webhook

    def _changes(self, stored: Webhook) -> bool:
        names = [str(field.field_name) for field in self._writable_fields]
        return any(getattr(self.webhook, name) != getattr(stored, name) for name in names)


def _clean(webhook: Webhook) -> None:
    try:
        webhook.full_clean()
    except ModelValidationError as error:
        raise serializers.ValidationError(error.message_dict) from None


@component("AuditWebhookValues")
class WebhookValuesSerializer(WebhookSerializer):
    """What may be written of a webhook. Names that can only be read are ignored."""

    class Meta(WebhookSerializer.Meta):
        fields = tuple(  # type: ignore[assignment]
            name
            for name in WebhookSerializer.Meta.fields
            if name not in WebhookSerializer.Meta.read_only_fields
        )


class LogSerializer(Base):
    """A row without what the context has by the name ``left_out``."""

    def get_fields(self) -> dict[str, Any]:
        left_out = self.context.get("left_out", ())
        return {name: one for name, one in super().get_fields().items() if name not in left_out}


@component("AuditInvocation")
class InvocationSerializer(LogSerializer, InvocationModelSerializer):
    """A list has the bodies only where they are asked for: they are most of what there is to
    read."""

    # Not for everybody.
    request_body = serializers.CharField(required=False)
    response_body = serializers.CharField(required=False)
    trigger = TriggerField(choices=Trigger.choices, read_only=True)
    status = StatusField(choices=Status.choices, read_only=True)
    outcome = OutcomeField(choices=Outcome.choices, read_only=True)
    request_headers = StoredHeadersField(read_only=True)
    response_headers = StoredHeadersField(read_only=True)
    validation_results = ValidationResultsField(read_only=True)
    timings = TimingsField(read_only=True)

    class Meta:
        model = Invocation
        fields = (
            "id",
            "webhook",
            "webhook_name",
            "event",
            "replay",
            "trigger",
            "attempt",
            "status",
            "outcome",
            "message",
            "request_method",
            "request_url",
            "request_headers",
            "request_body",
            "response_status",
            "response_headers",
            "response_body",
            "response_truncated",
            "validation_results",
            "duration_ms",
            "timings",
            "created_at",
            "due_at",
            "started_at",
            "finished_at",
        )
        read_only_fields = fields


@component("AuditTestedInvocation")
class TestedInvocationSerializer(InvocationSerializer):
    """Of a test, as it is told to whoever made it."""

    # Null where the webhook is not saved: such a test is not kept.
    id = serializers.IntegerField(read_only=True, allow_null=True)
    request_body = serializers.CharField(read_only=True)
    response_body = serializers.CharField(read_only=True)


@component("AuditEvent")
class EventSerializer(LogSerializer, EventModelSerializer):
    actor_type = ActorTypeField(choices=ActorType.choices, read_only=True)
    # Not for everybody.
    payload = PayloadField(required=False)

    class Meta:
        model = Event
        fields = (
            "id",
            "event_id",
            "event_type",
            "created_at",
            "action",
            "actor_id",
            "actor_name",
            "actor_type",
            "source",
            "target_type",
            "target_id",
            "target_name",
            "fanned_out_at",
            "payload",
        )
        read_only_fields = fields


@component("AuditReplaySelection")
class SelectionSerializer(KnownFields):
    """What to replay."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField(required=False, allow_null=True, default=None)
    event_types = TextsField(required=False)
    only_failed = FlagField(required=False, default=False)
    dry_run = FlagField(required=False, default=False)

    # After ``is_valid()``.
    selection: Selection

    def validate_event_types(self, patterns: Any) -> list[str]:
        """The webhook's own rule."""
        try:
            rules.check_event_types(patterns)
        except ModelValidationError as error:
            raise serializers.ValidationError(error.messages) from None
        return list(patterns)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        now = timezone.now()
        # What comes later is delivered by itself.
        until = min(attrs["until"] or now, now)
        if attrs["since"] >= until:
            late = attrs["until"] is None or attrs["since"] >= now
            reason = _("Enter a time in the past.") if late else _("Enter a time before until.")
            raise serializers.ValidationError({"since": [reason]})
        self.selection = Selection(
            since=attrs["since"],
            until=until,
            event_types=attrs.get("event_types", ()),
            only_failed=attrs["only_failed"],
        )
        return attrs


@component("AuditReplay")
class ReplaySerializer(ReplayModelSerializer):
    event_types = TextsField(read_only=True)
    status = ReplayStatusField(choices=ReplayStatus.choices, read_only=True)

    class Meta:
        model = Replay
        fields = (
            "id",
            "webhook",
            "webhook_name",
            "since",
            "until",
            "event_types",
            "only_failed",
            "requested_by",
            "status",
            "count",
            "queued",
            "created_at",
            "finished_at",
        )
        read_only_fields = fields

"""Answers that are no model's rows, for the OpenAPI schema."""

from __future__ import annotations

from rest_framework import serializers

from auditwebhooks.api.openapi import Base, component
from auditwebhooks.api.serializers import TestedInvocationSerializer


@component("AuditTestResult")
class ResultSerializer(Base):
    result = serializers.CharField(help_text="Test successful, or Test failed.")
    invocation = TestedInvocationSerializer()


@component("AuditNewSecret")
class NewSecretSerializer(Base):
    signing_secret = serializers.CharField()


@component("AuditReplayCount")
class CountSerializer(Base):
    count = serializers.IntegerField(help_text="Events that would be sent.")


@component("AuditWebhookStats")
class StatsSerializer(Base):
    hours = serializers.IntegerField(help_text="Attempts are those that began in the last hours.")
    by_status = serializers.DictField(child=serializers.IntegerField())
    by_outcome = serializers.DictField(child=serializers.IntegerField())
    success_rate = serializers.FloatField(
        allow_null=True, help_text="Of the attempts that ended; null: none did."
    )
    backlog = serializers.IntegerField(help_text="What waits or is being sent.")
    oldest_pending_age = serializers.FloatField(
        allow_null=True, help_text="Seconds since the first was due; null: nothing waits."
    )
    duration_ms_p50 = serializers.IntegerField(allow_null=True)
    duration_ms_p95 = serializers.IntegerField(allow_null=True)

"""Filters on every column that a list shows."""

from __future__ import annotations

from django_filters import rest_framework as filters

from auditwebhooks.models import Event, Invocation, Webhook

_TIMES = ["gte", "lt"]


class WebhookFilter(filters.FilterSet):
    class Meta:
        model = Webhook
        fields = {"name": ["exact"], "active": ["exact"], "method": ["exact"]}


class InvocationFilter(filters.FilterSet):
    class Meta:
        model = Invocation
        fields = {
            "webhook": ["exact"],
            "webhook_name": ["exact"],
            "event": ["exact"],
            "trigger": ["exact"],
            "attempt": ["exact"],
            "status": ["exact"],
            "outcome": ["exact"],
            "response_status": ["exact"],
            "created_at": _TIMES,
            "due_at": _TIMES,
            "finished_at": _TIMES,
        }


class EventFilter(filters.FilterSet):
    class Meta:
        model = Event
        fields = {
            "event_type": ["exact"],
            "action": ["exact"],
            "actor_id": ["exact"],
            "actor_type": ["exact"],
            "source": ["exact"],
            "target_type": ["exact"],
            "target_id": ["exact"],
            "created_at": _TIMES,
        }

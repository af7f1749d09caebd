"""On a webhook's page: how its deliveries of a day went."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from auditwebhooks.admin.display import ModelAdmin
from auditwebhooks.dashboard import webhook_chart


class ChartingAdmin(ModelAdmin):
    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        webhook = kwargs.get("obj")
        if webhook is not None and not webhook._state.adding:
            context["chart"] = webhook_chart(webhook.pk, timezone.now())
        return super().render_change_form(request, context, *args, **kwargs)

"""The audit log: read-only, newest first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from auditwebhooks.admin.attempts import attempts_context
from auditwebhooks.admin.changes import changes_of
from auditwebhooks.admin.confirming import ConfirmingAdmin
from auditwebhooks.admin.diff import visible
from auditwebhooks.admin.display import moment, pretty, word
from auditwebhooks.admin.filters import (
    ActionFilter,
    ObjectFilter,
    SourceFilter,
    TargetTypeFilter,
    TimeFilter,
)
from auditwebhooks.admin.links import may_view, page_of_target
from auditwebhooks.delivery.again import plan_events
from auditwebhooks.enums import Action, Source
from auditwebhooks.extract import Columns
from auditwebhooks.models import Event, Invocation
from auditwebhooks.seeing import may_see_payload


@admin.display(description=Event._meta.get_field("action").verbose_name)
def action(event: Event) -> str:
    return word(Action, event.action)


@admin.display(description=Event._meta.get_field("source").verbose_name)
def source(event: Event) -> str:
    return word(Source, event.source)


@admin.register(Event)
class EventAdmin(ConfirmingAdmin):
    plan = staticmethod(plan_events)
    list_display = ("time", action, "actor_name", "target", source)
    list_filter = (ObjectFilter, TimeFilter, ActionFilter, SourceFilter, TargetTypeFilter)
    # Each is found by an index of its own.
    search_fields = ("actor_id", "target_id", "event_id", "event_type")
    search_help_text = gettext_lazy(
        "The ID of an actor, a target or an event, or an event type, in full."
    )
    change_form_template = "admin/auditwebhooks/event/change_form.html"
    heavy = ("payload_text",)
    needed = ("event_type", "target_name", "fanned_out_at")
    export_columns = Columns(
        short={
            name: name
            for name in (
                "event_id",
                "event_type",
                "created_at",
                "action",
                "actor_id",
                "actor_name",
                "actor_type",
                "target_type",
                "target_id",
                "target_name",
                "source",
            )
        },
        long={"payload": "payload_text"},
        measured=("payload_text",),
    )
    payload_columns = ("payload",)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.payload_view)
        name = "auditwebhooks_event_payload"
        return [path("<path:object_id>/payload/", view, name=name), *super().get_urls()]

    def detail(self, request: HttpRequest, row: Event) -> dict[str, Any]:
        data = row.payload["data"]
        context = {
            "time": moment(row.created_at),
            "action": action(row),
            "source": source(row),
            "data": data,
            "target_url": page_of_target(self.admin_site, request, row),
        }
        if may_see_payload(request.user):
            context |= {
                "payload_url": self.url_of("payload", row.pk),
                "changes": changes_of(data),
                "metadata": [(name, _shown(value)) for name, value in data["metadata"].items()],
            }
        if may_view(self.admin_site, request, Invocation):
            context["may_view_invocations"] = True
            context.update(attempts_context(self.admin_site, request, row.invocations.all()))
        return context

    def payload_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The text as it was recorded."""
        event = self.get_object(request, object_id)
        if not (self.has_view_permission(request, event) and may_see_payload(request.user)):
            raise PermissionDenied
        if not isinstance(event, Event):
            raise Http404
        return HttpResponse(
            event.payload_text,
            content_type="application/json",
            headers={
                "Content-Disposition": f'attachment; filename="{event.event_id}.json"',
                "X-Content-Type-Options": "nosniff",
            },
        )

    @admin.display(description=gettext_lazy("Time"))
    def time(self, event: Event) -> str:
        return moment(event.created_at)

    @admin.display(description=gettext_lazy("Target"))
    def target(self, event: Event) -> str:
        return f"{event.target_type}: {event.target_name}" if event.target_type else "-"


def _shown(value: Any) -> str | SafeString:
    """A value of the metadata."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return visible(", ".join(value))
    if isinstance(value, str):
        return visible(value)
    return pretty(value) if isinstance(value, dict | list) else format_html("{}", str(value))

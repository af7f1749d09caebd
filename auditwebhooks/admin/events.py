"""The audit log: read-only, newest first."""

from __future__ import annotations

from functools import reduce
from operator import or_

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy

from auditwebhooks.admin.display import link, pretty
from auditwebhooks.admin.filters import (
    ActionFilter,
    SourceFilter,
    TargetTypeFilter,
    TimeFilter,
)
from auditwebhooks.admin.logs import LogAdmin
from auditwebhooks.delivery.again import send_events_again
from auditwebhooks.models import Event


@admin.register(Event)
class EventAdmin(LogAdmin):
    actions = ("send_again",)
    list_display = ("created_at", "action", "actor_name", "target", "source")
    list_filter = (TimeFilter, ActionFilter, SourceFilter, TargetTypeFilter)
    # Each is found by an index of its own.
    search_fields = ("actor_id", "target_id", "event_id", "event_type")
    search_help_text = gettext_lazy(
        "The ID of an actor, a target or an event, or an event type, in full."
    )
    heavy = ("payload_text",)
    needed = ("event_type", "target_name", "fanned_out_at")
    fields = (
        "created_at",
        "event_type",
        "event_id",
        "action",
        "actor",
        "target",
        "source",
        "metadata",
        "previous_object",
        "current_object",
        "invocation_list",
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Event], search_term: str
    ) -> tuple[QuerySet[Event], bool]:
        """The whole text, as it stands: only so it is found by index on every database."""
        term = search_term.strip()
        if term:
            queryset = queryset.filter(
                reduce(or_, (Q(**{column: term}) for column in self.search_fields))
            )
        return queryset, False

    def get_readonly_fields(
        self, request: HttpRequest, obj: Event | None = None
    ) -> tuple[str, ...]:
        return self.fields

    @admin.action(permissions=["resend"], description=gettext_lazy("Send again"))
    def send_again(self, request: HttpRequest, queryset: QuerySet[Event]) -> None:
        self.resend(request, queryset, send_events_again)

    @admin.display(description=gettext_lazy("Target"))
    def target(self, event: Event) -> str:
        return f"{event.target_type}: {event.target_name}" if event.target_type else "-"

    @admin.display(description=gettext_lazy("Actor"))
    def actor(self, event: Event) -> str:
        return f"{event.actor_name} ({event.actor_id}, {event.get_actor_type_display()})"

    @admin.display(description=gettext_lazy("Metadata"))
    def metadata(self, event: Event) -> str:
        return pretty(event.payload["data"]["metadata"])

    @admin.display(description=gettext_lazy("Before"))
    def previous_object(self, event: Event) -> str:
        return pretty(event.payload["data"]["previous_target_object"])

    @admin.display(description=gettext_lazy("After"))
    def current_object(self, event: Event) -> str:
        return pretty(event.payload["data"]["current_target_object"])

    @admin.display(description=gettext_lazy("Invocations"))
    def invocation_list(self, event: Event) -> SafeString:
        invocations = event.invocations.order_by("id").only("webhook_name", "attempt", "status")
        return format_html_join(
            " ",
            "<div>{}</div>",
            (
                (
                    link(
                        self.admin_site,
                        invocation,
                        f"{invocation.webhook_name}, {invocation.attempt}: "
                        f"{invocation.get_status_display()}",
                    ),
                )
                for invocation in invocations[:100]
            ),
        )

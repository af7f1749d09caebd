"""Every call that was or will be made: read-only, newest first."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from auditwebhooks.admin.display import invocation_dot, link, moment, phases, pretty
from auditwebhooks.admin.filters import (
    OutcomeFilter,
    StatusFilter,
    TimeFilter,
    TriggerFilter,
    WebhookFilter,
)
from auditwebhooks.admin.logs import LogAdmin
from auditwebhooks.delivery.again import send_again
from auditwebhooks.models import Invocation


@admin.register(Invocation)
class InvocationAdmin(LogAdmin):
    actions = ("send_again",)
    list_display = (
        "created_at",
        "webhook_name",
        "shown_status",
        "outcome",
        "response_status",
        "attempt",
        "trigger",
    )
    list_filter = (TimeFilter, WebhookFilter, StatusFilter, OutcomeFilter, TriggerFilter)
    heavy = ("request_headers", "request_body", "response_headers", "response_body")
    needed = ("webhook_id", "webhook_name", "event_id", "trigger")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "webhook_link",
                    "event_link",
                    "trigger",
                    "attempt",
                    "shown_status",
                    "outcome",
                    "message",
                )
            },
        ),
        (
            gettext_lazy("Request"),
            {"fields": ("request_method", "request_url", "sent_headers", "sent_body")},
        ),
        (
            gettext_lazy("Response"),
            {
                "fields": (
                    "response_status",
                    "received_headers",
                    "received_body",
                    "cut",
                    "validators",
                )
            },
        ),
        (
            gettext_lazy("Times"),
            {"fields": ("created", "due", "started", "finished", "duration_ms", "phases")},
        ),
    )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return [name for _title, options in self.fieldsets for name in options["fields"]]

    @admin.action(permissions=["resend"], description=gettext_lazy("Send again"))
    def send_again(
        self, request: HttpRequest, queryset: QuerySet[Invocation]
    ) -> HttpResponse | None:
        return self.resend(request, queryset, send_again)

    @admin.display(description=gettext_lazy("Status"), ordering="status")
    def shown_status(self, invocation: Invocation) -> SafeString:
        return invocation_dot(invocation)

    @admin.display(description=gettext_lazy("Webhook"))
    def webhook_link(self, invocation: Invocation) -> SafeString:
        return link(self.admin_site, invocation.webhook, invocation.webhook_name)

    @admin.display(description=gettext_lazy("Event"))
    def event_link(self, invocation: Invocation) -> SafeString:
        return link(self.admin_site, invocation.event, invocation.event or "-")

    @admin.display(description=gettext_lazy("Headers"))
    def sent_headers(self, invocation: Invocation) -> str:
        return pretty(invocation.request_headers)

    @admin.display(description=gettext_lazy("Body"))
    def sent_body(self, invocation: Invocation) -> str:
        return pretty(invocation.request_body)

    @admin.display(description=gettext_lazy("Headers"))
    def received_headers(self, invocation: Invocation) -> str:
        return pretty(invocation.response_headers)

    @admin.display(description=gettext_lazy("Body"))
    def received_body(self, invocation: Invocation) -> str:
        return pretty(invocation.response_body)

    @admin.display(description=gettext_lazy("Stored body"))
    def cut(self, invocation: Invocation) -> str:
        return _("only the beginning") if invocation.response_truncated else _("complete")

    @admin.display(description=gettext_lazy("Response validators"))
    def validators(self, invocation: Invocation) -> str:
        return render_to_string(
            "admin/auditwebhooks/validation_results.html",
            {"results": invocation.validation_results},
        )

    @admin.display(description=gettext_lazy("Phases"))
    def phases(self, invocation: Invocation) -> str:
        return render_to_string("admin/auditwebhooks/phases.html", {"phases": phases(invocation)})

    @admin.display(description=gettext_lazy("Created"))
    def created(self, invocation: Invocation) -> str:
        return moment(invocation.created_at)

    @admin.display(description=gettext_lazy("Due"))
    def due(self, invocation: Invocation) -> str:
        return moment(invocation.due_at)

    @admin.display(description=gettext_lazy("Started"))
    def started(self, invocation: Invocation) -> str:
        return moment(invocation.started_at)

    @admin.display(description=gettext_lazy("Finished"))
    def finished(self, invocation: Invocation) -> str:
        return moment(invocation.finished_at)

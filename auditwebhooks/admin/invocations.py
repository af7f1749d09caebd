"""Every call that was or will be made: read-only, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from auditwebhooks.admin.attempts import attempts_context
from auditwebhooks.admin.confirming import ConfirmingAdmin
from auditwebhooks.admin.curl import curl_of
from auditwebhooks.admin.display import invocation_dot, moment, phases, pretty
from auditwebhooks.admin.filters import (
    OutcomeFilter,
    StatusFilter,
    TimeFilter,
    TriggerFilter,
    WebhookFilter,
)
from auditwebhooks.admin.links import page_of
from auditwebhooks.admin.logs import LogChangeList
from auditwebhooks.admin.tips import tip
from auditwebhooks.delivery.again import plan
from auditwebhooks.delivery.selection import Selection
from auditwebhooks.enums import Status, Trigger
from auditwebhooks.extract import Columns
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.seeing import BODIES, may_see_payload
from auditwebhooks.sentences import shown


@admin.register(Invocation)
class InvocationAdmin(ConfirmingAdmin):
    plan = staticmethod(plan)
    list_display = (
        "time",
        "shown_webhook",
        "about",
        # What matters most first: on a small screen one has to scroll to the last.
        "shown_status",
        "outcome",
        "http_status",
        "trigger",
        "attempt",
        "duration",
    )
    list_filter = (TimeFilter, WebhookFilter, StatusFilter, OutcomeFilter, TriggerFilter)
    search_fields = ("event__event_id",)
    search_help_text = gettext_lazy("The ID of an event, in full.")
    change_form_template = "admin/auditwebhooks/invocation/change_form.html"
    heavy = (
        "request_headers",
        "request_body",
        "response_headers",
        "response_body",
        "validation_results",
        "timings",
    )
    needed = ("webhook_id", "webhook_name", "event_id", "trigger")
    # Masked as they are stored.
    export_columns = Columns(
        short={
            "id": "pk",
            "webhook": "webhook_id",
            "webhook_name": "webhook_name",
            "event_id": "event__event_id",
            "event_type": "event__event_type",
            "target_name": "event__target_name",
            **{
                name: name
                for name in (
                    "trigger",
                    "attempt",
                    "status",
                    "outcome",
                    "message",
                    "request_method",
                    "request_url",
                    "response_status",
                    "duration_ms",
                    "created_at",
                    "due_at",
                    "started_at",
                    "finished_at",
                )
            },
        },
        long={
            name: name
            for name in (
                "request_headers",
                "request_body",
                "response_headers",
                "response_body",
                "response_truncated",
                "validation_results",
                "timings",
            )
        },
        measured=BODIES,
    )
    payload_columns = BODIES

    def get_queryset(self, request: HttpRequest) -> QuerySet[Invocation]:
        rows = super().get_queryset(request).select_related("event")
        return rows.defer("event__payload_text")

    def detail(self, request: HttpRequest, row: Invocation) -> dict[str, Any]:
        site = self.admin_site
        shown_bodies = _bodies(row) if may_see_payload(request.user) else {}
        return {
            **shown_bodies,
            "webhook_url": page_of(site, request, row.webhook),
            "event_url": page_of(site, request, row.event),
            "shown_status": invocation_dot(row),
            "message": shown(row.message),
            "tip": tip(row.outcome, row.response_status),
            "next": _next(row),
            "phases": phases(row),
            "times": [
                (_("Created"), moment(row.created_at)),
                (_("Due"), moment(row.due_at)),
                (_("Started"), moment(row.started_at)),
                (_("Finished"), moment(row.finished_at)),
            ],
            **attempts_context(site, request, _of_its_delivery(row), row),
        }

    def replay_of(self, found: LogChangeList) -> tuple[Webhook, Selection] | None:
        """One webhook's, of a time, all or those that failed."""
        given = {name: values[-1] for name, values in found.filter_params.items() if values[-1]}
        status = given.pop("status", None)
        webhook = Webhook.objects.filter(pk=given.pop("webhook", None)).first()
        if webhook is None or status not in (None, Status.FAILED):
            return None
        if not set(given) <= set(TimeFilter.PARAMETERS):
            return None
        [time] = [spec for spec in found.filter_specs if isinstance(spec, TimeFilter)]
        since, until = time.bounds()
        now = timezone.now()
        return webhook, Selection(
            since=since or _first_event() or now,
            until=min(until or now, now),
            only_failed=status == Status.FAILED,
        )

    @admin.display(description=gettext_lazy("Time"))
    def time(self, invocation: Invocation) -> str:
        return moment(invocation.created_at)

    @admin.display(description=gettext_lazy("Webhook"))
    def shown_webhook(self, invocation: Invocation) -> str:
        return invocation.webhook_name

    @admin.display(description=gettext_lazy("Event"))
    def about(self, invocation: Invocation) -> str:
        event = invocation.event
        if event is None:
            return "-"
        # Without the app; nine columns have little room.
        kind = event.event_type.partition(".")[2] or event.event_type
        return f"{kind} {event.target_name}".strip()

    @admin.display(description=gettext_lazy("Status"))
    def shown_status(self, invocation: Invocation) -> SafeString:
        return invocation_dot(invocation)

    @admin.display(description=gettext_lazy("HTTP status"), empty_value="-")
    def http_status(self, invocation: Invocation) -> int | None:
        return invocation.response_status

    @admin.display(description=pgettext_lazy("of a call", "Duration"), empty_value="-")
    def duration(self, invocation: Invocation) -> str | None:
        if invocation.duration_ms is None:
            return None
        return _("%d ms") % invocation.duration_ms


def _bodies(row: Invocation) -> dict[str, Any]:
    return {
        "may_see_payload": True,
        "request_body": pretty(row.request_body),
        "response_body": pretty(row.response_body),
        "curl": curl_of(row),
    }


def _first_event() -> datetime | None:
    first = Event.objects.order_by("created_at", "id")
    return first.values_list("created_at", flat=True).first()


def _of_its_delivery(row: Invocation) -> QuerySet[Invocation]:
    """All attempts to bring this event to this webhook, those that were asked for by hand, too."""
    if row.event_id is None or row.webhook_id is None:
        return Invocation.objects.filter(pk=row.pk)
    return Invocation.objects.filter(event_id=row.event_id, webhook_id=row.webhook_id)


def _next(row: Invocation) -> str:
    """Whether and when it is tried, or tried again; empty where there is nothing to tell."""
    if row.trigger == Trigger.TEST or row.status == Status.SUCCEEDED:
        return ""
    if row.status == Status.SENDING:
        return _("It is being sent.")
    if row.status == Status.PENDING:
        return _when(row)
    later = _of_its_delivery(row).filter(pk__gt=row.pk, status=Status.PENDING)
    waiting = later.only("attempt", "due_at", "event", "webhook").order_by("pk").first()
    if waiting is None:
        return _("No other attempt follows by itself.")
    return _when(waiting)


def _when(waiting: Invocation) -> str:
    numbers = {"attempt": waiting.attempt, "time": moment(waiting.due_at)}
    told = _("Attempt %(attempt)d is due %(time)s.") % numbers
    webhook = waiting.webhook
    if webhook is None:
        return told
    if not webhook.active:
        # gettext's tools do not look into an f-string.
        waits = _("It waits until the webhook is switched on.")
        return f"{told} {waits}"
    if webhook.paused_until is not None:
        held = _("The webhook is paused until %s.") % moment(webhook.paused_until)
        return f"{told} {held}"
    return told

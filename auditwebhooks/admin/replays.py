"""Replays and how far they are: read-only, newest first. They are asked for in the API."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from auditwebhooks import journal
from auditwebhooks.admin.display import ReadOnlyAdmin, dot, labelled, link, moment
from auditwebhooks.admin.links import page_of
from auditwebhooks.admin.resending import may_resend
from auditwebhooks.delivery.replay import cancel
from auditwebhooks.enums import ReplayStatus
from auditwebhooks.models import Replay

_COLOURS = {ReplayStatus.RUNNING: "amber", ReplayStatus.FINISHED: "green"}


@admin.register(Replay)
class ReplayAdmin(ReadOnlyAdmin):
    list_display = (
        "created_at",
        "webhook_name",
        "shown_status",
        "progress",
        "only_what_failed",
        "requester",
    )
    list_filter = ("status", "created_at")
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    list_per_page = 50
    actions = ("cancel",)
    fields = (
        "webhook_link",
        "shown_status",
        "progress",
        "from_time",
        "until_time",
        "patterns",
        "only_failed",
        "requested_by",
        "created",
        "finished",
    )

    class Media:
        css = {"all": ("auditwebhooks/admin.css",)}

    def get_readonly_fields(
        self, request: HttpRequest, obj: Replay | None = None
    ) -> tuple[str, ...]:
        return self.get_fields(request, obj)

    def get_fields(self, request: HttpRequest, obj: Replay | None = None) -> tuple[str, ...]:
        """The webhook as a link, for those who may view it."""
        if obj is None or page_of(self.admin_site, request, obj.webhook):
            return self.fields
        return ("webhook_name", *self.fields[1:])

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Who may start one sees how far it is."""
        return super().has_view_permission(request, obj) or may_resend(request)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return may_resend(request)

    @admin.action(permissions=["resend"], description=gettext_lazy("Cancel"))
    def cancel(self, request: HttpRequest, queryset: QuerySet[Replay]) -> None:
        ended = {one: number for one in queryset if (number := cancel(one)) is not None}
        if not ended:
            text = _("Nothing was cancelled: it has ended already.")
            self.message_user(request, text, messages.INFO)
            return
        journal.note(request.user, list(ended), journal.REPLAY_CANCELLED)
        number = sum(ended.values())
        text = ngettext(
            "Cancelled. %d delivery that waited is ended.",
            "Cancelled. %d deliveries that waited are ended.",
            number,
        )
        self.message_user(request, text % number, messages.SUCCESS)

    @admin.display(description=gettext_lazy("Status"), ordering="status")
    def shown_status(self, replay: Replay) -> SafeString:
        colour = _COLOURS.get(ReplayStatus(replay.status), "white")
        return dot(colour, replay.get_status_display())

    @admin.display(description=gettext_lazy("Progress"))
    def progress(self, replay: Replay) -> str:
        numbers = {"queued": replay.queued, "count": replay.count}
        return _("%(queued)d of %(count)d queued") % numbers

    @admin.display(
        description=gettext_lazy("only failed or never attempted"), ordering="only_failed"
    )
    def only_what_failed(self, replay: Replay) -> SafeString:
        word = _("Yes") if replay.only_failed else _("No")
        return labelled(capfirst(_("only failed or never attempted")), word)

    @admin.display(description=gettext_lazy("requested by"), ordering="requested_by")
    def requester(self, replay: Replay) -> SafeString:
        return labelled(capfirst(_("requested by")), replay.requested_by)

    @admin.display(description=gettext_lazy("Webhook"))
    def webhook_link(self, replay: Replay) -> SafeString:
        return link(self.admin_site, replay.webhook, replay.webhook_name)

    @admin.display(description=gettext_lazy("Event types"))
    def patterns(self, replay: Replay) -> str:
        return ", ".join(replay.event_types) or _("every event")

    @admin.display(description=gettext_lazy("Recorded since"))
    def from_time(self, replay: Replay) -> str:
        return moment(replay.since)

    @admin.display(description=gettext_lazy("Recorded before"))
    def until_time(self, replay: Replay) -> str:
        return moment(replay.until)

    @admin.display(description=gettext_lazy("Created"))
    def created(self, replay: Replay) -> str:
        return moment(replay.created_at)

    @admin.display(description=gettext_lazy("Finished"))
    def finished(self, replay: Replay) -> str:
        return moment(replay.finished_at)

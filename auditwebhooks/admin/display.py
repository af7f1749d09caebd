"""How values are shown: dots with words, pretty JSON, links. Everything is escaped."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db.models import Model, QuerySet, TextChoices
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from auditwebhooks.enums import Phase, Status
from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.sentences import shown
from auditwebhooks.states import told
from auditwebhooks.status import state_of

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:
    ModelAdmin = admin.ModelAdmin


# Ends of the names of pages that look at many rows.
_OF_MANY = ("_changelist", "_export", "_send_again")


class NotedAdmin(ModelAdmin):
    """Its history tells what was noted in English in the reader's language: see ``journal``."""

    def history_view(self, *args: Any, **kwargs: Any) -> HttpResponse:
        response = super().history_view(*args, **kwargs)
        told: Any = getattr(response, "context_data", None) or {}
        # Read once: the template gets the same objects.
        for entry in told["action_list"].object_list if "action_list" in told else ():
            entry.change_message = shown(entry.change_message)
        return response


class ReadOnlyAdmin(NotedAdmin):
    """A log: looked at, never written by hand."""

    change_form_template = "admin/auditwebhooks/log_change_form.html"
    # Columns that a list does not show, and must neither load nor be narrowed by: what is in some
    # of them takes the right to see payloads.
    heavy: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        match = request.resolver_match
        is_list = match is not None and str(match.url_name).endswith(_OF_MANY)
        return rows.defer(*self.heavy) if is_list else rows

    def lookup_allowed(self, lookup: str, value: Any, request: Any = None) -> bool:
        """Django allows every column of the model: whose rows match would tell what is in it."""
        is_heavy = lookup.partition(LOOKUP_SEP)[0] in self.heavy
        return not is_heavy and super().lookup_allowed(lookup, value, request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


def dot(kind: str, word: str, title: str = "") -> SafeString:
    """A coloured dot, and the word for those who do not see colours; ``title``: why it is so."""
    return format_html(
        '<span class="auditwebhooks-status"{}><span class="auditwebhooks-dot '
        'auditwebhooks-dot-{}" aria-hidden="true"></span> {}</span>',
        format_html(' title="{}"', title) if title else "",
        kind,
        word,
    )


def labelled(label: str, value: object) -> SafeString:
    """What tells nothing by itself: where a small screen has no columns, the label stands beside
    it. See admin.css."""
    return format_html('<span data-auditwebhooks-label="{}">{}</span>', label, value)


def word(choices: type[TextChoices], value: str) -> str:
    """What people read for a stored value; words of a host's own as they are."""
    return str(dict(choices.choices).get(value, value))


def moment(value: datetime | None) -> str:
    """A time in the viewer's zone, with seconds: several of one attempt differ by little."""
    if value is None:
        return "-"
    local = timezone.localtime(value) if timezone.is_aware(value) else value
    return f"{date_format(local)} {local:%H:%M:%S}"


def status_dot(webhook: Webhook) -> SafeString:
    """As the dashboard tells it; what the system switched off stands out."""
    state = told(state_of(webhook), webhook.disabled_reason)
    if not state.why:
        return dot(state.colour, state.words, pause_text(webhook) if webhook.active else "")
    words = format_html('<strong class="auditwebhooks-alarm">{}</strong>', state.words)
    return dot(state.colour, words, state.why)


def pause_text(webhook: Webhook) -> str:
    """Until when, and why; empty where it is not paused."""
    if webhook.paused_until is None:
        return ""
    told = {"moment": moment(webhook.paused_until), "reason": webhook.pause_reason}
    return _("Until %(moment)s: %(reason)s") % told


_COLOURS = {Status.SUCCEEDED: "green", Status.FAILED: "red", Status.SENDING: "amber"}


def invocation_dot(invocation: Invocation) -> SafeString:
    colour = _COLOURS.get(Status(invocation.status), "white")
    return dot(colour, invocation.get_status_display())


def pretty(value: Any) -> str:
    """JSON data, or text that may be JSON, indented in a block; a dash for nothing."""
    if isinstance(value, str):
        try:
            return _indented(json.loads(value))
        except (ValueError, RecursionError):
            return _block(value)
    return _indented(value)


def _indented(value: Any) -> str:
    return _block(json.dumps(value, indent=2, ensure_ascii=False))


def _block(text: str) -> str:
    if not text:
        return "-"
    return format_html('<pre class="auditwebhooks-code" dir="ltr" tabindex="0">{}</pre>', text)


def phases(invocation: Invocation) -> list[tuple[str, float]]:
    """Each phase of a call that there was, in words, with its milliseconds."""
    taken = invocation.timings
    return [(str(phase.label), taken[phase]) for phase in Phase if phase in taken]


def link(site: admin.AdminSite, target: Model | None, words: object) -> SafeString:
    """A link to the target's page in the same admin."""
    if target is None:
        return format_html("{}", words)
    meta = target._meta
    name = f"{site.name}:{meta.app_label}_{meta.model_name}_change"
    return format_html('<a href="{}">{}</a>', reverse(name, args=[target.pk]), words)

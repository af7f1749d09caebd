"""*Send all again* on the lists of the logs: how many deliveries that would be and to whom, a
question, and only then the deliveries. Where a request cannot do it, the workers may."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from auditwebhooks import journal
from auditwebhooks.admin.display import moment
from auditwebhooks.admin.exporting import ExportingAdmin, is_across, query_words
from auditwebhooks.admin.filters import TimeFilter
from auditwebhooks.admin.links import page_of
from auditwebhooks.admin.logs import LogChangeList
from auditwebhooks.admin.resending import MOST
from auditwebhooks.context import describe_actor
from auditwebhooks.delivery.again import Again, Plan, carry_out
from auditwebhooks.delivery.replay import start
from auditwebhooks.delivery.selection import Selection
from auditwebhooks.models import Webhook

# Webhooks that the page names.
_MOST_NAMES = 20


class ConfirmingAdmin(ExportingAdmin):
    actions: Any = ("send_again", *ExportingAdmin.actions)
    # Rows -> what sending them again would do.
    plan: Callable[[Any], Plan]

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.send_again_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_send_again"
        return [path("send-again/", view, name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        url = self.url_of("send_again") if self.has_resend_permission(request) else ""
        return super().changelist_view(request, {"send_all_url": url, **(extra_context or {})})

    @admin.action(permissions=["resend"], description=gettext_lazy("Send again"))
    def send_again(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        if is_across(request):
            return HttpResponseRedirect(f"{self.url_of('send_again')}?{request.GET.urlencode()}")
        return self.resend(request, queryset, self._send)

    def _send(self, rows: list[Any]) -> Again:
        return carry_out(type(self).plan(rows))

    def send_again_view(self, request: HttpRequest) -> HttpResponse:
        """Of all that the list with this query shows."""
        if not (self.has_view_permission(request) and self.has_resend_permission(request)):
            raise PermissionDenied
        try:
            found: Any = self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            return HttpResponseRedirect(self.url_of("changelist"))
        if request.method != "POST":
            return self._question(request, found)
        if "_replay" in request.POST:
            return self._replay(request, found)
        return self._send_all(request, found)

    def replay_of(self, found: LogChangeList) -> tuple[Webhook, Selection] | None:
        """What a replay would send where these are too many; None: no replay sends just that."""
        return None

    def _question(self, request: HttpRequest, found: LogChangeList) -> HttpResponse:
        rows = self.sendable(found.queryset)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": _("Send all again"),
            "most": MOST,
            "count": len(rows),
            "words": list(_words(found)),
            "list_url": self.url_of("changelist") + found.get_query_string(),
        }
        if len(rows) > MOST:
            context["replay"] = self._told_replay(found)
        else:
            context |= _told_plan(type(self).plan(rows))
            context["through"] = max((row.pk for row in rows), default=0)
        return TemplateResponse(request, "admin/auditwebhooks/send_again.html", context)

    def _told_replay(self, found: LogChangeList) -> dict[str, Any] | None:
        replay = self.replay_of(found)
        if replay is None:
            return None
        webhook, selection = replay
        return {
            "webhook": webhook.name,
            "only_failed": selection.only_failed,
            "since": moment(selection.since),
            "until": moment(selection.until),
        }

    def _send_all(self, request: HttpRequest, found: LogChangeList) -> HttpResponse:
        """What came after the question is not sent: nobody was asked about it."""
        through = request.POST.get("through", "")
        if not through.isdecimal():
            return HttpResponseRedirect(request.get_full_path())
        rows = self.sendable(found.queryset.filter(pk__lte=int(through[:18])))
        if len(rows) > MOST:
            return HttpResponseRedirect(request.get_full_path())
        again = self._send(rows)
        if again.queued:
            told = {"count": len(again.queued), "what": query_words(request)}
            journal.note_many(request.user, self.model, journal.ALL_SENT_AGAIN % told)
        self.tell(request, again)
        return HttpResponseRedirect(self.url_of("changelist") + found.get_query_string())

    def _replay(self, request: HttpRequest, found: LogChangeList) -> HttpResponse:
        replay = self.replay_of(found)
        if replay is None:
            return HttpResponseRedirect(request.get_full_path())
        started = start(*replay, describe_actor(request.user).id)
        journal.note(request.user, [started], journal.REPLAY_STARTED)
        text = _("The replay is started: %d events.") % started.count
        self.message_user(request, text, messages.SUCCESS)
        page = page_of(self.admin_site, request, started)
        return HttpResponseRedirect(page or self.url_of("changelist"))


def _told_plan(plan: Plan) -> dict[str, Any]:
    counts = Counter(webhook_id for webhook_id, _event_id in plan.pairs)
    names = dict(Webhook.objects.filter(pk__in=counts).values_list("pk", "name"))
    webhooks = [(names[one], count) for one, count in counts.most_common() if one in names]
    return {
        "deliveries": len(plan.pairs),
        "webhooks": webhooks[:_MOST_NAMES],
        "more_webhooks": len(webhooks[_MOST_NAMES:]),
        "refused": Counter(one.reason for one in plan.refused).most_common(),
    }


def _words(found: LogChangeList) -> Iterator[tuple[str, str]]:
    """Search and filters, as the list names them."""
    if found.query:
        yield _("Search"), found.query
    for spec in found.filter_specs:
        # The first of them is: all.
        for choice in list(spec.choices(found))[1:]:
            if choice["selected"]:
                yield str(spec.title), str(choice["display"])
        if isinstance(spec, TimeFilter) and (spec.since or spec.until):
            yield str(spec.title), f"{spec.since or '...'} - {spec.until or '...'}"
    # Columns that a URL names itself, as Django's lists let it.
    known = {name for spec in found.filter_specs for name in spec.expected_parameters()}
    for name, values in found.get_filters_params().items():
        if name not in known:
            yield name, ", ".join(values)

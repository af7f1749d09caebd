"""What the list of webhooks shows of each, and how it is narrowed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Greatest
from django.http import HttpRequest
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from auditwebhooks import states
from auditwebhooks.admin.display import NotedAdmin, labelled, moment, status_dot
from auditwebhooks.delivery.claim import may_send
from auditwebhooks.delivery.stats import glances
from auditwebhooks.models import Webhook

_SUCCESS, _FAILURE = "health__last_success_at", "health__last_failure_at"


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("status")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, Any]]:
        return (
            ("active", states.ACTIVE),
            ("paused", states.PAUSED),
            ("inactive", states.INACTIVE),
            ("by_system", states.BY_SYSTEM),
        )

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        able = Webhook.objects.filter(may_send(timezone.now())).values("pk")
        match self.value():
            case "active":
                return queryset.filter(pk__in=able)
            case "paused":
                return queryset.filter(active=True).exclude(pk__in=able)
            case "inactive":
                return queryset.filter(active=False)
            case "by_system":
                return queryset.filter(active=False, health__disabled_reason__gt="")
        return queryset


class WebhookList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        """The numbers of a page's webhooks come by two queries, however many there are."""
        super().get_results(request)
        rows: list[Any] = list(self.result_list)
        told = glances([webhook.pk for webhook in rows], timezone.now())
        for webhook in rows:
            webhook.glance = told[webhook.pk]
        self.result_list = rows


class WebhookColumns(NotedAdmin):
    list_display = ("status", "name", "host", "last_result", "success_rate", "backlog")
    list_display_links = ("name",)
    list_filter = (StateFilter, "method", "type")
    search_fields = ("name",)
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        return super().get_queryset(request).select_related("health")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return WebhookList

    @admin.display(description=gettext_lazy("Status"), ordering="active")
    def status(self, webhook: Webhook) -> SafeString:
        return status_dot(webhook)

    @admin.display(description=gettext_lazy("Host"))
    def host(self, webhook: Webhook) -> str:
        return webhook.host

    @admin.display(
        description=gettext_lazy("Last result"),
        # Of a webhook that had but one of them.
        ordering=Greatest(Coalesce(_SUCCESS, _FAILURE), Coalesce(_FAILURE, _SUCCESS)),
    )
    def last_result(self, webhook: Webhook) -> SafeString:
        success, failure = webhook.last_success_at, webhook.last_failure_at
        if success is not None and (failure is None or success >= failure):
            return _result("good", _("succeeded %s ago"), success)
        if failure is None:
            return labelled(_("Last result"), "-")
        return _result("bad", _("failed %s ago"), failure)

    @admin.display(description=gettext_lazy("Success 24 h"))
    def success_rate(self, webhook: Any) -> SafeString:
        return labelled(_("Success 24 h"), _percentage(webhook.glance.success_rate))

    @admin.display(description=gettext_lazy("Backlog"))
    def backlog(self, webhook: Any) -> SafeString:
        return labelled(_("Backlog"), number_format(webhook.glance.backlog))


def _percentage(rate: float | None) -> str:
    if rate is None:
        return "-"
    # Downwards: 100 % means all of them.
    percent = math.floor(rate * 1000) / 10
    return _("%s %%") % number_format(percent, 0 if rate == 1 else 1)


def _result(kind: str, words: str, at: datetime) -> SafeString:
    """The exact time takes too much of a line: it is told where one points."""
    ago = timesince(at, depth=1)
    return format_html(
        '<span class="auditwebhooks-verdict auditwebhooks-{}" title="{}">{}</span>',
        kind,
        moment(at),
        words % ago,
    )

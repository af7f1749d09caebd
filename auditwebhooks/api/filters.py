"""Filters on every column that a list shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.settings import api_settings

if TYPE_CHECKING:
    from rest_framework.generics import GenericAPIView

from auditwebhooks.models import Event, Invocation, Webhook

_TIMES = ["gte", "lt"]


class KnownFilters(filters.DjangoFilterBackend):
    """A list is refused with a parameter that it does not know: a filter with a slip of the pen
    would answer everything."""

    def filter_queryset(self, request: Request, queryset: Any, view: Any) -> QuerySet[Any]:
        if view.action == "list":
            own = getattr(view, "own_parameters", ())
            refuse_unknown(request, view, {*view.filterset_class.base_filters, *own})
        found: QuerySet[Any] = super().filter_queryset(request, queryset, view)
        return found


def refuse_unknown(request: Request, view: GenericAPIView[Any], names: set[str]) -> None:
    """``names``: the parameters of a list beside those of its pages."""
    pages: Any = view.paginator
    known = {*names, pages.cursor_query_param, pages.page_size_query_param}
    unknown = set(request.query_params) - known - {api_settings.URL_FORMAT_OVERRIDE}
    if unknown:
        reason = _("There is no such parameter. Known: %s.") % ", ".join(sorted(known))
        raise ValidationError({name: [reason] for name in sorted(unknown)})


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

"""Filters on every column that a list shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from django import forms
from django.core.exceptions import ValidationError as FormError
from django.db.models import DateTimeField, Model, QuerySet
from django.utils.translation import gettext as _
from django_filters import rest_framework as filters
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.settings import api_settings

if TYPE_CHECKING:
    from rest_framework.generics import GenericAPIView

from auditwebhooks.api.pages import ORDERING
from auditwebhooks.enums import Status
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.rules import name_digest

_TIMES = ["gte", "lt"]
_FLAGS = {"true": True, "false": False}

# More than the clocks of workers differ, and longer than results wait to be stored.
_CLOCKS = timedelta(minutes=10)


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
    known = {*names, ORDERING, pages.cursor_query_param, pages.page_size_query_param}
    unknown = set(request.query_params) - known - {api_settings.URL_FORMAT_OVERRIDE}
    if unknown:
        reason = _("There is no such parameter. Known: %s.") % ", ".join(sorted(known))
        raise ValidationError({name: [reason] for name in sorted(unknown)})
    # A list would take them for nothing, or the last of them for all.
    errors = {name: _only_once(values) for name, values in request.query_params.lists()}
    if any(errors.values()):
        raise ValidationError({name: [reason] for name, reason in errors.items() if reason})


def _only_once(values: list[str]) -> str:
    if len(values) > 1:
        return _("Give this parameter once.")
    if not values[0]:
        return _("Give a value, or leave the parameter out.")
    return _("No database stores the character NUL.") if "\x00" in values[0] else ""


class _FlagField(forms.Field):
    def to_python(self, value: Any) -> bool | None:
        if value in self.empty_values:
            return None
        if value not in _FLAGS:
            raise FormError(_("Enter true or false."))
        return _FLAGS[value]


class FlagFilter(filters.BooleanFilter):
    """The usual one takes what it does not know for nothing, and the list tells everything."""

    field_class = _FlagField

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, widget=forms.TextInput)


class IntegerFilter(filters.NumberFilter):
    field_class = forms.IntegerField


def _key_of(model: type[Model]) -> filters.ModelChoiceFilter:
    """As text: the page for people would list every row there is to choose from, whoever asks."""
    rows = model._default_manager.only("pk")
    return filters.ModelChoiceFilter(queryset=rows, widget=forms.TextInput)


class WebhookFilter(filters.FilterSet):
    active = FlagFilter(field_name="active")
    name = filters.CharFilter(method="filter_name")

    def filter_name(self, rows: QuerySet[Webhook], column: str, name: str) -> QuerySet[Webhook]:
        """Upper and lower case are the same, as names are unique."""
        return rows.filter(name_key=name_digest(name))

    class Meta:
        model = Webhook
        fields = {"method": ["exact"]}


class _MomentField(filters.IsoDateTimeFilter.field_class):
    def to_python(self, value: Any) -> datetime | None:
        moment: datetime | None = super().to_python(value)
        if moment is not None and not 1 < moment.year < 9999:
            # No database has the first and the last year in every zone.
            raise FormError(_("Enter a time of the years 2 to 9998."))
        return moment


class MomentFilter(filters.IsoDateTimeFilter):
    field_class = _MomentField


_MOMENTS = {DateTimeField: {"filter_class": MomentFilter}}


class InvocationFilter(filters.FilterSet):
    webhook = _key_of(Webhook)
    event = _key_of(Event)
    status = filters.ChoiceFilter(choices=Status.choices, method="filter_status")
    attempt = IntegerFilter(field_name="attempt")
    response_status = IntegerFilter(field_name="response_status")
    due_at__lt = MomentFilter(field_name="due_at", method="filter_before")
    finished_at__lt = MomentFilter(field_name="finished_at", method="filter_before")
    finished_at__gte = MomentFilter(field_name="finished_at", method="filter_finished_since")

    def filter_status(self, rows: Any, column: str, status: str) -> QuerySet[Invocation]:
        found: QuerySet[Invocation] = rows.with_status(status)
        return found

    def filter_finished_since(
        self, rows: Any, column: str, moment: datetime
    ) -> QuerySet[Invocation]:
        found: QuerySet[Invocation] = rows.finished_since(moment)
        return found

    def filter_before(
        self, rows: QuerySet[Invocation], column: str, moment: datetime
    ) -> QuerySet[Invocation]:
        """What was made later was neither due nor done before; so the index on the time is entered
        there."""
        return rows.filter(**{f"{column}__lt": moment}, created_at__lt=moment + _CLOCKS)

    class Meta:
        model = Invocation
        filter_overrides = _MOMENTS
        fields = {
            "webhook_name": ["exact"],
            "trigger": ["exact"],
            "outcome": ["exact"],
            "created_at": _TIMES,
            "due_at": _TIMES,
            "finished_at": _TIMES,
        }


class EventFilter(filters.FilterSet):
    # As invocations name their event.
    id = IntegerFilter(field_name="id")

    class Meta:
        model = Event
        filter_overrides = _MOMENTS
        fields = {
            "event_id": ["exact"],
            "event_type": ["exact"],
            "action": ["exact"],
            "actor_id": ["exact"],
            "actor_type": ["exact"],
            "source": ["exact"],
            "target_type": ["exact"],
            "target_id": ["exact"],
            "created_at": _TIMES,
        }

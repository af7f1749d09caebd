"""Filters of the logs. Their choices are known, or seen in the latest rows: asking a column for
all its values would read the whole table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from auditwebhooks.capture.subject import type_of
from auditwebhooks.enums import Action, Outcome, Source, Status, Trigger
from auditwebhooks.history import KEY, MODEL, events_about
from auditwebhooks.models import Event, Webhook
from auditwebhooks.registry import registry

Choices = Iterable[tuple[str, Any]]

# Words of the host's own are looked for in so many of the latest events.
LATEST = 1000
# More webhooks than a person would choose from.
_MOST_WEBHOOKS = 200


class KnownValuesFilter(admin.SimpleListFilter):
    """The column is ``parameter_name``. What stands in the URL is a choice, too."""

    ours: ClassVar[Choices] = ()

    def known(self) -> Choices:
        return self.ours

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        choices = dict(self.known())
        given = self.value()
        if given is not None:
            choices.setdefault(given, given)
        return list(choices.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        given = self.value()
        if given is None:
            return queryset
        try:
            if "\0" in given:
                raise ValueError("No database looks for NUL.")
            return self.narrowed(queryset, given)
        except (ValueError, ValidationError) as error:
            raise IncorrectLookupParameters from error

    def narrowed(self, rows: Any, given: str) -> QuerySet[Any]:
        found: QuerySet[Any] = rows.filter(**{str(self.parameter_name): given})
        return found


class _EventValuesFilter(KnownValuesFilter):
    parameter_name: str

    def known(self) -> Choices:
        yield from self.ours
        known = {value for value, _words in self.ours}
        latest = Event.objects.order_by("-id").values_list(self.parameter_name, flat=True)
        yield from ((one, one) for one in sorted({*latest[:LATEST]} - known - {""}))


class ActionFilter(_EventValuesFilter):
    title = _("action")
    parameter_name = "action"
    ours = Action.choices


class SourceFilter(_EventValuesFilter):
    title = _("source")
    parameter_name = "source"
    ours = Source.choices


class TargetTypeFilter(_EventValuesFilter):
    title = _("target type")
    parameter_name = "target_type"

    def known(self) -> Choices:
        audited = {type_of(model, options) for model, options in registry.models()}
        audited.update(value for value, _words in super().known())
        yield from ((one, one) for one in sorted(audited))


class ObjectFilter(admin.ListFilter):
    """One object's events; there is nothing to choose before somebody comes from its page."""

    title = _("object")

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Model],
        model_admin: Any,
    ) -> None:
        super().__init__(request, params, model, model_admin)
        given = {name: params[name][-1] for name in (MODEL, KEY) if name in params}
        # One of them alone is no object: ``target_id`` is a column of the log, too.
        if len(given) == 2:
            for name, value in given.items():
                del params[name]
                self.used_parameters[name] = value

    def has_output(self) -> bool:
        return bool(self.used_parameters)

    def expected_parameters(self) -> list[str | None]:
        return [MODEL, KEY]

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        yield {
            "selected": False,
            "query_string": changelist.get_query_string(remove=[MODEL, KEY]),
            "display": _("All"),
        }
        yield {
            "selected": True,
            "query_string": changelist.get_query_string(),
            "display": f"{self.used_parameters[MODEL]} {self.used_parameters[KEY]}",
        }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.used_parameters:
            return queryset
        label, key = (str(self.used_parameters[name]) for name in (MODEL, KEY))
        if "\0" in label:
            raise IncorrectLookupParameters
        return queryset.filter(events_about(label, key))


class StatusFilter(KnownValuesFilter):
    title = _("status")
    parameter_name = "status"
    ours = Status.choices

    def narrowed(self, rows: Any, given: str) -> QuerySet[Any]:
        found: QuerySet[Any] = rows.with_status(given)
        return found


class OutcomeFilter(KnownValuesFilter):
    title = _("outcome")
    parameter_name = "outcome"
    ours = Outcome.choices

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        found = super().queryset(request, queryset)
        if self.value() in (None, Outcome.SUCCESS.value):
            return found
        # True anyway; there is an index on the status, and most attempts succeed.
        return found.filter(status__in=[one for one in Status if one != Status.SUCCEEDED])


class TriggerFilter(KnownValuesFilter):
    title = _("trigger")
    parameter_name = "trigger"
    ours = Trigger.choices


class WebhookFilter(KnownValuesFilter):
    title = _("webhook")
    parameter_name = "webhook"

    def known(self) -> Choices:
        rows = Webhook.objects.order_by("name").values_list("pk", "name")[:_MOST_WEBHOOKS]
        return ((str(pk), name) for pk, name in rows)


class TimeFilter(admin.ListFilter):
    """The last hours or days, or what lies between two times in the viewer's zone."""

    title = _("time")
    template = "admin/auditwebhooks/time_filter.html"
    column = "created_at"

    PARAMETERS = ("span", "since", "until")
    SPANS: ClassVar[dict[str, tuple[Any, timedelta]]] = {
        "24h": (_("Last 24 hours"), timedelta(hours=24)),
        "7d": (_("Last 7 days"), timedelta(days=7)),
        "30d": (_("Last 30 days"), timedelta(days=30)),
    }

    def __init__(
        self,
        request: HttpRequest,
        params: dict[str, list[str]],
        model: type[Model],
        model_admin: Any,
    ) -> None:
        super().__init__(request, params, model, model_admin)
        for name in self.PARAMETERS:
            given = params.pop(name, [""])[-1].strip()
            if given:
                self.used_parameters[name] = given
        self.hidden: list[tuple[str, str]] = []

    def has_output(self) -> bool:
        return True

    def expected_parameters(self) -> list[str | None]:
        return list(self.PARAMETERS)

    @property
    def since(self) -> str:
        return str(self.used_parameters.get("since", ""))

    @property
    def until(self) -> str:
        return str(self.used_parameters.get("until", ""))

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        ours = list(self.PARAMETERS)
        self.hidden = [
            (name, value)
            for name, values in changelist.filter_params.items()
            if name not in ours
            for value in values
        ]
        chosen = self.used_parameters.get("span")
        yield {
            "selected": not self.used_parameters,
            "query_string": changelist.get_query_string(remove=ours),
            "display": _("Any time"),
        }
        for value, (words, _length) in self.SPANS.items():
            yield {
                "selected": chosen == value,
                "query_string": changelist.get_query_string({"span": value}, ours[1:]),
                "display": words,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        since, until = self.bounds()
        if since is not None:
            queryset = queryset.filter(**{f"{self.column}__gte": since})
        if until is not None:
            queryset = queryset.filter(**{f"{self.column}__lt": until})
        return queryset

    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """From then on, and before then."""
        span = self.used_parameters.get("span")
        since = [_moment(self.since)] if self.since else []
        if span is not None:
            if span not in self.SPANS:
                raise IncorrectLookupParameters
            since.append(timezone.now() - self.SPANS[span][1])
        return max(since, default=None), _moment(self.until) if self.until else None


def _moment(text: str) -> datetime:
    """ISO 8601, in the viewer's zone where it names none."""
    try:
        moment = datetime.fromisoformat(text)
        if not 1900 < moment.year < 9000:
            raise ValueError("No database has it in every zone.")
        if timezone.is_aware(moment) == settings.USE_TZ:
            return moment
        return timezone.make_aware(moment) if settings.USE_TZ else timezone.make_naive(moment)
    except ValueError as error:
        raise IncorrectLookupParameters from error

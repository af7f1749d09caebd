"""*Export* on the lists of the logs: what filters and search select, or the selected rows, as CSV
or JSON, sent while it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import unquote_plus

from asgiref.sync import sync_to_async
from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR
from django.core.exceptions import PermissionDenied
from django.core.handlers.asgi import ASGIRequest
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    StreamingHttpResponse,
)
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext_lazy

from auditwebhooks import journal, tables
from auditwebhooks.admin.logs import LogAdmin
from auditwebhooks.extract import Columns, pages, whole_pages
from auditwebhooks.seeing import may_see_payload

_TYPES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}

# What an entry of the admin log tells of a query.
_MOST_WORDS = 500


class ExportingAdmin(LogAdmin):
    actions: Any = ("export_csv", "export_json")
    # What a row's page shows, to the same people. The long ones are in JSON only.
    export_columns: Columns
    # Those of them that take the right to see payloads.
    payload_columns: tuple[str, ...] = ()

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.export_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_export"
        return [path("export/<slug:kind>/", view, name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        urls = [(kind.upper(), self.url_of("export", kind)) for kind in _TYPES]
        return super().changelist_view(request, {"export_urls": urls, **(extra_context or {})})

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponseBase:
        """All that the list with this query shows. By POST, since it is noted."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if kind not in _TYPES:
            raise Http404
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        rows = self.filtered(request)
        if rows is None:
            return HttpResponseRedirect(self.url_of("changelist"))
        return self._export(request, rows, kind, query_words(request))

    def filtered(self, request: HttpRequest) -> QuerySet[Any] | None:
        """The rows of the list with the request's query; None: the query is nonsense."""
        try:
            found: QuerySet[Any] = self.get_changelist_instance(request).queryset
        except IncorrectLookupParameters:
            return None
        return found

    @admin.action(permissions=["view"], description=gettext_lazy("Export as CSV"))
    def export_csv(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        return self._export(request, queryset, "csv", selection_words(request))

    @admin.action(permissions=["view"], description=gettext_lazy("Export as JSON"))
    def export_json(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase:
        return self._export(request, queryset, "json", selection_words(request))

    def _export(
        self, request: HttpRequest, rows: QuerySet[Any], kind: str, what: str
    ) -> HttpResponseBase:
        told = {"format": kind.upper(), "what": what}
        journal.note_many(request.user, self.model, journal.EXPORTED % told)
        parts = (
            part.encode("utf-8", "backslashreplace")
            for part in self._parts(rows, kind, self._columns_for(request))
        )
        name = f"audit-{self.opts.model_name}s-{_now():%Y-%m-%d-%H%M%S}.{kind}"
        return StreamingHttpResponse(
            _apart(parts) if isinstance(request, ASGIRequest) else parts,
            content_type=_TYPES[kind],
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "X-Content-Type-Options": "nosniff",
            },
        )

    def _columns_for(self, request: HttpRequest) -> Columns:
        every = self.export_columns
        return every if may_see_payload(request.user) else every.without(self.payload_columns)

    def _parts(self, rows: QuerySet[Any], kind: str, columns: Columns) -> Iterator[str]:
        if kind == "csv":
            return tables.as_csv(list(columns.short), pages(rows, columns))
        return tables.as_json(whole_pages(rows, columns))


def query_words(request: HttpRequest) -> str:
    """The filters of a list as its URL has them; in English, it is noted."""
    query = request.GET.copy()
    query.pop(PAGE_VAR, None)
    return unquote_plus(query.urlencode())[:_MOST_WORDS] or "all"


def selection_words(request: HttpRequest) -> str:
    """Of the action on a list."""
    if is_across(request):
        return query_words(request)
    return f"{len(request.POST.getlist(ACTION_CHECKBOX_NAME))} selected"


def is_across(request: HttpRequest) -> bool:
    """Whether the action is for all that match, not for the selected rows."""
    return request.POST.get("select_across") == "1"


async def _apart(parts: Iterator[bytes]) -> AsyncIterator[bytes]:
    """For ASGI, where Django would collect a plain iterator before it sends the first byte."""
    following = sync_to_async(lambda: next(parts, None))
    while (part := await following()) is not None:
        yield part


def _now() -> Any:
    return timezone.localtime() if timezone.is_aware(timezone.now()) else timezone.now()

"""What the lists of the logs have in common: one page at a time, and nothing is counted."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views import main
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from auditwebhooks.admin.resending import ResendingAdmin, may_resend
from auditwebhooks.querysets import rows_between

if TYPE_CHECKING:
    ChangeList = main.ChangeList
else:
    ChangeList = main.ChangeList

# A page behind it can only be typed, and databases read over all rows before a page.
_LAST_PAGE = 100_000


class LogChangeList(ChangeList):
    """One query reads a page and the row behind it. How many rows there are in all is not known:
    counting them would read the whole table."""

    def get_results(self, request: HttpRequest) -> None:
        if not 1 <= self.page_num <= _LAST_PAGE:
            raise IncorrectLookupParameters
        if request.GET.get(main.SEARCH_VAR) and not self.query:
            # Django says what is wrong with it, and takes all rows.
            raise IncorrectLookupParameters
        start = (self.page_num - 1) * self.list_per_page
        rows = rows_between(self.queryset, start, start + self.list_per_page + 1)
        self.has_older = len(rows) > self.list_per_page
        self.result_list = rows[: self.list_per_page]
        # More than the page shows, where there is more: so the actions offer all of them.
        self.result_count = start + len(rows)
        self.full_result_count = None
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = False
        self.multi_page = self.has_older or self.page_num > 1
        # Templates ask it for page numbers; it knows no more than the list does.
        self.paginator = Paginator(range(self.result_count), self.list_per_page)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """The log's own, whatever the URL asks for: any other would sort the whole table. The
        indexes that a search goes along end with the ID."""
        if self.query.strip():
            return ["-id"]
        return list(self.model_admin.ordering or ())

    def newer_url(self) -> str:
        return "" if self.page_num == 1 else self._page(self.page_num - 1)

    def older_url(self) -> str:
        return self._page(self.page_num + 1) if self.has_older else ""

    def shown_range(self) -> dict[str, int]:
        start = (self.page_num - 1) * self.list_per_page
        return {"first": start + 1, "last": start + len(self.result_list)}

    def _page(self, number: int) -> str:
        return self.get_query_string({main.PAGE_VAR: number})


class LogAdmin(ResendingAdmin):
    # Newest first, by index.
    ordering = ("-created_at", "-id")
    sortable_by = ()
    list_per_page = 50
    list_max_show_all = 0
    # Templates of their own show a row.
    fields = ()
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER

    class Media:
        css = {"all": ("auditwebhooks/admin.css",)}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """The whole text, as it stands: only so it is found by index on every database. Mostly
        one column has it, and asking all of them at once would sort what is found."""
        term = search_term.strip()
        if not term:
            return queryset, False
        rows = self.model._default_manager
        # Not exists(), which takes any row: PostgreSQL would read the table until it comes to one.
        found = [
            one
            for one in self.search_fields
            if rows.filter(**{one: term}).order_by("-pk").values_list("pk")[:1]
        ]
        if not found:
            return queryset.none(), False
        return queryset.filter(reduce(or_, (Q(**{one: term}) for one in found))), False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[LogChangeList]:
        return LogChangeList

    def detail(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the template of a row's page needs."""
        return {}

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row = context["original"]
        if may_resend(request):
            context["resend_url"] = self.url_of("changelist")
        context.update(self.detail(request, row))
        return super().render_change_form(request, context, *args, **kwargs)

    def url_of(self, name: str, *args: Any) -> str:
        """Of one of this admin's own pages."""
        meta = self.opts
        return reverse(
            f"{self.admin_site.name}:{meta.app_label}_{meta.model_name}_{name}", args=args
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        words = {"selection_note_all": _("All that match are selected")}
        return super().changelist_view(request, {**words, **(extra_context or {})})

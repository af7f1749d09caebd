"""*Audit history* on the pages of a host's own objects."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from auditwebhooks.admin.display import ModelAdmin
from auditwebhooks.history import history_url


class AuditHistoryMixin(ModelAdmin):
    """For a ModelAdmin of the host's own, before ``admin.ModelAdmin``. Not needed where
    "auditwebhooks" stands before "django.contrib.admin" in INSTALLED_APPS; both together show one
    link.
    """

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        response = super().render_change_form(request, context, *args, **kwargs)
        url = history_url(request, context.get("original"))
        if url and isinstance(response, TemplateResponse):
            # Whatever template the page has, ours extends it.
            response.context_data = {
                **(response.context_data or {}),
                "audit_history_base": response.resolve_template(response.template_name),
                "audit_history_url": url,
            }
            response.template_name = "admin/auditwebhooks/history_change_form.html"
        return response

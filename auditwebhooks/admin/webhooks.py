"""The Webhooks page: the form's fields and who sees them. The list is in ``columns`` and
``actions``, the rest of the form in ``previewing``, ``trial``, ``waiting``, ``rotating`` and
``deleting``."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy

from auditwebhooks.admin.actions import WebhookActions
from auditwebhooks.admin.charting import ChartingAdmin
from auditwebhooks.admin.columns import WebhookColumns
from auditwebhooks.admin.deleting import DeletingAdmin
from auditwebhooks.admin.forms import WebhookForm
from auditwebhooks.admin.previewing import PreviewAdmin
from auditwebhooks.admin.rotating import RotatingAdmin
from auditwebhooks.admin.unsaved import hide_typed_values
from auditwebhooks.admin.waiting import WaitingAdmin, waiting_fieldset
from auditwebhooks.models import Webhook


@admin.register(Webhook)
class WebhookAdmin(
    ChartingAdmin,
    WaitingAdmin,
    RotatingAdmin,
    DeletingAdmin,
    PreviewAdmin,
    WebhookActions,
    WebhookColumns,
):
    form = WebhookForm
    save_on_top = False
    change_form_template = "admin/auditwebhooks/webhook/change_form.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "name",
                    "active",
                    "type",
                    "method",
                    "url",
                    "body_template",
                    "headers",
                    "timeout_in_sec",
                    "response_validators",
                )
            },
        ),
        (
            gettext_lazy("More"),
            {
                "fields": (
                    "event_types",
                    "signing_secret",
                    "max_attempts",
                    "retry_on_validation",
                    "max_per_minute",
                )
            },
        ),
    )

    class Media:
        css = {"all": ("auditwebhooks/admin.css",)}

    @admin.display(description=gettext_lazy("URL"))
    def shown_url(self, webhook: Webhook) -> str:
        return format_html('<bdi dir="ltr">{}</bdi>', webhook.masked_url)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """A viewer without the right to change sees no full URL and no secrets."""
        if obj is None:
            return self.fieldsets
        if self.has_change_permission(request, obj):
            return (*self.fieldsets, *waiting_fieldset(obj))
        shown = [
            name
            for _title, options in self.fieldsets
            for name in options["fields"]
            if name not in ("url", "headers", "signing_secret")
        ]
        return ((None, {"fields": ["shown_url", *shown]}),)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return ()
        return ("shown_url",)

    @hide_typed_values
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(request, *args, **kwargs)

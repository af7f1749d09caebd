"""The Webhooks page: the form, and Test. The list is in ``columns`` and ``actions``."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from auditwebhooks.admin.actions import WebhookActions
from auditwebhooks.admin.columns import WebhookColumns
from auditwebhooks.admin.deleting import DeletingAdmin
from auditwebhooks.admin.display import phases, pretty
from auditwebhooks.admin.forms import ModelForm, WebhookForm
from auditwebhooks.admin.waiting import WaitingAdmin, waiting_fieldset
from auditwebhooks.delivery.trial import send_test, verdict
from auditwebhooks.enums import Outcome
from auditwebhooks.models import Invocation, Webhook

# Typed secrets stay out of error reports.
_hide_typed_values = method_decorator(sensitive_post_parameters())


@admin.register(Webhook)
class WebhookAdmin(WaitingAdmin, DeletingAdmin, WebhookActions, WebhookColumns):
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
        js = ("auditwebhooks/test.js",)

    @admin.display(description=gettext_lazy("URL"))
    def shown_url(self, webhook: Webhook) -> str:
        return webhook.masked_url

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

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("test/", self.admin_site.admin_view(self.test_view), name=_TEST_NEW),
            path("<path:object_id>/test/", self.admin_site.admin_view(self.test_view), name=_TEST),
        ]
        return own + super().get_urls()

    @_hide_typed_values
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        return super().changeform_view(request, *args, **kwargs)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        if self._may_test(request, obj):
            context["test_url"] = self._url(_TEST, obj) if obj else self._url(_TEST_NEW)
        return super().render_change_form(request, context, *args, **kwargs)

    @method_decorator(require_POST)
    @_hide_typed_values
    def test_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Send a test with the values as they stand in the form, saved or not.

        The page's script asks for JSON and stays where it is; without it the form is shown again
        with the result below.
        """
        webhook = self._webhook(request, object_id)
        if not self._may_test(request, webhook):
            raise PermissionDenied
        form = self.get_form(request, webhook, change=webhook is not None)(
            request.POST, instance=webhook
        )
        invocation = send_test(form.instance) if form.is_valid() else None
        if "application/json" in request.headers.get("Accept", ""):
            return JsonResponse(
                {
                    "result": verdict(invocation) if invocation else "",
                    "html": self._panel(request, invocation),
                    "errors": _labelled(form),
                }
            )
        return self._form_again(request, form, object_id, webhook, invocation)

    def _webhook(self, request: HttpRequest, object_id: str | None) -> Webhook | None:
        if object_id is None:
            return None
        webhook = self.get_object(request, object_id)
        if not isinstance(webhook, Webhook):
            raise Http404
        return webhook

    def _may_test(self, request: HttpRequest, webhook: Webhook | None) -> bool:
        """Unsaved values need the right to save them, too."""
        may_edit = (
            self.has_add_permission(request)
            if webhook is None
            else self.has_change_permission(request, webhook)
        )
        return may_edit and self.has_test_permission(request)

    def _url(self, name: str, webhook: Webhook | None = None) -> str:
        arguments = [webhook.pk] if webhook else []
        return reverse(f"{self.admin_site.name}:{name}", args=arguments)

    def _panel(self, request: HttpRequest, invocation: Invocation | None) -> str:
        if invocation is None:
            return ""
        return render_to_string(
            "admin/auditwebhooks/webhook/invocation_panel.html",
            panel_context(invocation),
            request,
        )

    def _form_again(
        self,
        request: HttpRequest,
        form: ModelForm,
        object_id: str | None,
        webhook: Webhook | None,
        invocation: Invocation | None,
    ) -> HttpResponse:
        """The page of the form, as Django's admin shows it after an error."""
        fieldsets = helpers.AdminForm(
            form,
            list(self.get_fieldsets(request, webhook)),
            {},
            self.get_readonly_fields(request, webhook),
            model_admin=self,
        )
        add = webhook is None
        name = "auditwebhooks_webhook_add" if add else "auditwebhooks_webhook_change"
        context = {
            **self.admin_site.each_context(request),
            "title": _("Add %s") if add else _("Change %s"),
            "adminform": fieldsets,
            "object_id": object_id,
            "original": webhook,
            "is_popup": False,
            "media": self.media + fieldsets.media,
            "inline_admin_formsets": [],
            "errors": helpers.AdminErrorList(form, []),
            "preserved_filters": "",
            "test_panel": self._panel(request, invocation),
        }
        context["title"] = str(context["title"]) % self.opts.verbose_name
        return self.render_change_form(
            request,
            context,
            add=add,
            change=not add,
            obj=webhook,
            form_url=self._url(name, webhook),
        )


_TEST = "auditwebhooks_webhook_test"
_TEST_NEW = "auditwebhooks_webhook_test_new"


def _labelled(form: ModelForm) -> dict[str, list[str]]:
    """The errors under the words that stand beside the fields."""
    return {
        str(form.fields[name].label) if name in form.fields else "": [str(one) for one in errors]
        for name, errors in form.errors.items()
    }


def panel_context(invocation: Invocation) -> dict[str, Any]:
    """What the invocation data panel shows."""
    return {
        "invocation": invocation,
        "result": verdict(invocation),
        "successful": invocation.outcome == Outcome.SUCCESS,
        "request_body": pretty(invocation.request_body),
        "response_body": pretty(invocation.response_body),
        "phases": phases(invocation),
    }

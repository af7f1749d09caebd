"""*Test*: a call with the values as they stand in the form, and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from auditwebhooks.admin.display import ModelAdmin, phases, pretty
from auditwebhooks.admin.forms import ModelForm
from auditwebhooks.delivery.trial import send_test, verdict
from auditwebhooks.enums import Outcome
from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.sentences import shown

# Typed secrets stay out of error reports.
hide_typed_values = method_decorator(sensitive_post_parameters())


class TrialAdmin(ModelAdmin):
    class Media:
        js = ("auditwebhooks/test.js",)

    def has_test_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("auditwebhooks.test_webhook"))

    def get_urls(self) -> list[URLPattern]:
        own = [
            path("test/", self.admin_site.admin_view(self.test_view), name=_TEST_NEW),
            path("<path:object_id>/test/", self.admin_site.admin_view(self.test_view), name=_TEST),
        ]
        return own + super().get_urls()

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = kwargs.get("obj")
        if self._may_test(request, obj):
            context["test_url"] = self._url(_TEST, obj) if obj else self._url(_TEST_NEW)
        return super().render_change_form(request, context, *args, **kwargs)

    @method_decorator(require_POST)
    @hide_typed_values
    def test_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Send a test with the values as they stand in the form, saved or not.

        The page's script asks for JSON and stays where it is; without it the form is shown again
        with the result below.
        """
        webhook = self._webhook(request, object_id)
        if not self._may_test(request, webhook):
            raise PermissionDenied
        # Asked for now: the form writes its values into the webhook.
        was_off = webhook is not None and bool(webhook.disabled_reason)
        form: Any = self.get_form(request, webhook, change=webhook is not None)(
            request.POST, instance=webhook
        )
        # Nothing is saved.
        form.asks_for_edits = False
        invocation = send_test(form.instance) if form.is_valid() else None
        revived = was_off and _is_on(webhook)
        if "application/json" in request.headers.get("Accept", ""):
            return JsonResponse(
                {
                    "result": verdict(invocation) if invocation else "",
                    "html": self._panel(request, invocation, revived),
                    "errors": _labelled(form),
                }
            )
        panel = self._panel(request, invocation, revived)
        return self._form_again(request, form, object_id, webhook, panel)

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

    def _panel(self, request: HttpRequest, invocation: Invocation | None, revived: bool) -> str:
        if invocation is None:
            return ""
        return render_to_string(
            "admin/auditwebhooks/webhook/invocation_panel.html",
            {**panel_context(invocation), "revived": revived},
            request,
        )

    def _form_again(
        self,
        request: HttpRequest,
        form: ModelForm,
        object_id: str | None,
        webhook: Webhook | None,
        panel: str,
    ) -> HttpResponse:
        """The page of the form, as Django's admin shows it after an error."""
        shown: Any = self.get_fieldsets(request, webhook)
        fieldsets = helpers.AdminForm(
            form,
            list(shown),
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
            "test_panel": panel,
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


def _is_on(webhook: Webhook | None) -> bool:
    """As the database has it."""
    if webhook is None:
        return False
    return Webhook.objects.primary().filter(pk=webhook.pk, active=True).exists()


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
        "result": _(verdict(invocation)),
        "message": shown(invocation.message),
        "successful": invocation.outcome == Outcome.SUCCESS,
        "request_body": pretty(invocation.request_body),
        "response_body": pretty(invocation.response_body),
        "phases": phases(invocation),
    }

"""What is done with the values of the form as they stand; nothing is saved of them."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin import helpers
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_post_parameters

from auditwebhooks.admin.display import ModelAdmin
from auditwebhooks.admin.forms import ModelForm
from auditwebhooks.models import Webhook

# Typed secrets stay out of error reports.
hide_typed_values = method_decorator(sensitive_post_parameters())


class UnsavedAdmin(ModelAdmin):
    def paths(self, word: str, view: Any) -> list[URLPattern]:
        """Of a new webhook and of one that is saved."""
        guarded = self.admin_site.admin_view(view)
        name = f"auditwebhooks_webhook_{word}"
        return [
            path(f"{word}/", guarded, name=f"{name}_new"),
            path(f"<path:object_id>/{word}/", guarded, name=name),
        ]

    def url_for(self, word: str, webhook: Webhook | None) -> str:
        name = f"{self.admin_site.name}:auditwebhooks_webhook_{word}"
        return reverse(name, args=[webhook.pk]) if webhook else reverse(f"{name}_new")

    def page_for(self, webhook: Webhook | None) -> str:
        name = f"{self.admin_site.name}:auditwebhooks_webhook"
        return reverse(f"{name}_change", args=[webhook.pk]) if webhook else reverse(f"{name}_add")

    def webhook_of(self, request: HttpRequest, object_id: str | None) -> Webhook | None:
        if object_id is None:
            return None
        webhook = self.get_object(request, object_id)
        if not isinstance(webhook, Webhook):
            raise Http404
        return webhook

    def may_edit(self, request: HttpRequest, webhook: Webhook | None) -> bool:
        """Unsaved values need the right to save them."""
        if webhook is None:
            return self.has_add_permission(request)
        return self.has_change_permission(request, webhook)

    def form_of(self, request: HttpRequest, webhook: Webhook | None) -> Any:
        return self.get_form(request, webhook, change=webhook is not None)

    def back(self, request: HttpRequest, webhook: Webhook | None) -> HttpResponse:
        """Where the page of a log in leads to, which cannot send what had been typed."""
        text = _("You had to log in again, and nothing was done. What you had typed is lost.")
        self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(self.page_for(webhook))

    def form_again(
        self, request: HttpRequest, form: ModelForm, webhook: Webhook | None, **context: Any
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
        title = _("Add %s") if add else _("Change %s")
        return self.render_change_form(
            request,
            {
                **self.admin_site.each_context(request),
                "title": title % self.opts.verbose_name,
                "adminform": fieldsets,
                "object_id": None if webhook is None else str(webhook.pk),
                "original": webhook,
                "is_popup": False,
                "media": self.media + fieldsets.media,
                "inline_admin_formsets": [],
                "errors": helpers.AdminErrorList(form, []),
                "preserved_filters": "",
                **context,
            },
            add=add,
            change=not add,
            obj=webhook,
            form_url=self.page_for(webhook),
        )


def is_asked_by_script(request: HttpRequest) -> bool:
    """The page's script stays where it is and asks for JSON; without it a page is answered."""
    return "application/json" in request.headers.get("Accept", "")

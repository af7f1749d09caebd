"""A new signing secret for a webhook: asked for on a page of its own, and shown once."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from auditwebhooks import journal
from auditwebhooks.admin.display import ModelAdmin
from auditwebhooks.exceptions import EncryptionError
from auditwebhooks.models import Webhook
from auditwebhooks.rotation import rotate_signing_secret

_NAME = "auditwebhooks_webhook_rotate_secret"


class RotatingAdmin(ModelAdmin):
    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.rotate_view)
        return [path("<path:object_id>/rotate-secret/", view, name=_NAME), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        webhook = kwargs.get("obj")
        if webhook is not None and self.has_change_permission(request, webhook):
            name = f"{self.admin_site.name}:{_NAME}"
            context["rotate_url"] = reverse(name, args=[webhook.pk])
        return super().render_change_form(request, context, *args, **kwargs)

    # "no-store" among others: the answer to the POST holds the secret.
    @method_decorator(never_cache)
    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        webhook = self.get_object(request, object_id)
        if webhook is None:
            raise Http404
        if not self.has_change_permission(request, webhook):
            raise PermissionDenied
        had_one = bool(webhook.signing_secret)
        secret = ""
        if request.method == "POST":
            try:
                secret = rotate_signing_secret(webhook.pk).reveal()
            except EncryptionError as error:
                self.message_user(request, str(error), messages.ERROR)
                return HttpResponseRedirect(self._form_of(webhook))
            except Webhook.DoesNotExist:
                raise Http404 from None
            journal.note(request.user, [webhook], journal.SECRET_ROTATED)
        context = {
            **self.admin_site.each_context(request),
            "title": _("New signing secret"),
            "opts": self.opts,
            "original": webhook,
            "change_url": self._form_of(webhook),
            "media": self.media,
            "had_one": had_one,
            "secret": secret,
        }
        request.current_app = self.admin_site.name
        template = "admin/auditwebhooks/webhook/rotate_secret.html"
        return TemplateResponse(request, template, context)

    def _form_of(self, webhook: Webhook) -> str:
        name = f"{self.admin_site.name}:auditwebhooks_webhook_change"
        return reverse(name, args=[webhook.pk])

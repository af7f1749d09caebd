"""The body template's *Format* and its preview: what it makes of an event, without sending it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern

from auditwebhooks.admin.choosing import choice, chosen, may_choose, offered
from auditwebhooks.admin.unsaved import UnsavedAdmin, hide_typed_values, is_asked_by_script
from auditwebhooks.delivery.preview import Preview, preview
from auditwebhooks.exceptions import TemplateSyntaxError
from auditwebhooks.models import Webhook
from auditwebhooks.templating.layout import laid_out

FIELD = "body_template"
# The inputs that choose its event.
EVENT = "preview_event"
# The name of the button that formats.
FORMAT = "_format"


class PreviewAdmin(UnsavedAdmin):
    def get_urls(self) -> list[URLPattern]:
        return [*self.paths("preview", self.preview_view), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        webhook = kwargs.get("obj")
        form: Any = context["adminform"].form
        if FIELD in form.fields and self.may_edit(request, webhook):
            widget = form.fields[FIELD].widget
            widget.preview_url = self.url_for("preview", webhook)
            # A page with errors shows the text as it was typed, so the preview does, too.
            widget.preview = context.get("preview") or preview(_typed(form[FIELD].value()))
            # Above the field, as every error of a form that was refused.
            widget.is_error_told = widget.preview.error in form.errors.get(FIELD, ())
            if may_choose(request):
                context["events"] = offered(webhook.event_types if webhook else [])
                widget.preview_event = choice(request, EVENT, context["events"])
        return super().render_change_form(request, context, *args, **kwargs)

    @hide_typed_values
    def preview_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Show what the template makes of the event that is chosen, or set the template out.

        The page's script sends the template only and asks for JSON; without it the form is shown
        again as it stands.
        """
        webhook = self.webhook_of(request, object_id)
        if not self.may_edit(request, webhook):
            raise PermissionDenied
        if request.method != "POST":
            return self.back(request, webhook)
        text = _typed(request.POST.get(FIELD))
        formatted = _formatted(text) if FORMAT in request.POST else text
        made = _made(request, formatted)
        if is_asked_by_script(request):
            html = render_to_string("admin/auditwebhooks/preview.html", {"preview": made}, request)
            place = {"error": made.error, "line": made.line, "column": made.column}
            return JsonResponse({"text": formatted, "html": html, **place})
        form = self._as_typed(request, webhook)
        form.initial[FIELD] = formatted
        return self.form_again(request, form, webhook, preview=made)

    def _as_typed(self, request: HttpRequest, webhook: Webhook | None) -> Any:
        """The form with what was typed, and nothing judged."""
        form = self.form_of(request, webhook)(instance=webhook)
        for name, field in form.fields.items():
            form.initial[name] = field.widget.value_from_datadict(
                request.POST, request.FILES, form.add_prefix(name)
            )
        return form


def _typed(text: Any) -> str:
    """As the form's field takes it, so that lines and columns are those that are seen."""
    return str(text or "").replace("\r\n", "\n")


def _formatted(text: str) -> str:
    """As it is where it is no JSON: the preview says why."""
    try:
        return laid_out(text)
    except TemplateSyntaxError:
        return text


def _made(request: HttpRequest, text: str) -> Preview:
    try:
        return preview(text, chosen(request, EVENT))
    except ValidationError as error:
        return Preview(error=str(error.message))

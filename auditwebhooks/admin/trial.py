"""*Test*: a call with the values as they stand in the form, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.urls import URLPattern
from django.utils.translation import gettext as _

from auditwebhooks import journal
from auditwebhooks.admin.choosing import choice, chosen, may_choose, offered, words
from auditwebhooks.admin.curl import curl_of
from auditwebhooks.admin.display import phases, pretty
from auditwebhooks.admin.forms import ModelForm
from auditwebhooks.admin.tips import tip
from auditwebhooks.admin.unsaved import UnsavedAdmin, hide_typed_values, is_asked_by_script
from auditwebhooks.delivery.allowance import refusal, take_test
from auditwebhooks.delivery.trial import send_test, verdict
from auditwebhooks.enums import Outcome
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.sentences import shown

# The inputs that choose its event.
EVENT = "test_event"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of pressing Test: an invocation, a refusal, or neither where the form has
    errors."""

    invocation: Invocation | None = None
    event: Event | None = None
    revived: bool = False
    refused: str = ""
    # Seconds.
    wait: int = 0


class TrialAdmin(UnsavedAdmin):
    class Media:
        js = ("auditwebhooks/post.js", "auditwebhooks/test.js")

    def has_test_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("auditwebhooks.test_webhook"))

    def get_urls(self) -> list[URLPattern]:
        return [*self.paths("test", self.test_view), *super().get_urls()]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        webhook = kwargs.get("obj")
        if self._may_test(request, webhook):
            context["test_url"] = self.url_for("test", webhook)
            if may_choose(request):
                if "events" not in context:
                    context["events"] = offered(webhook.event_types if webhook else [])
                context["test_event"] = choice(request, EVENT, context["events"])
        return super().render_change_form(request, context, *args, **kwargs)

    @hide_typed_values
    def test_view(self, request: HttpRequest, object_id: str | None = None) -> HttpResponse:
        """Send a test with the values as they stand in the form, saved or not.

        The page's script asks for JSON and stays where it is; without it the form is shown again
        with the result below.
        """
        webhook = self.webhook_of(request, object_id)
        if not self._may_test(request, webhook):
            raise PermissionDenied
        if request.method != "POST":
            return self.back(request, webhook)
        # Asked for now: the form writes its values into the webhook.
        was_off = webhook is not None and bool(webhook.disabled_reason)
        form = self.form_of(request, webhook)(request.POST, instance=webhook)
        # Nothing is saved.
        form.asks_for_edits = False
        trial = self._try(request, form, was_off=was_off)
        if is_asked_by_script(request):
            return _as_json(request, form, trial)
        if trial.refused:
            self.message_user(request, trial.refused, messages.ERROR)
        return self.form_again(request, form, webhook, test_panel=_panel(request, trial))

    def _try(self, request: HttpRequest, form: Any, *, was_off: bool) -> Trial:
        if not form.is_valid():
            return Trial()
        try:
            event = chosen(request, EVENT)
        except ValidationError as error:
            return Trial(refused=str(error.message))
        wait = take_test(request.user)
        if wait:
            return Trial(refused=refusal(wait), wait=wait)
        webhook = form.instance
        invocation = send_test(webhook, event)
        if invocation.webhook is not None:
            # Under the name that is saved.
            noted = [invocation.webhook]
            journal.note(request.user, noted, journal.TESTED % {"result": verdict(invocation)})
        return Trial(invocation=invocation, event=event, revived=was_off and _is_on(webhook))

    def _may_test(self, request: HttpRequest, webhook: Webhook | None) -> bool:
        return self.may_edit(request, webhook) and self.has_test_permission(request)


def _as_json(request: HttpRequest, form: ModelForm, trial: Trial) -> HttpResponse:
    answer = JsonResponse(
        {
            "result": verdict(trial.invocation) if trial.invocation else "",
            "html": _panel(request, trial),
            "errors": _labelled(form),
            "refused": trial.refused,
        }
    )
    if trial.wait:
        answer.status_code = 429
        answer["Retry-After"] = str(trial.wait)
    return answer


def _is_on(webhook: Webhook) -> bool:
    """As the database has it."""
    return Webhook.objects.primary().filter(pk=webhook.pk, active=True).exists()


def _labelled(form: ModelForm) -> dict[str, list[str]]:
    """The errors under the words that stand beside the fields."""
    return {
        str(form.fields[name].label) if name in form.fields else "": [str(one) for one in errors]
        for name, errors in form.errors.items()
    }


def _panel(request: HttpRequest, trial: Trial) -> str:
    if trial.invocation is None:
        return ""
    context = panel_context(trial.invocation)
    context |= {"revived": trial.revived, "event": words(trial.event) if trial.event else ""}
    return render_to_string("admin/auditwebhooks/webhook/invocation_panel.html", context, request)


def panel_context(invocation: Invocation) -> dict[str, Any]:
    """What the invocation data panel shows."""
    return {
        "invocation": invocation,
        "result": _(verdict(invocation)),
        "message": shown(invocation.message),
        "successful": invocation.outcome == Outcome.SUCCESS,
        "tip": tip(invocation.outcome, invocation.response_status),
        "request_body": pretty(invocation.request_body),
        "response_body": pretty(invocation.response_body),
        "curl": curl_of(invocation),
        "phases": phases(invocation),
    }

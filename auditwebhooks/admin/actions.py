"""What is done with the webhooks that are selected in their list."""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from auditwebhooks import journal
from auditwebhooks.admin.display import link
from auditwebhooks.admin.trial import TrialAdmin
from auditwebhooks.delivery.allowance import refusal, take_test
from auditwebhooks.delivery.stats import backlogs
from auditwebhooks.delivery.switching import switch
from auditwebhooks.delivery.trial import send_test, verdict
from auditwebhooks.enums import Outcome
from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.sentences import shown

# No test is begun after so long: whoever waits for the page has a proxy that gives up.
TEST_SECONDS = 20


class WebhookActions(TrialAdmin):
    actions = ("switch_on", "switch_off", "send_tests")

    @admin.action(permissions=["change"], description=gettext_lazy("Switch on"))
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        switched = switch(queryset.values_list("pk", flat=True), active=True)
        text = ngettext(
            "%(n)d webhook is switched on: %(names)s.",
            "%(n)d webhooks are switched on: %(names)s.",
            len(switched),
        )
        nothing = _("Nothing was changed: they are switched on already.")
        self._tell_switched(request, switched, journal.SWITCHED_ON, text, nothing)

    @admin.action(permissions=["change"], description=gettext_lazy("Switch off"))
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        switched = switch(queryset.values_list("pk", flat=True), active=False)
        text = ngettext(
            "%(n)d webhook is switched off: %(names)s.",
            "%(n)d webhooks are switched off: %(names)s.",
            len(switched),
        )
        nothing = _("Nothing was changed: they are switched off already.")
        self._tell_switched(request, switched, journal.SWITCHED_OFF, text, nothing)
        self._tell_backlogs(request, switched)

    def _tell_switched(
        self,
        request: HttpRequest,
        switched: Sequence[Webhook],
        noted: str,
        text: str,
        nothing: str,
    ) -> None:
        if not switched:
            self.message_user(request, nothing, messages.INFO)
            return
        journal.note(request.user, switched, noted)
        names = ", ".join(webhook.name for webhook in switched)
        told = text % {"n": len(switched), "names": names}
        self.message_user(request, told, messages.SUCCESS)

    def _tell_backlogs(self, request: HttpRequest, switched: Sequence[Webhook]) -> None:
        found = backlogs([webhook.pk for webhook in switched])
        for webhook in switched:
            backlog = found.get(webhook.pk, 0)
            if backlog:
                text = ngettext(
                    "%(n)d delivery that was queued for %(name)s waits until it is on again. "
                    "Open the webhook to discard what waits.",
                    "%(n)d deliveries that were queued for %(name)s wait until it is on again. "
                    "Open the webhook to discard what waits.",
                    backlog,
                )
                told = text % {"n": backlog, "name": webhook.name}
                self.message_user(request, told, messages.WARNING)

    @admin.action(permissions=["test"], description=gettext_lazy("Send test"))
    def send_tests(self, request: HttpRequest, queryset: QuerySet[Webhook]) -> None:
        started = time.monotonic()
        chosen = list(queryset)
        while chosen and time.monotonic() - started < TEST_SECONDS:
            wait = take_test(request.user)
            if wait:
                self.message_user(request, refusal(wait), messages.WARNING)
                return
            webhook = chosen.pop(0)
            invocation = send_test(webhook)
            tested = journal.TESTED % {"result": verdict(invocation)}
            journal.note(request.user, [webhook], tested)
            self._tell_test(request, webhook, invocation)
        if chosen:
            text = ngettext(
                "%d webhook was not tested: it took too long. Select fewer.",
                "%d webhooks were not tested: it took too long. Select fewer.",
                len(chosen),
            )
            self.message_user(request, text % len(chosen), messages.WARNING)

    def _tell_test(self, request: HttpRequest, webhook: Webhook, invocation: Invocation) -> None:
        good = invocation.outcome == Outcome.SUCCESS
        may_look = request.user.has_perm("auditwebhooks.view_invocation")
        text = format_html(
            "{}: {}. {} {}",
            webhook.name,
            _(verdict(invocation)),
            shown(invocation.message),
            link(self.admin_site, invocation, _("View Invocation Data")) if may_look else "",
        )
        self.message_user(request, text, messages.SUCCESS if good else messages.ERROR)

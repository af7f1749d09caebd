"""On a webhook's form: the state it is in, what waits for it, and the offer to discard that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import router, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from auditwebhooks import journal
from auditwebhooks.admin.display import ModelAdmin, pause_text
from auditwebhooks.delivery.discard import discard, waiting
from auditwebhooks.enums import Status
from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.sentences import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A sentence above the form. ``kind``: bad, or warn."""

    kind: str
    title: str = ""
    text: str
    link: str = ""


def waiting_fieldset(webhook: Any) -> list[tuple[Any, dict[str, Any]]]:
    """Only where something waits."""
    if not webhook.waiting:
        return []
    text = ngettext("%d delivery waits.", "%d deliveries wait.", webhook.waiting)
    options = {"fields": ("discard_waiting",), "description": text % webhook.waiting}
    return [(gettext_lazy("What waits"), options)]


class WaitingAdmin(ModelAdmin):
    def get_object(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        """Counted once: the form is asked for its fields several times."""
        webhook: Any = super().get_object(request, *args, **kwargs)
        if webhook is not None:
            webhook.waiting = waiting(webhook.pk)
        return webhook

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        webhook = kwargs.get("obj")
        context["notes"] = list(self._notes(request, webhook)) if webhook else []
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if form.cleaned_data.get("discard_waiting"):
            # In transactions of its own: a long one would hold up the workers.
            transaction.on_commit(
                partial(self._discard, request, obj), using=router.db_for_write(Webhook)
            )

    def _discard(self, request: HttpRequest, webhook: Webhook) -> None:
        discarded = discard(webhook.pk)
        journal.note(request.user, [webhook], journal.DISCARDED % {"number": discarded.ended})
        text = ngettext(
            "%d delivery that waited is discarded.",
            "%d deliveries that waited are discarded.",
            discarded.ended,
        )
        self.message_user(request, text % discarded.ended, messages.SUCCESS)
        if not discarded.complete:
            text = _(
                "There was not time for all of them: open the webhook, tick the box and save "
                "again."
            )
            self.message_user(request, text, messages.WARNING)

    def _notes(self, request: HttpRequest, webhook: Any) -> Iterator[Note]:
        if webhook.disabled_reason:
            yield Note(
                kind="bad",
                title=_("Switched off by the system: %s") % shown(webhook.disabled_reason),
                text=_(
                    "Its events keep queueing. When the cause is mended, press Test with the "
                    "saved values: a success switches it on again. Or set the status to Active "
                    "and save."
                ),
            )
        elif webhook.active and webhook.paused_until is not None:
            yield Note(kind="warn", title=_("Paused."), text=pause_text(webhook))
        if webhook.waiting and not webhook.active:
            text = ngettext(
                "%d delivery waits until the webhook is switched on.",
                "%d deliveries wait until the webhook is switched on.",
                webhook.waiting,
            )
            yield Note(
                kind="warn", text=text % webhook.waiting, link=self._list_of(request, webhook)
            )

    def _list_of(self, request: HttpRequest, webhook: Webhook) -> str:
        if not request.user.has_perm("auditwebhooks.view_invocation"):
            return ""
        if Invocation not in self.admin_site._registry:
            return ""
        url = reverse(f"{self.admin_site.name}:auditwebhooks_invocation_changelist")
        query = {"webhook": str(webhook.pk), "status": Status.PENDING.value}
        return f"{url}?{urlencode(query)}"

"""*Send again* for the selected rows of a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from auditwebhooks import journal
from auditwebhooks.admin.display import ReadOnlyAdmin
from auditwebhooks.conf import conf
from auditwebhooks.delivery.again import Again

# More than a request should do; a replay is made for them.
MOST = 10_000


def may_resend(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("auditwebhooks.resend_invocation"))


class ResendingAdmin(ReadOnlyAdmin):
    # What sending again needs of a row.
    needed: tuple[str, ...] = ()

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return may_resend(request)

    def resend(
        self, request: HttpRequest, chosen: QuerySet[Any], send: Callable[[list[Any]], Again]
    ) -> HttpResponse | None:
        rows = self.sendable(chosen)
        if len(rows) > MOST:
            text = _("Nothing was sent: select at most %d. A replay of the webhook sends more.")
            self.message_user(request, text % MOST, messages.ERROR)
            return None
        again = send(rows)
        if again.queued:
            journal.note(request.user, rows, journal.SENT_AGAIN)
        self.tell(request, again)
        # From a row's page it goes back there.
        is_back = "_back" in request.POST and len(rows) == 1
        return HttpResponseRedirect(self._page_of(rows[0])) if is_back else None

    def sendable(self, chosen: QuerySet[Any]) -> list[Any]:
        """The rows, oldest first, or one more than a request should send."""
        if chosen.query.where:
            # Any of them, then: the list's order leads along another index than the filters do.
            chosen = chosen.order_by()
        rows = chosen.select_related(None).only(*self.needed)[: MOST + 1]
        return sorted(rows, key=attrgetter("pk"))

    def _page_of(self, row: Any) -> str:
        meta = self.opts
        name = f"{self.admin_site.name}:{meta.app_label}_{meta.model_name}_change"
        return reverse(name, args=[row.pk])

    def tell(self, request: HttpRequest, again: Again) -> None:
        count = len(again.queued)
        if not (count or again.refused):
            # The rows went meanwhile.
            self.message_user(request, _("Nothing of it can be sent again."), messages.WARNING)
        if count:
            text = ngettext("%d delivery is queued.", "%d deliveries are queued.", count)
            self.message_user(request, text % count, messages.SUCCESS)
        if count and not (conf.enabled and conf.send):
            text = _("Sending is switched off in the settings: they wait.")
            self.message_user(request, text, messages.WARNING)
        if again.resting:
            text = ngettext(
                "%d of them waits until its webhook is switched on.",
                "%d of them wait until their webhooks are switched on.",
                again.resting,
            )
            self.message_user(request, text % again.resting, messages.WARNING)
        for reason, times in Counter(one.reason for one in again.refused).items():
            text = ngettext("%(n)d was not sent: %(why)s", "%(n)d were not sent: %(why)s", times)
            self.message_user(request, text % {"n": times, "why": reason}, messages.WARNING)

"""The invocations of an event, as the pages of events and of invocations list them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from auditwebhooks.admin.display import invocation_dot, moment
from auditwebhooks.admin.links import page_of
from auditwebhooks.enums import Status
from auditwebhooks.models import Invocation

# More of them are in the list of invocations.
MOST = 50

_COLUMNS = (
    "event",
    "webhook_name",
    "trigger",
    "attempt",
    "status",
    "outcome",
    "created_at",
    "due_at",
    "finished_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownAttempt:
    pk: int
    is_current: bool
    url: str
    webhook_name: str
    trigger: str
    attempt: int
    status: SafeString
    outcome: str
    time: str


def attempts_context(
    site: admin.AdminSite,
    request: HttpRequest,
    rows: QuerySet[Invocation],
    current: Invocation | None = None,
) -> dict[str, Any]:
    """The latest ones, in the order in which they were made."""
    found = list(rows.only(*_COLUMNS).order_by("-id")[: MOST + 1])
    return {
        "attempts": list(_shown(site, request, found[:MOST][::-1], current)),
        "more_attempts": len(found) > MOST,
    }


def _shown(
    site: admin.AdminSite,
    request: HttpRequest,
    rows: list[Invocation],
    current: Invocation | None,
) -> Iterator[ShownAttempt]:
    for one in rows:
        yield ShownAttempt(
            pk=one.pk,
            is_current=one == current,
            url=page_of(site, request, one),
            webhook_name=one.webhook_name,
            trigger=one.get_trigger_display(),
            attempt=one.attempt,
            status=invocation_dot(one),
            outcome=one.get_outcome_display(),
            time=_time(one),
        )


def _time(invocation: Invocation) -> str:
    if invocation.status == Status.PENDING:
        return _("due %s") % moment(invocation.due_at)
    return moment(invocation.finished_at or invocation.created_at)

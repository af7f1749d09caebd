"""What the app's page in the admin shows above its models: whether deliveries go well, for those
who may know. Nothing here needs the admin, so that its template tag can be loaded without it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from auditwebhooks.chart import Chart, Series, chart
from auditwebhooks.delivery.hours import (
    Deliveries,
    attempts_by_hour,
    deliveries_by_hour,
    events_by_hour,
    hours,
)
from auditwebhooks.enums import Status, WebhookState
from auditwebhooks.states import ToldState, told
from auditwebhooks.status import DeliveryStatus, WebhookStatus, status

# Failing webhooks that are named.
MOST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    name: str
    value: str
    # good, bad, or empty.
    kind: str = ""
    hint: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    name: str
    url: str
    state: ToldState
    failures: int
    last_success_at: datetime | None
    backlog: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    tiles: list[Tile]
    problems: list[str]
    # None: not for this user.
    failing: list[Failing] | None
    more_failing: int
    charts: list[Chart]


def board(request: HttpRequest) -> Board | None:
    """None: there is nothing that this user may know."""
    event, invocation, webhook = (
        _list_url(request, name) for name in ("event", "invocation", "webhook")
    )
    if not (event or invocation or webhook):
        return None
    now = status()
    failing = [one for one in now.webhooks if _is_failing(one)] if webhook else []
    failing.sort(key=lambda one: (not one.disabled_reason, -one.consecutive_failures, one.name))
    return Board(
        tiles=list(_tiles(now, event=event, invocation=invocation, webhook=webhook)),
        problems=list(now.problems) if webhook else [],
        failing=[_failing(request, one) for one in failing[:MOST]] if webhook else None,
        more_failing=len(failing[MOST:]),
        charts=list(_charts(now.at, event=event, invocation=invocation)),
    )


def webhook_chart(webhook_id: uuid.UUID, now: datetime) -> Chart:
    """One webhook's last day."""
    counted = attempts_by_hour(webhook_id, now)
    return _deliveries_chart("auditwebhooks-attempts", _("Deliveries, 24 hours"), now, counted)


def _list_url(request: HttpRequest, model: str) -> str:
    """Of the list in the admin that the request is for; empty where the user may not view it, or
    there is none."""
    verbs = ("view", "change") if model == "webhook" else ("view",)
    if not any(request.user.has_perm(f"auditwebhooks.{verb}_{model}") for verb in verbs):
        return ""
    return _url(request, f"{model}_changelist")


def _url(request: HttpRequest, name: str, *args: Any) -> str:
    site = getattr(request, "current_app", None) or "admin"
    try:
        return reverse(f"{site}:auditwebhooks_{name}", args=args)
    except NoReverseMatch:
        return ""


def _tiles(now: DeliveryStatus, *, event: str, invocation: str, webhook: str) -> Iterator[Tile]:
    yield _worker(now)
    if webhook or invocation:
        query = urlencode({"status": Status.PENDING.value})
        yield Tile(
            name=_("Deliveries that wait"),
            value=number_format(now.backlog),
            url=f"{invocation}?{query}" if invocation else "",
        )
        yield Tile(
            name=_("The oldest of them is late by"),
            value=_age(now.oldest_waiting_seconds, now.at),
            hint=_("Without those of webhooks that are off or paused."),
        )
    if event:
        yield Tile(
            name=_("Events that wait for their webhooks"),
            value=number_format(now.events_waiting),
        )


def _worker(now: DeliveryStatus) -> Tile:
    name = _("Worker")
    if not now.sending:
        return Tile(
            name=name,
            value=_("sending is off"),
            kind="warn",
            hint=_("ENABLED or SEND is off in the settings."),
        )
    if now.worker_is_silent:
        return Tile(
            name=name,
            value=_("no worker is running"),
            kind="bad",
            hint=_("Start manage.py qcluster."),
        )
    return Tile(name=name, value=_("running"), kind="good", hint=_seen(now))


def _seen(now: DeliveryStatus) -> str:
    return _("Last seen %s ago.") % _age(now.worker_seen_seconds, now.at)


def _age(seconds: float | None, now: datetime) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return ngettext("%d second", "%d seconds", int(seconds)) % int(seconds)
    return timesince(now - timedelta(seconds=seconds), now, depth=1)


def _is_failing(webhook: WebhookStatus) -> bool:
    is_held = webhook.state == WebhookState.PAUSED or webhook.consecutive_failures > 0
    return bool(webhook.disabled_reason) or (webhook.state != WebhookState.OFF and is_held)


def _failing(request: HttpRequest, webhook: WebhookStatus) -> Failing:
    return Failing(
        name=webhook.name,
        url=_url(request, "webhook_change", webhook.id),
        state=told(webhook.state, webhook.disabled_reason),
        failures=webhook.consecutive_failures,
        last_success_at=webhook.last_success_at,
        backlog=webhook.backlog,
    )


def _charts(now: datetime, *, event: str, invocation: str) -> Iterator[Chart]:
    if event:
        yield chart(
            name="auditwebhooks-events",
            title=_("Events, 24 hours"),
            times=_times(now),
            series=[Series(name=_("events"), kind="plain", values=events_by_hour(now))],
        )
    if invocation:
        title = _("Deliveries, 24 hours")
        yield _deliveries_chart("auditwebhooks-deliveries", title, now, deliveries_by_hour(now))


def _deliveries_chart(name: str, title: str, now: datetime, counted: Deliveries) -> Chart:
    return chart(
        name=name,
        title=title,
        times=_times(now),
        series=[
            Series(name=_("succeeded"), kind="good", values=counted.succeeded),
            Series(name=_("failed"), kind="bad", values=counted.failed),
        ],
    )


def _times(now: datetime) -> list[str]:
    return [date_format(_local(start), "H:i") for start in hours(now)]


def _local(moment: datetime) -> datetime:
    return timezone.localtime(moment) if timezone.is_aware(moment) else moment

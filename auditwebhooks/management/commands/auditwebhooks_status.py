from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandParser, no_translations
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone

from auditwebhooks.enums import WebhookState
from auditwebhooks.status import DeliveryStatus, WebhookStatus, status


class Command(BaseCommand):
    help = (
        "Tells how deliveries fare: backlog, oldest waiting, when a worker was last there, and "
        "each webhook. Ends with 1 where something is wrong, and says what to do. Made to be run "
        "every minute by whatever watches your servers."
    )
    # They would be told every minute, and ``check`` tells them.
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs", dest="as_json")

    # English like all that commands say, for whatever reads it.
    @no_translations
    def handle(self, *, as_json: bool, **options: Any) -> None:
        now = status()
        if as_json:
            told = {"healthy": now.healthy, **asdict(now)}
            self.stdout.write(json.dumps(told, cls=DjangoJSONEncoder, indent=2))
        else:
            self.stdout.write("\n".join(_lines(now)))
        if not now.healthy:
            sys.exit(1)


def _lines(now: DeliveryStatus) -> Iterator[str]:
    if not now.sending:
        yield "Nothing is sent: AUDITWEBHOOKS ENABLED or SEND is off."
    seen = now.worker_seen_seconds
    yield f"Worker: {'never seen' if seen is None else f'seen {_ago(seen)}'}"
    yield f"Events waiting: {now.events_waiting:,}{_since('oldest', now.oldest_event_seconds)}"
    yield f"Backlog: {now.backlog:,}{_since('oldest due', now.oldest_waiting_seconds)}"
    for webhook in now.webhooks:
        yield f"{webhook.name}: {', '.join(_parts(webhook))}"
    for problem in now.problems:
        yield f"Problem: {problem}"


def _parts(webhook: WebhookStatus) -> Iterator[str]:
    state = webhook.state
    until = webhook.paused_until if state == WebhookState.PAUSED else None
    yield f"{state.value} until {_moment(until)}" if until else state.value
    if webhook.disabled_reason:
        yield f"switched off by the system ({webhook.disabled_reason.rstrip('.')})"
    yield f"backlog {webhook.backlog:,}{_since('oldest due', webhook.oldest_waiting_seconds)}"
    if webhook.consecutive_failures:
        yield f"{webhook.consecutive_failures:,} failures in a row"
    for word, moment in (
        ("success", webhook.last_success_at),
        ("failure", webhook.last_failure_at),
    ):
        if moment:
            yield f"last {word} {_moment(moment)}"


def _moment(moment: datetime) -> str:
    local = timezone.localtime(moment) if timezone.is_aware(moment) else moment
    return f"{local:%Y-%m-%d %H:%M:%S}"


def _since(what: str, seconds: float | None) -> str:
    return "" if seconds is None else f" ({what} {_ago(seconds)})"


def _ago(seconds: float) -> str:
    whole = int(seconds)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= 2 * size:
            return f"{whole // size} {unit} ago"
    return f"{whole} s ago"

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from auditwebhooks.retention import Pruned, count_prunable, prune

# Seconds between two lines about the progress.
_TELL_EVERY = 5.0


class Command(BaseCommand):
    help = (
        "Deletes events, invocations and replays that are older than AUDITWEBHOOKS['RETENTION'] "
        "allows, in small batches while deliveries go on. Workers do the same every hour, for a "
        "minute at most; this goes on until nothing is left. It can be stopped and run again at "
        "any time. What still waits to be sent is kept."
    )

    _told_at = 0.0

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(self, *, dry_run: bool, **options: Any) -> None:
        if dry_run:
            self.stdout.write(f"Would be deleted: {_words(count_prunable())}.")
            return
        self._told_at = time.monotonic()
        self.stdout.write(f"Deleted: {_words(prune(on_batch=self._tell))}.")

    def _tell(self, pruned: Pruned) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            self.stdout.write(f"So far: {_words(pruned)}.")
            self.stdout.flush()


def _words(pruned: Pruned) -> str:
    return (
        f"{pruned.events:,} events, {pruned.invocations:,} invocations, {pruned.replays:,} replays"
    )

from __future__ import annotations

import time
from argparse import RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from auditwebhooks.redaction import NOBODY, Redacted, redact

# Seconds between two lines about the progress.
_TELL_EVERY = 5.0


class Command(BaseCommand):
    help = """Erases a person from the recorded events.

Events whose actor has this id: id, name, ip, user_agent, actor_pk and impersonation data become
"***". In these events, and in those about the person's own record (found by the key of the user),
every value that is exactly the id or a name that was recorded with it becomes "***", at any depth.
In the invocations of all these events the message and the bodies that hold id, name, address or
browser become "***" as a whole. So does who asked for a replay, and what holds them in answers
that the API keeps for an Idempotency-Key.

Events are neither deleted nor moved. It can be stopped and run again.

Not searched: texts that hold the id or the name among other words; numbers, such as the key of
the user in other rows; what was recorded under another id (an old e-mail address: run it again for
that); other fields of the person's own record, such as user name or telephone (name them with
--also); events of other objects (--everywhere); what receivers have got; your project's tables."""

    _told_at = 0.0

    def create_parser(self, *arguments: Any, **options: Any) -> CommandParser:
        return super().create_parser(
            *arguments, formatter_class=RawDescriptionHelpFormatter, **options
        )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--actor", required=True, help="actor_id as the events have it")
        parser.add_argument(
            "--also",
            action="append",
            default=[],
            metavar="TEXT",
            help="a further text that is the person's, such as a user name; may be repeated",
        )
        parser.add_argument(
            "--everywhere",
            action="store_true",
            help="look for the texts in every event; reads the whole table",
        )
        parser.add_argument("--dry-run", action="store_true", help="only count")

    def handle(
        self, *, actor: str, also: list[str], everywhere: bool, dry_run: bool, **options: Any
    ) -> None:
        if actor in NOBODY:
            raise CommandError(f'"{actor}" stands for many and is no person.')
        if "" in also:
            raise CommandError("--also takes a text that is not empty.")
        self._told_at = time.monotonic()
        done = redact(
            actor, also=also, everywhere=everywhere, dry_run=dry_run, on_batch=self._tell
        )
        verb = "Would be erased from" if dry_run else "Erased from"
        self.stdout.write(f"{verb} {_words(done)}.")
        if done.busy:
            raise CommandError(
                f"{done.busy:,} more events are being sent at this moment. Run it again."
            )

    def _tell(self, redacted: Redacted) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY:
            self._told_at = now
            self.stdout.write(f"So far: {_words(redacted)}.")
            self.stdout.flush()


def _words(redacted: Redacted) -> str:
    return f"{redacted.events:,} events, {redacted.invocations:,} invocations"

from __future__ import annotations

import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from auditwebhooks import wake
from auditwebhooks.conf import conf
from auditwebhooks.delivery.drain import Drain


class Command(BaseCommand):
    help = (
        "Delivers what is due, here and now, without a qcluster. Runs until it is stopped "
        "(Ctrl-C, SIGTERM), with --once until nothing is due."
    )

    _slot: wake.Slot | None = None
    _stopped = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--once", action="store_true", help="end when nothing is due")

    def handle(self, *, once: bool, **options: Any) -> None:
        if not (conf.enabled and conf.send):
            self.stderr.write("Nothing is sent: AUDITWEBHOOKS ENABLED or SEND is off.")
            return
        if not once:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._stop)
        with Drain() as drain:
            made = drain.run(linger=0 if once else float("inf"), keep=self._keep)
            self._release()
            made += drain.finish()
        self.stdout.write(f"Attempts made: {made}")

    def _stop(self, *args: object) -> None:
        self._stopped = True

    def _keep(self, backlog: bool) -> bool:
        """Hold the bell's slot where it is free, so that commits call nobody else."""
        if self._slot is None or not self._slot.renew():
            self._slot = wake.acquire(range(1))
        return not self._stopped

    def _release(self) -> None:
        if self._slot is not None:
            self._slot.release()

"""What fifty dead webhooks cost a healthy one: milliseconds from commit to arrival.

    python -m benchmarks.isolation [--dead 50] [--seconds 40] [--rate 10] [--rounds 3]

A steady stream of changes goes to a webhook alone, then to it and to dead ones beside it, in
turns; the dead ones are new in each round. A quarter of them each refuses the connection, never
answers, answers 500, or resets the connection. The ratio of the p95 is taken round by round.
"""

from __future__ import annotations

import argparse
import socket
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.delivery import make_webhook
from benchmarks.host import host
from benchmarks.latency import EVENT_TYPES, Commits, describe, percentile
from benchmarks.receiver import Arrival, Receiver, receiver

if TYPE_CHECKING:
    from auditwebhooks.models import Webhook

LIMIT = 2.0
# Seconds after which what the healthy webhook has not got is lost.
_PATIENCE = 60


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("postgresql", "mariadb"), default="postgresql")
    parser.add_argument("--broker", choices=("orm", "redis"), default="orm")
    parser.add_argument("--dead", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=40, help="of each side in a round")
    parser.add_argument("--rate", type=float, default=10, help="changes in a second")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


class Stream:
    """Changes at a steady rate, and when the healthy webhook got them."""

    def __init__(self, server: Receiver, healthy: Webhook, options: argparse.Namespace) -> None:
        self._receiver = server
        self._healthy = healthy
        self._count = int(options.seconds * options.rate)
        self._rate = options.rate

    def run(self) -> list[float]:
        commits = Commits()
        started = time.monotonic()
        for number in range(self._count):
            time.sleep(max(started + number / self._rate - time.monotonic(), 0))
            commits.make()
        return commits.delays(self._healthy, self._arrivals())

    def _arrivals(self) -> list[Arrival]:
        from auditwebhooks.identifiers import parse_message_id

        until = time.monotonic() + _PATIENCE
        own: dict[str, float] = {}
        while len(own) < self._count:
            if time.monotonic() > until:
                raise SystemExit("The healthy webhook has not got all of it.")
            time.sleep(0.2)
            for moment, message in self._receiver.take():
                delivery = parse_message_id(message)
                if delivery is not None and delivery.webhook_id == self._healthy.pk:
                    own.setdefault(message, moment)
        return [(moment, message) for message, moment in own.items()]


def make_dead(count: int, server: Receiver, refusing: int) -> None:
    from auditwebhooks.models import Webhook

    kinds = [
        f"https://127.0.0.1:{refusing}/",
        *(f"{server.url}{kind}" for kind in ("hang", "500", "reset")),
    ]
    for number in range(count):
        Webhook.objects.create(
            name=f"Dead {number}", url=kinds[number % len(kinds)], event_types=EVENT_TYPES
        )


def bury_dead(healthy: Webhook) -> None:
    """What waits for them is cancelled; calls that hang may take a little longer."""
    from auditwebhooks.models import Invocation, Webhook

    for webhook in Webhook.objects.exclude(pk=healthy.pk):
        webhook.delete()
    while Invocation.objects.filter(status__in=("pending", "sending")).exists():
        time.sleep(0.2)


def measure(
    options: argparse.Namespace, server: Receiver, refusing: int
) -> list[tuple[list[float], list[float]]]:
    """Of each round the delays alone and beside the dead ones."""
    healthy = make_webhook(server.url, EVENT_TYPES)
    stream = Stream(server, healthy, options)
    rounds = []
    for number in range(options.rounds + 1):
        alone = stream.run()
        make_dead(options.dead, server, refusing)
        beside = stream.run()
        bury_dead(healthy)
        server.take()
        # The first warms up.
        if number:
            rounds.append((alone, beside))
            print(
                f"  round {number}: p95 alone {percentile(alone, 0.95):.1f} ms, "
                f"beside {percentile(beside, 0.95):.1f} ms",
                flush=True,
            )
    return rounds


def main() -> None:
    options = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(receiver(folder))
        # Bound and not listening, so that nobody else gets the port.
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))
        refusing = nobody.getsockname()[1]
        live = stack.enter_context(
            host(
                folder,
                server,
                database=options.database,
                broker=options.broker,
                ALLOWED_PORTS=[server.port, refusing],
            )
        )
        live.cluster()
        rounds = measure(options, server, refusing)
    print(
        f"{options.rate:g} changes/s, {options.dead} dead webhooks, {options.database}, "
        f"broker {options.broker}, {options.rounds} rounds"
    )
    describe("alone", [one for alone, _beside in rounds for one in alone])
    describe("beside the dead ones", [one for _alone, beside in rounds for one in beside])
    ratio = statistics.median(percentile(b, 0.95) / percentile(a, 0.95) for a, b in rounds)
    verdict = "keeps" if ratio < LIMIT else "MISSES"
    print(f"ratio of the p95 {ratio:.2f} {verdict} limit {LIMIT}")


if __name__ == "__main__":
    main()

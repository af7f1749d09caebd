"""Seconds from a commit to the arrival of its request, while the workers have nothing else to do.

    python -m benchmarks.latency [--broker redis] [--changes 200] [--longest 4]

One article is changed at a time, after pauses that chance chooses, and a qcluster with two workers
delivers. A worker looks for more during 1.2 seconds after its last work; a change that comes later
has to call one by the broker. Both kinds are told apart. The clock starts where COMMIT has
returned, and stops where the receiver has read the whole request.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.delivery import make_webhook
from benchmarks.host import host, wait_until_stored
from benchmarks.receiver import Arrival, Receiver, receiver

if TYPE_CHECKING:
    from auditwebhooks.models import Webhook

EVENT_TYPES = ["testapp.article.*"]
# Milliseconds; p50 by broker.
P50 = {"orm": 150, "redis": 25}
P99 = 1000
# A pause that is a little longer than a worker stays.
LEFT_AFTER = 1.5


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("postgresql", "mariadb"), default="postgresql")
    parser.add_argument("--broker", choices=("orm", "redis"), default="orm")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--longest", type=float, default=4, help="seconds between two changes")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


class Commits:
    """Makes articles, one in each transaction, and notes when it was committed."""

    def __init__(self) -> None:
        self._at: list[float] = []

    def make(self) -> None:
        from django.db import transaction

        from tests.testapp.models import Article

        with transaction.atomic():
            # Before what the package has to do then.
            transaction.on_commit(lambda: self._at.append(time.monotonic()))
            Article.objects.create(title="An article")

    def delays(self, webhook: Webhook, arrivals: Sequence[Arrival]) -> list[float]:
        """Milliseconds to the first arrival of each, in their order; forgets the commits."""
        from auditwebhooks.identifiers import message_id
        from auditwebhooks.models import Event

        arrived: dict[str, float] = {}
        for moment, message in arrivals:
            arrived.setdefault(message, moment)
        made = Event.objects.filter(event_type="testapp.article.created").order_by("-id")
        events = list(made.values_list("event_id", flat=True)[: len(self._at)])[::-1]
        at, self._at = self._at, []
        return [
            (arrived[message_id(event, webhook.pk)] - moment) * 1000
            for event, moment in zip(events, at, strict=True)
        ]


def percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * part), len(ordered) - 1)]


def describe(name: str, delays: Sequence[float]) -> None:
    if delays:
        print(
            f"{name:32}{len(delays):5} changes   p50 {statistics.median(delays):6.1f} ms   "
            f"p95 {percentile(delays, 0.95):6.1f} ms   p99 {percentile(delays, 0.99):6.1f} ms   "
            f"longest {max(delays):6.1f} ms"
        )


def measure(options: argparse.Namespace, server: Receiver) -> tuple[list[float], list[float]]:
    """The pauses before the changes, and what each took."""
    webhook = make_webhook(server.url, EVENT_TYPES)
    chance = random.Random(options.seed)
    commits = Commits()
    # The first ones find workers that have imported nothing yet: one for each.
    for _ in range(4):
        time.sleep(2)
        commits.make()
    commits.delays(webhook, server.wait_for(4))
    pauses = [chance.uniform(0, options.longest) for _ in range(options.changes)]
    for pause in pauses:
        time.sleep(pause)
        commits.make()
    arrivals = server.wait_for(options.changes)
    wait_until_stored()
    assert len(arrivals) == options.changes, "more arrived than were made"
    return pauses, commits.delays(webhook, arrivals)


def main() -> None:
    options = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(receiver(folder))
        live = stack.enter_context(
            host(folder, server, database=options.database, broker=options.broker)
        )
        live.cluster()
        pauses, delays = measure(options, server)
    print(f"{options.database}, broker {options.broker}, pauses up to {options.longest} s")
    describe("all", delays)
    pairs = list(zip(pauses, delays, strict=True))
    describe("a worker is called", [delay for pause, delay in pairs if pause > LEFT_AFTER])
    describe("a worker still looks", [delay for pause, delay in pairs if pause <= LEFT_AFTER])
    for name, found, limit in (
        ("p50", statistics.median(delays), P50[options.broker]),
        ("p99", percentile(delays, 0.99), P99),
    ):
        print(f"{name} {found:.1f} ms {'keeps' if found < limit else 'MISSES'} limit {limit} ms")


if __name__ == "__main__":
    main()

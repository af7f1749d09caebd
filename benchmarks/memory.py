"""Memory of the workers of a cluster over many deliveries.

    python -m benchmarks.memory [--deliveries 100000] [--batch 10000] [--broker redis]

A qcluster with two workers delivers batch after batch. After each batch the resident memory of the
cluster's processes is noted, that of the workers by process. It is flat where the mean of the last
quarter of the batches is not more than that of the second quarter, with a little for noise.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks.delivery import make_webhook, record
from benchmarks.host import host, wait_until_stored
from benchmarks.receiver import Receiver, receiver

LIMIT = 1.05


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("postgresql", "mariadb"), default="postgresql")
    parser.add_argument("--broker", choices=("orm", "redis"), default="orm")
    parser.add_argument("--deliveries", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=5000)
    return parser.parse_args()


def resident(cluster: int) -> dict[int, float]:
    """MB of each process below the sentinel: workers, pusher and monitor."""
    [sentinel] = psutil.Process(cluster).children()
    return {one.pid: one.memory_info().rss / 1e6 for one in sentinel.children()}


def measure(options: argparse.Namespace, server: Receiver, cluster: int) -> list[dict[int, float]]:
    from django.db import transaction

    make_webhook(server.url)
    samples = []
    for number in range(options.deliveries // options.batch):
        with transaction.atomic():
            record(options.batch)
        server.wait_for(options.batch)
        wait_until_stored()
        samples.append(resident(cluster))
        sizes = ", ".join(f"{size:.1f}" for size in samples[-1].values())
        print(f"  {(number + 1) * options.batch:7} delivered: {sizes} MB", flush=True)
    return samples


def quarter(samples: list[dict[int, float]], number: int, pid: int) -> float:
    """The mean in the quarter, counted from 0."""
    size = len(samples) // 4
    return statistics.mean(one[pid] for one in samples[number * size : (number + 1) * size])


def report(samples: list[dict[int, float]]) -> bool:
    first, last = samples[0], samples[-1]
    if first.keys() != last.keys():
        raise SystemExit("A process was replaced by another meanwhile.")
    kept = True
    for pid in first:
        second, fourth = (quarter(samples, number, pid) for number in (1, 3))
        kept = kept and fourth <= second * LIMIT
        print(
            f"process {pid}: first batch {first[pid]:.1f} MB, second quarter {second:.1f} MB, "
            f"last quarter {fourth:.1f} MB, ratio {fourth / second:.3f}"
        )
    print(f"{'keeps' if kept else 'MISSES'} limit {LIMIT}")
    return kept


def main() -> None:
    options = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(receiver(folder))
        live = stack.enter_context(
            host(folder, server, database=options.database, broker=options.broker)
        )
        cluster = live.cluster().pid
        samples = measure(options, server, cluster)
    if not report(samples):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

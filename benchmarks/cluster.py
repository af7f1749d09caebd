"""Deliveries per second of a real cluster, beside a bare pool of requests sessions.

    python -m benchmarks.cluster [--database postgresql] [--broker orm] [--threads 8] [--peer]
    python -m benchmarks.cluster --threads 32 --delay 0.1 --deliveries 6000
    python -m benchmarks.cluster --clusters 4 [--drainers 8]

Ours is a qcluster with two workers (or several of them) in processes of their own, with DRAINERS
drains; every call is fanned out, claimed, rendered, sent, judged and stored with request and
response. The bare side is as many processes with as many threads, each thread with its session
as it comes and nothing to record; it is shown with trust_env=False, too, which saves a session
its looks for proxies in the environment, as ours has none. All call the same receiver with the
same body, in turns, round by round.
The rate is that at which requests arrived, from the first tenth to the last; ratios are taken
round by round. A round fails where an event arrives twice or not at all.

--delay  the receiver takes so many seconds; the limit then is calls in flight / delay
--peer   django-webhook with Celery (prefork, two processes) on Redis, in an environment of its
         own that is made at the first run, delivers the same body in the same rounds
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.delivery import body_of, make_bare, make_webhook, record
from benchmarks.host import (
    cpu_seconds,
    host,
    server_cpu_seconds,
    wait_until_idle,
    wait_until_stored,
)
from benchmarks.peers.celery_side import CelerySide
from benchmarks.receiver import Arrival, Receiver, receiver

WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A side in a round: per second, and CPU milliseconds per delivery."""

    rate: float
    cpu: float
    # Of the database's own processes.
    server_cpu: float | None = None
    # Of each cluster, the part of the CPU that all of them used.
    shares: list[float] = field(default_factory=list)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("postgresql", "mariadb"), default="postgresql")
    parser.add_argument("--broker", choices=("orm", "redis"), default="orm")
    parser.add_argument("--threads", type=int, default=8, help="of each process")
    parser.add_argument("--deliveries", type=int, default=10_000, help="of each side in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds the receiver takes")
    parser.add_argument("--clusters", type=int, default=1, help="each with two workers")
    parser.add_argument("--drainers", type=int, help="by default as many as there are workers")
    parser.add_argument("--peer", action="store_true", help="django-webhook, too")
    parser.add_argument("--peer-deliveries", type=int, default=1000)
    options = parser.parse_args()
    options.drainers = options.drainers or WORKERS * options.clusters
    return options


def rate(arrivals: list[Arrival]) -> float:
    """Per second, between the first and the last tenth."""
    times = sorted(moment for moment, _message in arrivals)
    first, last = len(times) // 10, len(times) * 9 // 10
    return (last - first) / (times[last] - times[first])


class Ours:
    def __init__(self, clusters: list[int], server: Receiver) -> None:
        self._clusters = clusters
        self._receiver = server
        self.webhook = make_webhook(server.url)

    def run(self, count: int) -> Measured:
        from django.db import transaction

        from auditwebhooks.identifiers import message_id

        before, server_before = self._used(), server_cpu_seconds()
        # One commit, so that the workers find all of it, and recording takes nothing from them.
        with transaction.atomic():
            events = record(count)
        arrivals = self._receiver.wait_for(count)
        wait_until_stored()
        used = [after - old for after, old in zip(self._used(), before, strict=True)]
        total = sum(used)
        # Those that have ended meanwhile are missing.
        server = sum(
            after - server_before.get(pid, 0.0) for pid, after in server_cpu_seconds().items()
        )
        wait_until_idle()
        arrivals += self._receiver.take()
        expected = sorted(message_id(event.event_id, self.webhook.pk) for event in events)
        assert sorted(message for _at, message in arrivals) == expected, "lost, or there twice"
        return Measured(
            rate=rate(arrivals),
            cpu=total / count * 1000,
            server_cpu=server / count * 1000 if server else None,
            shares=[one / total for one in used],
        )

    def _used(self) -> list[float]:
        return [cpu_seconds([pid]) for pid in self._clusters]


class Bare:
    """The bare pools, each in a process that is asked for so many calls at a time."""

    def __init__(self, server: Receiver, folder: Path, options: argparse.Namespace) -> None:
        self._receiver = server
        self._threads = options.threads
        context = multiprocessing.get_context("spawn")
        self._pipes = []
        for _ in range(options.drainers):
            mine, its = context.Pipe()
            arguments = (its, server.url, folder, options.threads)
            context.Process(target=_serve_bare, args=arguments, daemon=True).start()
            self._pipes.append(mine)

    def run(self, count: int, body: bytes, *, trust_env: bool = True) -> Measured:
        each = count // len(self._pipes) // self._threads * self._threads
        for pipe in self._pipes:
            pipe.send((each, body, trust_env))
        cpu = sum(pipe.recv() for pipe in self._pipes)
        arrivals = self._receiver.wait_for(each * len(self._pipes))
        return Measured(rate=rate(arrivals), cpu=cpu / len(arrivals) * 1000)


def _serve_bare(pipe: Connection, url: str, folder: Path, threads: int) -> None:
    """In a process of its own: the CPU seconds of what is asked for."""
    sides: dict[tuple[bytes, bool], Callable[[int], float]] = {}
    while True:
        try:
            count, body, trust_env = pipe.recv()
        except EOFError:
            return
        if (body, trust_env) not in sides:
            sides[body, trust_env] = make_bare(url, folder, threads, body, trust_env=trust_env)
        before = time.process_time()
        sides[body, trust_env](count)
        pipe.send(time.process_time() - before)


def median(values: list[float]) -> float:
    return statistics.median(values)


def describe(name: str, measured: list[Measured]) -> None:
    server = [one.server_cpu for one in measured if one.server_cpu is not None]
    print(
        f"{name:46}{median([one.rate for one in measured]):7.0f}/s"
        f"{median([one.cpu for one in measured]):7.2f} ms of CPU each"
        + (f", and {median(server):.2f} ms of the database" if server else "")
    )


def compare(name: str, ours: list[Measured], others: list[float]) -> None:
    ratios = sorted(one.rate / other for one, other in zip(ours, others, strict=True))
    print(f"{name:46}{median(ratios):7.2f}   ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def main() -> None:
    options = parse()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(receiver(folder, options.delay))
        bare = Bare(server, folder, options)
        live = stack.enter_context(
            host(
                folder,
                server,
                database=options.database,
                broker=options.broker,
                CONCURRENCY=options.threads,
                PER_WEBHOOK_CONCURRENCY=options.threads,
                DRAINERS=options.drainers,
            )
        )
        ours = Ours([live.cluster().pid for _ in range(options.clusters)], server)
        peer = stack.enter_context(CelerySide(server, folder)) if options.peer else None
        measure(options, ours, bare, peer, server)


def measure(
    options: argparse.Namespace, ours: Ours, bare: Bare, peer: CelerySide | None, server: Receiver
) -> None:
    from auditwebhooks.models import Event

    ours.run(500)
    body = body_of(ours.webhook, Event.objects.latest("id"))
    for trust_env in (True, False):
        bare.run(500, body, trust_env=trust_env)
    own: list[Measured] = []
    limit: list[Measured] = []
    tuned: list[Measured] = []
    theirs: list[Measured] = []
    for number in range(options.rounds):
        limit.append(bare.run(options.deliveries, body))
        own.append(ours.run(options.deliveries))
        tuned.append(bare.run(options.deliveries, body, trust_env=False))
        line = f"  round {number + 1}: bare {limit[-1].rate:.0f}/s, ours {own[-1].rate:.0f}/s"
        if peer is not None:
            arrivals, cpu = peer.run(options.peer_deliveries, body)
            theirs.append(Measured(rate=rate(arrivals), cpu=cpu / len(arrivals) * 1000))
            line += f", django-webhook {theirs[-1].rate:.0f}/s"
        if options.clusters > 1:
            line += "; CPU of the clusters " + ", ".join(f"{one:.0%}" for one in own[-1].shares)
        print(line, flush=True)
    calls = options.drainers * options.threads
    print(
        f"{options.drainers} processes x {options.threads} threads, {len(body)} bytes, receiver "
        f"takes {options.delay * 1000:.0f} ms; {options.clusters} x {WORKERS} workers, "
        f"{options.database}, broker {options.broker}; medians of {options.rounds} rounds of "
        f"{options.deliveries}; each event arrived once"
    )
    describe("bare requests.Session pool, nothing recorded", limit)
    describe("the same with trust_env=False", tuned)
    describe("auditwebhooks, every call recorded", own)
    compare("ratio to bare", own, [one.rate for one in limit])
    compare("ratio to bare with trust_env=False", own, [one.rate for one in tuned])
    if options.delay:
        possible = calls / options.delay
        compare(f"ratio to {calls} calls / {options.delay} s", own, [possible] * len(own))
    if theirs:
        describe("django-webhook, Celery prefork 2, Redis", theirs)
        compare("ratio to django-webhook", own, [one.rate for one in theirs])


if __name__ == "__main__":
    main()

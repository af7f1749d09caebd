"""Deliveries per second beside the limit: a bare thread pool of requests sessions.

    python -m benchmarks.delivery [--database postgresql] [--threads 8] [--delay 0.1]

Both sides send the same bodies to the same HTTPS receiver, from one process with the same number
of threads; the rounds alternate, and the ratio is taken round by round, so that a machine that
slows down slows both. The bare side records nothing; the package fans out, claims, renders, sends,
judges and stores every call with its request and response.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from benchmarks.receiver import receiver

if TYPE_CHECKING:
    from auditwebhooks.models import Event, Webhook


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--threads", type=int, default=8)
    parser.add_argument("--deliveries", type=int, default=2000, help="of each side in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds the receiver takes")
    return parser.parse_args()


def start_django(
    folder: Path, database: str, url: str, threads: int, *, certificate: bool = True
) -> None:
    """A migrated database of its own, and settings that may call the receiver."""
    port = int(url.rstrip("/").rpartition(":")[2])
    server = os.environ.get("DATABASE_NAME", "auditwebhooks_benchmark")
    name = str(folder / "db.sqlite3") if database == "sqlite" else server
    os.environ.update(
        DJANGO_SETTINGS_MODULE="benchmarks.settings",
        DATABASE=database,
        DATABASE_NAME=name,
        BENCHMARK=json.dumps(
            {
                "ALLOWED_NETWORKS": ["127.0.0.0/8"],
                "ALLOWED_PORTS": [port],
                "CA_FILE": str(folder / "ca.pem") if certificate else None,
                "CONCURRENCY": threads,
                "PER_WEBHOOK_CONCURRENCY": threads,
            }
        ),
    )
    if database == "postgresql":
        make_postgresql_database(name)
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def make_postgresql_database(name: str) -> None:
    drop_postgresql_database(name)
    _ask_postgresql(f"CREATE DATABASE {name}")


def drop_postgresql_database(name: str) -> None:
    _ask_postgresql(f"DROP DATABASE IF EXISTS {name}")


def _ask_postgresql(statement: str) -> None:
    import psycopg

    with psycopg.connect(
        host=os.environ.get("POSTGRES_HOST", "127.0.0.1"),
        user=os.environ.get("POSTGRES_USER", "postgres"),
        password=os.environ.get("POSTGRES_PASSWORD", ""),
        dbname="postgres",
        autocommit=True,
    ) as connection:
        connection.execute(statement)


def make_bare(
    url: str, folder: Path, threads: int, body: bytes, *, trust_env: bool = True
) -> Callable[[int], float]:
    """Sends so many bodies from a pool in which each thread has its session; seconds taken.

    ``trust_env``: a session as it comes, which looks for proxies in the environment at each call.
    """
    sessions = [requests.Session() for _ in range(threads)]
    for session in sessions:
        session.trust_env = trust_env
    # Not of the session: REQUESTS_CA_BUNDLE would go before it.
    verify = str(folder / "ca.pem")

    def send(session: requests.Session, count: int) -> None:
        for _ in range(count):
            response = session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=10,
                verify=verify,
            )
            assert response.status_code == 200

    def run(count: int) -> float:
        started = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(send, sessions, [count // threads] * threads))
        return time.perf_counter() - started

    return run


def make_webhook(
    url: str, event_types: Sequence[str] = ("benchmark.*",), name: str = "Receiver"
) -> Webhook:
    """Gets what ``record`` records, or what is named, and judges the answer."""
    from auditwebhooks.models import Webhook

    return Webhook.objects.create(
        name=name,
        url=url,
        event_types=list(event_types),
        response_validators=[{"json_path": "$.data.ok", "expected_values": ["true"]}],
    )


def record(count: int) -> list[Event]:
    import auditwebhooks
    from tests.testapp.models import Article

    metadata = {"request_id": "4f8c2d0e9a7b4f6d8e1c3b5a7d9f0e2c", "path": "/admin/", "n": 1}
    with auditwebhooks.context(actor="benchmark", source="API"):
        return [
            auditwebhooks.record(
                "tick",
                # Those of one object would go one after another.
                target=Article(pk=number, title="An article"),
                event_type="benchmark.tick",
                metadata=metadata,
            )
            for number in range(count)
        ]


def body_of(webhook: Webhook, event: Event) -> bytes:
    """What the webhook sends for the event."""
    from auditwebhooks.payload import VARIABLES
    from auditwebhooks.templating.template import compile_template

    return compile_template(webhook.body_template, VARIABLES).render(event.payload).encode()


def make_package(url: str) -> tuple[Callable[[int], float], bytes]:
    """Records so many events, then delivers them; seconds taken by the delivery."""
    from auditwebhooks.delivery.drain import Drain
    from auditwebhooks.models import Event, Invocation

    webhook = make_webhook(url)

    def run(count: int) -> float:
        record(count)
        before = Invocation.objects.filter(status="succeeded").count()
        started = time.perf_counter()
        with Drain() as drain:
            drain.run()
            drain.finish()
        seconds = time.perf_counter() - started
        assert Invocation.objects.filter(status="succeeded").count() - before == count
        return seconds

    run(10)
    return run, body_of(webhook, Event.objects.latest("id"))


def main() -> None:
    options = parse()
    with (
        tempfile.TemporaryDirectory() as name,
        receiver(Path(name), options.delay) as server,
    ):
        folder, url = Path(name), server.url
        start_django(folder, options.database, url, options.threads)
        package, body = make_package(url)
        bare = make_bare(url, folder, options.threads, body)
        count = options.deliveries // options.threads * options.threads
        bare(options.threads * 5)
        rates: list[tuple[float, float]] = []
        for _ in range(options.rounds):
            rates.append((count / bare(count), count / package(count)))
            print(f"  round: bare {rates[-1][0]:7.0f}/s   auditwebhooks {rates[-1][1]:7.0f}/s")
        from django.db import connection

        connection.close()
    report(options, len(body), rates)


def report(options: argparse.Namespace, body: int, rates: list[tuple[float, float]]) -> None:
    bare, package = (statistics.median(side) for side in zip(*rates, strict=True))
    ratio = statistics.median(ours / limit for limit, ours in rates)
    print(
        f"{options.threads} threads, {body} bytes, receiver takes {options.delay * 1000:.0f} ms, "
        f"{options.database}; medians of {options.rounds} rounds:\n"
        f"bare requests.Session pool, nothing recorded   {bare:7.0f}/s\n"
        f"auditwebhooks, every call recorded             {package:7.0f}/s\n"
        f"ratio                                          {ratio:7.2f}"
    )


if __name__ == "__main__":
    main()

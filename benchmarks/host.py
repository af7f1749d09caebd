"""A host project with workers of its own, and what its processes have used."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.receiver import Receiver
from tests.live import Live


@contextmanager
def host(
    folder: Path, receiver: Receiver, *, database: str, broker: str, **settings: Any
) -> Iterator[Live]:
    """Migrated, and allowed to call the receiver; this process is set up as it, too.

    ``settings``: AUDITWEBHOOKS.
    """
    # What django-q2 has by itself.
    os.environ["LIVE_CLUSTER"] = json.dumps({"poll": 0.2, "log_level": "WARNING"})
    allowed = {
        "ALLOWED_NETWORKS": ["127.0.0.0/8"],
        "ALLOWED_PORTS": [receiver.port],
        "CA_FILE": str(folder / "ca.pem"),
    }
    live = Live(folder, database=database, broker=broker, auditwebhooks={**allowed, **settings})
    try:
        os.environ.update(live.env)
        import django

        django.setup()
        yield live
    finally:
        from django.db import connections

        connections.close_all()
        live.close()


def wait_until_stored(seconds: float = 60) -> None:
    """Nothing waits for its fan-out, its call or its result."""
    from auditwebhooks.models import Event, Invocation

    under_way = Invocation.objects.filter(status__in=("pending", "sending"))
    waiting = Event.objects.filter(fanned_out_at=None)
    until = time.monotonic() + seconds
    while waiting.exists() or under_way.exists():
        if time.monotonic() > until:
            raise SystemExit(f"Not all was stored within {seconds} seconds.")
        time.sleep(0.1)


def wait_until_idle(seconds: float = 30) -> None:
    """The workers have gone home. One that was called and not needed counts for seconds only."""
    from django.utils import timezone

    from auditwebhooks.models import Wake

    until = time.monotonic() + seconds
    while Wake.objects.exclude(state="idle").filter(until__gt=timezone.now()).exists():
        if time.monotonic() > until:
            raise SystemExit("A worker does not end.")
        time.sleep(0.1)


def cpu_seconds(pids: Iterable[int]) -> float:
    """What these processes, those below them and those that ended below them have used."""
    used = 0.0
    for pid in pids:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            try:
                used += sum(one.cpu_times()[:4])
            except psutil.NoSuchProcess:
                continue
    return used


def server_cpu_seconds() -> dict[int, float]:
    """What each backend of this database has used; nothing where that cannot be told."""
    from django.db import connection

    if connection.vendor != "postgresql":
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return {pid: cpu_seconds([pid]) for [pid] in cursor.fetchall() if psutil.pid_exists(pid)}

"""django-webhook with Celery as a side that delivers; see ``benchmarks.cluster``."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from pathlib import Path

import redis

from benchmarks.delivery import drop_postgresql_database, make_postgresql_database
from benchmarks.host import cpu_seconds
from benchmarks.peers.__main__ import Side, python_of
from benchmarks.receiver import ROOT, Arrival, Receiver

SIDE = Side(name="django_webhook", package="django-webhook==0.0.15")
# Beside what the package asks for.
CELERY = "celery[redis]==5.7.0"


class CelerySide:
    """Queues so many deliveries, then has two worker processes send them."""

    def __init__(self, server: Receiver, folder: Path) -> None:
        self._receiver = server
        self._python = python_of(SIDE, CELERY)
        self._name = f"auditwebhooks_peers_{SIDE.name}_{uuid.uuid4().hex[:8]}"
        self._env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": f"benchmarks.peers.settings.{SIDE.name}",
            "DATABASE": "postgresql",
            "DATABASE_NAME": self._name,
            "CA_FILE": str(folder / "ca.pem"),
            "CELERY_PREFIX": f"{self._name}:",
            "PYTHONPATH": str(ROOT),
            # Of queries while it starts, and of working as root.
            "PYTHONWARNINGS": "ignore",
        }

    def __enter__(self) -> CelerySide:
        make_postgresql_database(self._name)
        return self

    def __exit__(self, *error: object) -> None:
        drop_postgresql_database(self._name)
        client = redis.Redis(
            host=os.environ.get("REDIS_HOST", "127.0.0.1"),
            port=int(os.environ.get("REDIS_PORT", "6379")),
        )
        for key in client.scan_iter(f"{self._name}:*"):
            client.delete(key)
        client.close()

    def run(self, count: int, body: bytes) -> tuple[list[Arrival], float]:
        """What arrived, and the CPU seconds of the workers since the first arrival."""
        application = [self._python, "-m", "benchmarks.peers.celery_app"]
        subprocess.run(
            [*application, self._receiver.url, str(count)],
            input=body,
            env=self._env,
            cwd=ROOT,
            check=True,
        )
        worker = subprocess.Popen(
            [
                *(self._python, "-m", "celery", "-A", "benchmarks.peers.celery_app", "worker"),
                *("--pool", "prefork", "--concurrency", "2", "--loglevel", "ERROR"),
            ],
            env=self._env,
            cwd=ROOT,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            while worker.poll() is None and not self._receiver.count():
                time.sleep(0.02)
            started = cpu_seconds([worker.pid])
            arrivals = self._receiver.wait_for(count)
            used = cpu_seconds([worker.pid]) - started
            worker.terminate()
            worker.wait(30)
        finally:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()
        return arrivals, used

"""A host project in processes of its own: real database, real broker, real workers.

What needs a server that does not answer is skipped by its name.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

ROOT = Path(__file__).parent.parent

SERVERS = {
    "postgresql": (os.environ.get("POSTGRES_HOST", "127.0.0.1"), 5432),
    "mariadb": (os.environ.get("MARIADB_HOST", "127.0.0.1"), 3306),
    "redis": (
        os.environ.get("REDIS_HOST", "127.0.0.1"),
        int(os.environ.get("REDIS_PORT", "6379")),
    ),
}


def need(server: str) -> None:
    """Skip, naming the server, where it does not answer."""
    address = SERVERS.get(server)
    if address is None:
        return
    try:
        socket.create_connection(address, 2).close()
    except OSError:
        pytest.skip(f"{server} does not answer at {address[0]}:{address[1]}")


def until(condition: Callable[[], Any], seconds: float = 60, what: str = "") -> Any:
    """Wait for a condition; what it gave when it was true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} seconds: {what or condition}")


def somebody_waits_for_a_lock() -> bool:
    """Of those who work with this database."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # Inside a transaction it would show what it showed first.
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(
                "SELECT 1 FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        else:
            # The table shows what it showed before to who asks more often than ten times a second.
            threading.Event().wait(0.2)
            cursor.execute(
                "SELECT 1 FROM information_schema.innodb_trx t "
                "JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id "
                "WHERE t.trx_state = 'LOCK WAIT' AND p.db = database()"
            )
        return cursor.fetchone() is not None


class Live:
    """Migrated and ready; ``python`` runs code in it, ``cluster`` starts workers."""

    def __init__(
        self,
        folder: Path,
        *,
        database: str,
        broker: str,
        auditwebhooks: dict[str, Any],
        apps: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.name = f"live_{uuid.uuid4().hex[:12]}"
        self._processes: list[subprocess.Popen[str]] = []
        self._database = database
        self._broker = broker
        settings = {
            "database": database,
            "name": self.name,
            "auditwebhooks": auditwebhooks,
            "apps": list(apps),
        }
        self.env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.live_settings",
            "DATABASE": database,
            "BROKER": broker,
            "DATABASE_NAME": str(folder / "db.sqlite3") if database == "sqlite" else self.name,
            "LIVE": json.dumps(settings),
            "PYTHONPATH": str(ROOT),
        }
        self._create_database()
        self._run(["-m", "django", "migrate", "--verbosity", "0"])

    def python(
        self, code: str, *, check: bool = True, env: Mapping[str, str] | None = None
    ) -> str:
        """Run code after django.setup() in a new process; what it printed."""
        return self._run(["-c", f"import django\ndjango.setup()\n{code}"], check=check, env=env)

    def rows(self, model: str, *fields: str) -> list[list[Any]]:
        """Rows of a model of this app, by id."""
        return json.loads(
            self.python(
                "import json\n"
                f"from auditwebhooks.models import {model}\n"
                f"rows = {model}.objects.order_by('pk').values_list(*{fields!r})\n"
                "print(json.dumps([[str(v) for v in row] for row in rows]))"
            )
        )

    def cluster(self, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a qcluster, in a process group of its own."""
        with (self.folder / "cluster.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "django", "qcluster"],
                env={**self.env, **(env or {})},
                cwd=ROOT,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def kill(self, process: subprocess.Popen[str]) -> None:
        """kill -9 of a cluster with all its processes."""
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        process.wait(10)

    def close(self) -> None:
        for process in self._processes:
            self.kill(process)
        self._drop_database()
        if self._broker == "redis":
            self._forget_queue()

    def _run(
        self, arguments: list[str], *, check: bool = True, env: Mapping[str, str] | None = None
    ) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            env={**self.env, **(env or {})},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(done.stderr[-4000:])
        return done.stdout

    def _create_database(self) -> None:
        self._admin(f"CREATE DATABASE {self.name}")

    def _drop_database(self) -> None:
        force = " WITH (FORCE)" if self._database == "postgresql" else ""
        self._admin(f"DROP DATABASE IF EXISTS {self.name}{force}")

    def _admin(self, statement: str) -> None:
        if self._database == "postgresql":
            import psycopg

            with psycopg.connect(
                host=SERVERS["postgresql"][0],
                user=os.environ.get("POSTGRES_USER", "postgres"),
                password=os.environ.get("POSTGRES_PASSWORD", ""),
                dbname="postgres",
                autocommit=True,
            ) as connection:
                connection.execute(statement)
        elif self._database == "mariadb":
            import pymysql

            with pymysql.connect(
                host=SERVERS["mariadb"][0],
                user=os.environ.get("MARIADB_USER", "root"),
                password=os.environ.get("MARIADB_PASSWORD", ""),
            ) as connection:
                connection.cursor().execute(statement)

    def _forget_queue(self) -> None:
        import redis

        host, port = SERVERS["redis"]
        client = redis.Redis(host=host, port=port)
        for key in client.keys(f"django_q:{self.name}*"):
            client.delete(key)
        client.close()

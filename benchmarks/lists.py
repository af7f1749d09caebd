"""What a page of each list costs: queries, milliseconds, and how the database finds its rows.

    python -m benchmarks.lists [--database mariadb] [--rows 10000 1000000] [--only api|admin]
                               [--plans] [--keep]

Each number of rows gets a database of its own: so many events and invocations, and a hundredth
of it webhooks. What a filter looks for is asked as most rows have it, as only the oldest have it
and as no row has it: the last two are where a list without an index reads all there is. It ends
with 1 where a table of this app is read as a whole, or a page needs more queries than it does with
fewer rows. DATABASE_NAME begins the names of the databases.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.delivery import drop_postgresql_database, make_postgresql_database

EVENTS, INVOCATIONS, WEBHOOKS = "events", "invocations", "webhooks"
API = "/api/audit/{}/"
ADMIN = {
    EVENTS: "/admin/auditwebhooks/event/",
    INVOCATIONS: "/admin/auditwebhooks/invocation/",
    WEBHOOKS: "/admin/auditwebhooks/webhook/",
}

# A table of fewer rows may be read as a whole: nothing is faster.
SMALL = 50_000
OLDEST = 30
BATCH = 500
# Of so many calls the fastest counts.
TIMES = 3

# What only the oldest have.
EVENT_OLD = {
    "event_type": "oldest",
    "action": "oldest",
    "actor_id": "oldest",
    "actor_type": "service_account",
    "source": "Terraform",
    "target_type": "oldest",
    "target_id": "oldest",
}
INVOCATION_OLD = {
    "webhook_id": None,
    "webhook_name": "oldest",
    "trigger": "manual",
    "attempt": 7,
    "status": "failed",
    "outcome": "tls",
    "response_status": 418,
}

# Filter -> what most rows have, only the oldest have, and none has.
EVENT_FILTERS = {
    "event_type": ("testapp.article.updated", "oldest", "absent"),
    "action": ("update", "oldest", "absent"),
    "actor_id": ("user5@example.com", "oldest", "absent"),
    "actor_type": ("user", "service_account", "anonymous"),
    "source": ("API", "Terraform", "integration"),
    "target_type": ("article 5", "oldest", "absent"),
    "target_id": ("77", "oldest", "absent"),
}
INVOCATION_FILTERS = {
    "webhook_name": ("Webhook 7", "oldest", "absent"),
    "event": ("500", "5"),
    "trigger": ("event", "manual", "replay"),
    "attempt": ("1", "7", "3"),
    "status": ("succeeded", "failed", "pending"),
    "outcome": ("success", "tls", "dns"),
    "response_status": ("200", "418", "404"),
}
WEBHOOK_FILTERS = {
    "name": ("Webhook 7", "absent"),
    "active": ("true", "false"),
    "method": ("POST", "PUT", "GET"),
}
TIMES_OF = {EVENTS: ["created_at"], INVOCATIONS: ["created_at", "due_at", "finished_at"]}
ADMIN_FILTERS = {
    EVENTS: {
        **{name: EVENT_FILTERS[name] for name in ("action", "source", "target_type")},
        "q": ("user5@example.com", "oldest", "absent"),
        "span": ("24h",),
        "p": ("2", "100"),
    },
    INVOCATIONS: {
        **{name: INVOCATION_FILTERS[name] for name in ("trigger", "status", "outcome")},
        "span": ("24h",),
        "p": ("2", "100"),
    },
    WEBHOOKS: {"p": ("2",)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    milliseconds: float
    queries: int
    plans: list[list[str]]

    @property
    def nodes(self) -> list[str]:
        """Of the query that finds the rows of the page, the outermost first."""
        lines = self.plans[-1] if self.plans else []
        return [re.sub(r" +\(cost.*", "", line).strip(" ->") for line in lines if _is_node(line)]


def _is_node(line: str) -> bool:
    """PostgreSQL tells more of each below it."""
    return "(cost" in line or not line.startswith(" ")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql", "mariadb"), default="postgresql"
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--only", choices=("api", "admin"))
    parser.add_argument("--plans", action="store_true", help="print them whole")
    parser.add_argument("--keep", action="store_true", help="the databases, for the next run")
    # What main() calls in a process of its own for each number of rows.
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- rows ---------------------------------------------------------------------------------


def database_of(options: argparse.Namespace, rows: int) -> str:
    name = f"{os.environ.get('DATABASE_NAME', 'auditwebhooks')}_lists_{rows}"
    return f"{tempfile.gettempdir()}/{name}.db" if options.database == "sqlite" else name


def start_django(options: argparse.Namespace, rows: int) -> None:
    """With a database that holds so many rows."""
    name = database_of(options, rows)
    os.environ.update(
        DJANGO_SETTINGS_MODULE="benchmarks.settings",
        DATABASE=options.database,
        DATABASE_NAME=name,
    )
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    if holds_tables():
        return
    connection.close()
    drop(options.database, name)
    create(options.database, name)
    call_command("migrate", verbosity=0)
    fill(rows)


def holds_tables() -> bool:
    from django.db import OperationalError, connection

    try:
        return "auditwebhooks_event" in connection.introspection.table_names()
    except OperationalError:
        return False


def create(database: str, name: str) -> None:
    if database == "postgresql":
        make_postgresql_database(name)
    elif database == "mariadb":
        ask_mariadb(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")


def drop(database: str, name: str) -> None:
    if database == "postgresql":
        drop_postgresql_database(name)
    elif database == "mariadb":
        ask_mariadb(f"DROP DATABASE IF EXISTS {name}")
    else:
        for end in ("", "-wal", "-shm"):
            Path(name + end).unlink(missing_ok=True)


def ask_mariadb(statement: str) -> None:
    import pymysql

    server = pymysql.connect(
        host=os.environ.get("MARIADB_HOST", "127.0.0.1"),
        user=os.environ.get("MARIADB_USER", "root"),
        password=os.environ.get("MARIADB_PASSWORD", ""),
    )
    with server, server.cursor() as cursor:
        cursor.execute(statement)


def fill(rows: int) -> None:
    from django.contrib.auth.models import User
    from django.db import connection

    import auditwebhooks

    with auditwebhooks.paused():
        User.objects.create(username="root", is_superuser=True, is_staff=True)
        webhooks = fill_webhooks(max(rows // 100, 50))
    insert(make_events(rows))
    insert(make_invocations(rows, webhooks))
    tidy = {"postgresql": ["VACUUM ANALYZE"], "sqlite": ["PRAGMA wal_checkpoint(TRUNCATE)"]}
    tables = [f"ANALYZE TABLE auditwebhooks_{name}" for name in ("event", "invocation", "webhook")]
    with connection.cursor() as cursor:
        for statement in tidy.get(connection.vendor, tables):
            cursor.execute(statement)


def fill_webhooks(count: int) -> list[Any]:
    """Fifty of their ids."""
    from auditwebhooks.models import Webhook

    now = datetime.now(UTC)
    Webhook(name="The newest", url="https://hooks.example.com/in").save()
    one = Webhook.objects.get()

    def copies() -> Iterator[Any]:
        for g in range(1, count + 1):
            made = copy.copy(one)
            made.pk = uuid.uuid4()
            made.name, made.name_key = f"Webhook {g}", f"{g:064x}"
            made.active, made.method = g > OLDEST, "POST" if g > OLDEST else "PUT"
            made.created_at = now - timedelta(seconds=count - g)
            yield made

    insert(copies())
    return list(Webhook.objects.order_by("id").values_list("pk", flat=True)[:50])


def make_events(rows: int) -> Iterator[Any]:
    from auditwebhooks.models import Event
    from auditwebhooks.payload import sample

    now, payload = datetime.now(UTC), sample(1).as_text()
    for g in range(1, rows + 1):
        verb = ("update", "create", "delete")[g % 3]
        values = {
            "event_type": f"testapp.article.{verb}d",
            "action": verb,
            "actor_id": f"user{g % 1000}@example.com",
            "actor_type": ("user", "user", "system")[g % 3],
            "source": ("web application", "API", "shell")[g % 3],
            "target_type": f"article {g % 20}",
            "target_id": str(g % 100_000),
        }
        yield Event(
            event_id=f"{g:036x}",
            created_at=now - timedelta(seconds=rows - g),
            actor_name=f"User {g % 1000}",
            target_name=f"Article {g % 100_000}",
            payload_text=payload,
            fanned_out_at=now,
            **(EVENT_OLD if g <= OLDEST else values),
        )


def make_invocations(rows: int, webhooks: list[Any]) -> Iterator[Any]:
    from auditwebhooks.models import Invocation
    from auditwebhooks.payload import sample

    now, payload = datetime.now(UTC), sample(1).as_text()
    for g in range(1, rows + 1):
        failed = g % 20 == 0
        values = {
            "webhook_id": webhooks[g % 50],
            "webhook_name": f"Webhook {g % 50}",
            "trigger": "event",
            "attempt": 1,
            "status": "failed" if failed else "succeeded",
            "outcome": "http_status" if failed else "success",
            "response_status": 500 if failed else 200,
        }
        then = now - timedelta(seconds=rows - g)
        yield Invocation(
            event_id=g,
            message="It was answered.",
            request_method="POST",
            request_url="https://hooks.example.com/***",
            request_headers={"Content-Type": "application/json"},
            request_body=payload,
            response_body="x" * 200,
            duration_ms=20,
            created_at=then,
            due_at=then,
            started_at=then,
            finished_at=then,
            claims=1,
            **(INVOCATION_OLD if g <= OLDEST else values),
        )


def insert(rows: Iterator[Any]) -> None:
    while batch := list(islice(rows, BATCH)):
        type(batch[0])._base_manager.bulk_create(batch)


# --- pages --------------------------------------------------------------------------------


def api_pages(rows: int) -> Iterator[str]:
    for kind, known in (
        (EVENTS, EVENT_FILTERS),
        (INVOCATIONS, INVOCATION_FILTERS),
        (WEBHOOKS, WEBHOOK_FILTERS),
    ):
        url = API.format(kind)
        yield url
        yield f"{url}?page_size=500"
        orders = ["created_at", "-created_at", *(["id", "-id"] if kind != WEBHOOKS else [])]
        yield from (f"{url}?ordering={order}" for order in orders)
        yield from filtered(url, known)
        yield from filtered(url, dict(times(kind, rows)))
    webhook = first_webhook()
    yield f"{API.format(INVOCATIONS)}?include=body"
    yield f"{API.format(INVOCATIONS)}?webhook={webhook}"
    yield f"{API.format(WEBHOOKS)}{webhook}/replay/"


def times(kind: str, rows: int) -> Iterator[tuple[str, Iterable[str]]]:
    now = datetime.now(UTC)
    for column in TIMES_OF.get(kind, []):
        for side in ("gte", "lt"):
            ages = (-60, 60, rows // 2, rows - 60, rows + 60)
            yield f"{column}__{side}", [(now - timedelta(seconds=one)).isoformat() for one in ages]


def admin_pages(rows: int) -> Iterator[str]:
    for kind, known in ADMIN_FILTERS.items():
        yield ADMIN[kind]
        yield from filtered(ADMIN[kind], known)


def filtered(url: str, filters: Mapping[str, Iterable[str]]) -> Iterator[str]:
    for name, values in filters.items():
        yield from (f"{url}?{urlencode({name: value})}" for value in values)


def first_webhook() -> Any:
    from auditwebhooks.models import Webhook

    return Webhook.objects.order_by("id").values_list("pk", flat=True)[0]


PAGES: dict[str, Callable[[int], Iterator[str]]] = {"api": api_pages, "admin": admin_pages}


# --- costs --------------------------------------------------------------------------------


def cost_of(client: Any, url: str) -> tuple[Cost, Any]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    best = float("inf")
    for _ in range(TIMES):
        with CaptureQueriesContext(connection) as queries:
            started = time.perf_counter()
            answer = client.get(url)
            best = min(best, time.perf_counter() - started)
        assert answer.status_code == 200, (url, answer.content[:500])
    asked = [one["sql"] for one in queries.captured_queries]
    plans = [explain(sql) for sql in asked if re.search('FROM ["`]auditwebhooks_', sql)]
    return Cost(milliseconds=best * 1000, queries=len(asked), plans=plans), answer


def explain(sql: str) -> list[str]:
    """The plan by its lines; "Seq Scan on", as PostgreSQL says, where all of a table is read."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"EXPLAIN {sql}")
            return [line for (line,) in cursor.fetchall()]
        if connection.vendor == "sqlite":
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
            return [_of_sqlite(line, sql) for (_id, _above, _unused, line) in cursor.fetchall()]
        cursor.execute(f"EXPLAIN {sql}")
        names = [column[0] for column in cursor.description]
        return [_of_mariadb(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def _of_sqlite(step: str, sql: str) -> str:
    """Its tables are in the order of their ids."""
    table = step.removeprefix("SCAN ")
    whole = table.isidentifier() and f'ORDER BY "{table}"."id"' not in sql
    return f"Seq Scan on {table}" if whole else step


def _of_mariadb(step: dict[str, Any]) -> str:
    if step["type"] == "ALL":
        return f"Seq Scan on {step['table']}"
    return f"{step['type']} {step['table']} by {step['key']} ({step['Extra']})"


def large_tables() -> set[str]:
    from auditwebhooks.models import Event, Invocation, Webhook

    models = (Event, Invocation, Webhook)
    return {one._meta.db_table for one in models if one._base_manager.count() > SMALL}


def make_client(kind: str) -> Any:
    from django.contrib.auth.models import User
    from django.test import Client
    from rest_framework.test import APIClient

    root = User.objects.get(username="root")
    client: Any = Client() if kind == "admin" else APIClient()
    client.force_login(root)
    return client


def measure(options: argparse.Namespace, rows: int) -> dict[str, int]:
    """Page -> its queries; ends the process where a table is read as a whole."""
    start_django(options, rows)
    large = large_tables()
    found: dict[str, int] = {}
    whole: list[str] = []
    for kind, pages in PAGES.items():
        if options.only in (None, kind):
            client = make_client(kind)
            for page in pages(rows):
                for url, cost in with_next(client, page):
                    found[re.sub(r"\d{4}-[^&]+|[0-9a-f-]{36}|cursor=.*", "…", url)] = cost.queries
                    bad = any(
                        re.search(rf"Seq Scan on {table}\b", line)
                        for table in large
                        for plan in cost.plans
                        for line in plan
                    )
                    whole += [url] if bad else []
                    show(url, cost, bad, options.plans)
    if whole:
        print(f"{len(whole)} pages read a table as a whole.", file=sys.stderr)
        raise SystemExit(1)
    return found


def with_next(client: Any, url: str) -> Iterator[tuple[str, Cost]]:
    cost, answer = cost_of(client, url)
    yield url, cost
    if answer["Content-Type"] == "application/json" and (behind := answer.json().get("next")):
        behind = behind.removeprefix("http://testserver")
        yield behind, cost_of(client, behind)[0]


def show(url: str, cost: Cost, bad: bool, whole: bool) -> None:
    short = re.sub(
        r"/(api/audit|admin/auditwebhooks)/|cursor=[^&]+", lambda m: "" if m[1] else "next", url
    )
    nodes = " < ".join(cost.nodes).replace("auditwebhooks_", "")
    mark = "!" if bad else " "
    print(f"{mark}{cost.milliseconds:7.1f} ms {cost.queries:3} q  {short[:78]:78}  {nodes}")
    if whole:
        for plan in cost.plans:
            print(*("    " + line for line in plan), sep="\n")


def main() -> None:
    options = parse()
    if options.measure:
        [rows] = options.rows
        print(json.dumps(measure(options, rows)))
        return
    costs = [run(options, rows) for rows in sorted(options.rows)]
    if not options.keep:
        for rows in options.rows:
            drop(options.database, database_of(options, rows))
    worst = [url for url, queries in costs[-1].items() if queries > costs[0].get(url, queries)]
    if worst:
        print("More queries with more rows:", *worst, sep="\n", file=sys.stderr)
        raise SystemExit(1)


def run(options: argparse.Namespace, rows: int) -> dict[str, int]:
    """In a process of its own: settings are read once."""
    print(f"--- {rows:,} events and invocations", flush=True)
    arguments = [f"--database={options.database}", *(["--plans"] if options.plans else [])]
    arguments += [f"--only={options.only}"] if options.only else []
    done = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.lists", "--measure", "--rows", str(rows), *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout is not None
    last = ""
    for line in done.stdout:
        if line.startswith("{"):
            last = line
        else:
            print(line, end="", flush=True)
    if done.wait():
        raise SystemExit(done.returncode)
    told: dict[str, int] = json.loads(last)
    return told


if __name__ == "__main__":
    main()

"""What a page of each list costs: queries, milliseconds, and how the database finds its rows.

    python -m benchmarks.lists [--database mariadb] [--rows 10000 1000000] [--only api|admin]
                               [--calls 20] [--webhooks 100] [--day] [--plans] [--keep]

Each number of rows gets a database of its own: so many events and invocations, one a second or,
with --day, all of them in the last 24 hours, and as many webhooks as --webhooks says, fifty of
which (with fewer, all) have the invocations. What a filter looks for
is asked as most rows have it, as only the oldest have it and as no row has it: the last two are
where a list without an index reads all there is. It ends with 1 where a table of this app is read
as a whole or counted, or a page needs more queries than it does with fewer rows.

The pages of the admin, those of single rows and the dashboard with them, are then asked --calls
times each (0: not at all), the least and the most rows by turns. It ends with 1, too, where the
95th percentile with most rows is twice that with the least or more, three times one after the
other (less than 5 ms apart do not count), or such a page needs more than 15 queries. Of 20 calls
that leaves out the slowest, mostly the first. DATABASE_NAME begins the names of the databases.
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
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
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
# What a page of the admin may need, and how much slower it may be with most rows.
MOST_QUERIES = 15
MOST_RATIO = 2.0
# A page that seems slower is asked again: something else may have had the machine.
TRIES = 3
# A difference that nobody sees, and other work on the machine makes.
NO_DIFFERENCE = 5.0

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
    "id": ("500", "5"),
    "event_id": (f"{500:036x}", "absent"),
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
        # An actor, an event type, a target, an event; then of the oldest, and of none.
        "q": (
            "user5@example.com",
            "testapp.article.updated",
            "77",
            f"{500:036x}",
            "oldest",
            "absent",
        ),
        "span": ("24h", "7d", "30d"),
        "until": ("2000-01-01T00:00",),
        "p": ("2", "100"),
    },
    INVOCATIONS: {
        **{name: INVOCATION_FILTERS[name] for name in ("trigger", "status", "outcome")},
        "q": (f"{500:036x}", "absent"),
        "span": ("24h", "7d", "30d"),
        "until": ("2000-01-01T00:00",),
        "p": ("2", "100"),
    },
    WEBHOOKS: {
        "q": ("Webhook 7", "absent"),
        "state": ("active", "paused", "inactive", "by_system"),
        "method": ("POST", "PUT", "GET"),
        "p": ("2",),
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    milliseconds: float
    queries: int
    plans: list[list[str]]
    # A large table is read as a whole; its rows are counted.
    reads_all: bool
    counts_all: bool

    @property
    def nodes(self) -> list[str]:
        """Of the query that finds the rows of the page, the outermost first."""
        lines = self.plans[-1] if self.plans else []
        nodes = [re.sub(r"(_\d+)? +\(cost.*", "", one) for one in lines if _is_node(one)]
        # Each once: of a union all parts look the same.
        return list(dict.fromkeys(node.strip(" ->") for node in nodes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Of one number of rows."""

    # Page -> its queries.
    queries: dict[str, int]
    # What is wrong -> pages.
    wrong: dict[str, list[str]]
    # Pages of the admin, in the order in which they can be asked for by number.
    timed: list[str]


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
    parser.add_argument("--calls", type=int, default=20, help="of a page of the admin")
    parser.add_argument("--webhooks", type=int, default=100)
    parser.add_argument("--day", action="store_true", help="all rows in the last 24 hours")
    parser.add_argument("--plans", action="store_true", help="print them whole")
    parser.add_argument("--keep", action="store_true", help="the databases, for the next run")
    # What main() calls in a process of its own for each number of rows.
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- rows ---------------------------------------------------------------------------------


def database_of(options: argparse.Namespace, rows: int) -> str:
    name = f"{os.environ.get('DATABASE_NAME', 'auditwebhooks')}_lists_{rows}"
    name += "_day" if options.day else ""
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
    fill(rows, options.webhooks, step_of(options, rows))


def step_of(options: argparse.Namespace, rows: int) -> timedelta:
    """From one row to the next."""
    return timedelta(days=1) / rows if options.day else timedelta(seconds=1)


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


def fill(rows: int, webhooks: int, step: timedelta) -> None:
    from django.contrib.auth.models import User
    from django.db import connection

    import auditwebhooks

    with auditwebhooks.paused():
        User.objects.create(username="root", is_superuser=True, is_staff=True)
        callers = fill_webhooks(webhooks)
    insert(make_events(rows, step))
    insert(make_invocations(rows, callers, step))
    tidy = {"postgresql": ["VACUUM ANALYZE"], "sqlite": ["PRAGMA wal_checkpoint(TRUNCATE)"]}
    tables = [f"ANALYZE TABLE auditwebhooks_{name}" for name in ("event", "invocation", "webhook")]
    with connection.cursor() as cursor:
        for statement in tidy.get(connection.vendor, tables):
            cursor.execute(statement)


def fill_webhooks(count: int) -> list[Any]:
    """Fifty of their ids, or all."""
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


def make_events(rows: int, step: timedelta) -> Iterator[Any]:
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
            created_at=now - step * (rows - g),
            actor_name=f"User {g % 1000}",
            target_name=f"Article {g % 100_000}",
            payload_text=payload,
            fanned_out_at=now,
            **(EVENT_OLD if g <= OLDEST else values),
        )


def make_invocations(rows: int, webhooks: list[Any], step: timedelta) -> Iterator[Any]:
    from auditwebhooks.models import Invocation
    from auditwebhooks.payload import sample

    now, payload = datetime.now(UTC), sample(1).as_text()
    for g in range(1, rows + 1):
        failed = g % 20 == 0
        values = {
            "webhook_id": webhooks[g % len(webhooks)],
            "webhook_name": f"Webhook {g % len(webhooks)}",
            "trigger": "event",
            "attempt": 1,
            "status": "failed" if failed else "succeeded",
            "outcome": "http_status" if failed else "success",
            "response_status": 500 if failed else 200,
        }
        then = now - step * (rows - g)
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


def api_pages(rows: int, step: timedelta) -> Iterator[str]:
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
        yield from filtered(url, dict(times(kind, rows, step)))
    webhook = first_webhook()
    yield f"{API.format(INVOCATIONS)}?include=body"
    yield f"{API.format(INVOCATIONS)}?webhook={webhook}"
    yield f"{API.format(WEBHOOKS)}{webhook}/replay/"


def times(kind: str, rows: int, step: timedelta) -> Iterator[tuple[str, Iterable[str]]]:
    now = datetime.now(UTC)
    for column in TIMES_OF.get(kind, []):
        for side in ("gte", "lt"):
            ages = (-60, 60, rows // 2, rows - 60, rows + 60)
            yield f"{column}__{side}", [(now - step * one).isoformat() for one in ages]


def admin_pages(rows: int, _step: timedelta) -> Iterator[str]:
    for kind, known in ADMIN_FILTERS.items():
        yield ADMIN[kind]
        yield from filtered(ADMIN[kind], known)
    webhook = first_webhook()
    for given in (
        {"webhook": webhook},
        {"webhook": webhook, "status": "failed"},
        {"webhook": webhook, "status": "failed", "span": "24h"},
        {"webhook": uuid.UUID(int=0)},
        {"outcome": "http_status", "trigger": "replay"},
    ):
        yield f"{ADMIN[INVOCATIONS]}?{urlencode(given)}"
    for given in (
        {"target_model": "testapp.article", "target_id": "77"},
        {"action": "update", "source": "Terraform"},
        {"q": "user5@example.com", "action": "absent"},
        {"target_type": "article 5", "action": "oldest"},
    ):
        yield f"{ADMIN[EVENTS]}?{urlencode(given)}"
    yield from admin_row_pages(rows, webhook)


def admin_row_pages(rows: int, webhook: Any) -> Iterator[str]:
    """Those of the first, a middle and the newest row, and what is no list."""
    for kind in (EVENTS, INVOCATIONS):
        yield from (f"{ADMIN[kind]}{key}/change/" for key in (1, rows // 2, rows))
        yield f"{ADMIN[kind]}{rows}/history/"
    yield f"{ADMIN[EVENTS]}{rows}/payload/"
    yield f"{ADMIN[WEBHOOKS]}{webhook}/change/"
    yield f"{ADMIN[WEBHOOKS]}{webhook}/history/"
    yield f"{ADMIN[WEBHOOKS]}add/"
    yield "/admin/auditwebhooks/replay/"
    yield "/admin/auditwebhooks/"
    yield "/admin/"


def filtered(url: str, filters: Mapping[str, Iterable[str]]) -> Iterator[str]:
    for name, values in filters.items():
        yield from (f"{url}?{urlencode({name: value})}" for value in values)


def first_webhook() -> Any:
    from auditwebhooks.models import Webhook

    return Webhook.objects.order_by("id").values_list("pk", flat=True)[0]


PAGES: dict[str, Callable[[int, timedelta], Iterator[str]]] = {
    "api": api_pages,
    "admin": admin_pages,
}


# --- costs --------------------------------------------------------------------------------


def cost_of(client: Any, url: str, large: Collection[str]) -> tuple[Cost, Any]:
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
    cost = Cost(
        milliseconds=best * 1000,
        queries=len(asked),
        plans=plans,
        reads_all=any(
            re.search(rf"Seq Scan on {table}\b", line)
            for table in large
            for plan in plans
            for line in plan
        ),
        counts_all=any(counts_all(sql, table) for sql in asked for table in large),
    )
    return cost, answer


def counts_all(sql: str, table: str) -> bool:
    return re.search(rf'COUNT\([^)]*\).* FROM ["`]{table}["`](?!.* WHERE )', sql) is not None


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


def measure(options: argparse.Namespace, rows: int) -> None:
    """Tells the report, and then the milliseconds of each page that is asked for by its number."""
    start_django(options, rows)
    step = step_of(options, rows)
    large = large_tables()
    queries: dict[str, int] = {}
    wrong: dict[str, list[str]] = {}
    for kind, pages in PAGES.items():
        if options.only in (None, kind):
            client = make_client(kind)
            for page in pages(rows, step):
                for url, cost in with_next(client, page, large):
                    name = short(url)
                    queries[name] = cost.queries
                    for words in _wrong(kind, cost):
                        wrong.setdefault(words, []).append(name)
                    show(url, cost, options.plans)
    is_timed = options.calls and options.only in (None, "admin")
    timed = list(admin_pages(rows, step)) if is_timed else []
    report = Report(queries=queries, wrong=wrong, timed=[short(page) for page in timed])
    print(json.dumps(asdict(report)), flush=True)
    client = make_client("admin")
    for line in sys.stdin:
        started = time.perf_counter()
        answer = client.get(timed[int(line)])
        taken = time.perf_counter() - started
        assert answer.status_code == 200, answer.content[:500]
        print(taken * 1000, flush=True)


def short(url: str) -> str:
    """The same however many rows there are."""
    url = re.sub(r"\d{4}-[^&]+|[0-9a-f]{8}-[0-9a-f-]{27}|cursor=.*", "…", url)
    return re.sub(r"/\d*(\d)/(change|history|payload)/", r"/…\1/\2/", url)


def _wrong(kind: str, cost: Cost) -> Iterator[str]:
    if cost.reads_all:
        yield "read a table as a whole"
    if cost.counts_all:
        yield "count all rows of a table"
    if kind == "admin" and cost.queries > MOST_QUERIES:
        yield f"need more than {MOST_QUERIES} queries"


def with_next(client: Any, url: str, large: Collection[str]) -> Iterator[tuple[str, Cost]]:
    cost, answer = cost_of(client, url, large)
    yield url, cost
    if answer["Content-Type"] == "application/json" and isinstance(told := answer.json(), dict):
        behind = str(told.get("next") or "").removeprefix("http://testserver")
        if behind:
            yield behind, cost_of(client, behind, large)[0]


def show(url: str, cost: Cost, whole: bool) -> None:
    words = re.sub(
        r"/(api/audit|admin/auditwebhooks)/|cursor=[^&]+", lambda m: "" if m[1] else "next", url
    )
    nodes = " < ".join(cost.nodes).replace("auditwebhooks_", "")
    mark = "!" if cost.reads_all or cost.counts_all else " "
    words = words[:78] or "dashboard"
    print(f"{mark}{cost.milliseconds:7.1f} ms {cost.queries:3} q  {words:78}  {nodes}")
    if whole:
        for plan in cost.plans:
            print(*("    " + line for line in plan), sep="\n")


# --- all of them --------------------------------------------------------------------------


class Measured:
    """A process of its own for each number of rows: settings are read once."""

    def __init__(self, options: argparse.Namespace, rows: int) -> None:
        print(f"--- {rows:,} events and invocations", flush=True)
        self.rows = rows
        arguments = [f"--database={options.database}", f"--calls={options.calls}"]
        arguments.append(f"--webhooks={options.webhooks}")
        arguments += ["--plans"] if options.plans else []
        arguments += ["--day"] if options.day else []
        arguments += [f"--only={options.only}"] if options.only else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.lists", "--measure", f"--rows={rows}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        while not (line := self._line()).startswith("{"):
            print(line, end="", flush=True)
        self.report = Report(**json.loads(line))

    def milliseconds(self, page: int) -> float:
        assert self._process.stdin is not None
        print(page, file=self._process.stdin, flush=True)
        return float(self._line())

    def end(self) -> None:
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(self._process.wait() or 1)
        return line


def main() -> None:
    options = parse()
    if options.measure:
        [rows] = options.rows
        measure(options, rows)
        return
    all_measured = [Measured(options, rows) for rows in sorted(options.rows)]
    least, most = all_measured[0], all_measured[-1]
    wrong = [
        f"With {one.rows:,} rows these pages {words}: {', '.join(pages)}"
        for one in all_measured
        for words, pages in one.report.wrong.items()
    ]
    before = least.report.queries
    more = [one for one, number in most.report.queries.items() if number > before.get(one, number)]
    wrong += [f"These need more queries with more rows: {', '.join(more)}"] if more else []
    slow = list(slower(least, most, options.calls)) if least is not most else []
    wrong += [f"These are {MOST_RATIO} times as slow or more: {', '.join(slow)}"] if slow else []
    for one in all_measured:
        one.end()
    if not options.keep:
        for rows in options.rows:
            drop(options.database, database_of(options, rows))
    if wrong:
        print(*wrong, sep="\n", file=sys.stderr)
        raise SystemExit(1)


def slower(least: Measured, most: Measured, calls: int) -> Iterator[str]:
    """Shows the ratio of each page of the admin; yields those that are too slow."""
    if calls and least.report.timed:
        print(f"--- p95 of {calls} calls with {least.rows:,} and {most.rows:,} rows")
    for number, page in enumerate(least.report.timed):
        tries = [both_95(least, most, number, calls)]
        while _is_slower(*tries[-1]) and len(tries) < TRIES:
            tries.append(both_95(least, most, number, calls))
        few, many = min(tries, key=lambda both: both[1] / both[0])
        is_slow = _is_slower(few, many)
        words = page.removeprefix("/admin/auditwebhooks/") or "dashboard"
        words += f" (the best of {len(tries)})" if len(tries) > 1 else ""
        mark = "!" if is_slow else " "
        print(f"{mark}{few:7.1f} ms {many:7.1f} ms {many / few:6.2f} x  {words}", flush=True)
        if is_slow:
            yield page


def both_95(least: Measured, most: Measured, page: int, calls: int) -> tuple[float, float]:
    rounds = [(least.milliseconds(page), most.milliseconds(page)) for _ in range(calls)]
    few, many = zip(*rounds, strict=True)
    return percentile_95(few), percentile_95(many)


def _is_slower(few: float, many: float) -> bool:
    return many >= MOST_RATIO * few and many - few >= NO_DIFFERENCE


def percentile_95(taken: Iterable[float]) -> float:
    """By nearest rank: one that was measured."""
    ordered = sorted(taken)
    return ordered[-(-len(ordered) * 95 // 100) - 1]


if __name__ == "__main__":
    main()

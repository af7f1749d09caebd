"""What a page of each list costs: queries, milliseconds, and how PostgreSQL finds its rows.

    python -m benchmarks.lists [--rows 10000 1000000] [--only api|admin] [--plans] [--keep]

Each number of rows gets a database of its own: so many events and invocations, and a hundredth
of it webhooks. What a filter looks for is asked as most rows have it, as only the oldest have it
and as no row has it: the last two are where a list without an index reads all there is. It ends
with 1 where a table of this app is read as a whole, or a page needs more queries than it does with
fewer rows. DATABASE_NAME begins the names of the databases.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
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
# Of so many calls the fastest counts.
TIMES = 3

# Column -> what it holds, for the number g of a row.
EVENT_COLUMNS = {
    "event_id": "lpad(to_hex(g), 36, '0')",
    "event_type": "'testapp.article.' || (ARRAY['updated','created','deleted'])[1 + g % 3]",
    "created_at": "now() - ({rows} - g) * interval '1 second'",
    "action": "(ARRAY['update','create','delete'])[1 + g % 3]",
    "actor_id": "'user' || g % 1000 || '@example.com'",
    "actor_name": "'User ' || g % 1000",
    "actor_type": "(ARRAY['user','user','system'])[1 + g % 3]",
    "source": "(ARRAY['web application','API','shell'])[1 + g % 3]",
    "target_type": "'article ' || g % 20",
    "target_id": "(g % 100000)::text",
    "target_name": "'Article ' || g % 100000",
    "payload_text": "{payload}",
    "fanned_out_at": "now()",
}
# What only the oldest have.
EVENT_OLD = {
    "event_type": "'oldest'",
    "action": "'oldest'",
    "actor_id": "'oldest'",
    "actor_type": "'service_account'",
    "source": "'Terraform'",
    "target_type": "'oldest'",
    "target_id": "'oldest'",
}
INVOCATION_COLUMNS = {
    "webhook_id": "(ARRAY(SELECT id FROM auditwebhooks_webhook ORDER BY id LIMIT 50))[1 + g % 50]",
    "webhook_name": "'Webhook ' || g % 50",
    "event_id": "g",
    "trigger": "'event'",
    "attempt": "1",
    "status": "CASE WHEN g % 20 = 0 THEN 'failed' ELSE 'succeeded' END",
    "outcome": "CASE WHEN g % 20 = 0 THEN 'http_status' ELSE 'success' END",
    "message": "'It was answered.'",
    "request_method": "'POST'",
    "request_url": "'https://hooks.example.com/***'",
    "request_headers": "jsonb_build_object('Content-Type', 'application/json')",
    "request_body": "{payload}",
    "response_status": "CASE WHEN g % 20 = 0 THEN 500 ELSE 200 END",
    "response_headers": "jsonb_build_object()",
    "response_body": "repeat('x', 200)",
    "response_truncated": "false",
    "validation_results": "jsonb_build_array()",
    "duration_ms": "20",
    "timings": "jsonb_build_object()",
    "created_at": "now() - ({rows} - g) * interval '1 second'",
    "due_at": "now() - ({rows} - g) * interval '1 second'",
    "started_at": "now() - ({rows} - g) * interval '1 second'",
    "finished_at": "now() - ({rows} - g) * interval '1 second'",
    "claim_token": "''",
    "claims": "1",
}
INVOCATION_OLD = {
    "webhook_id": "NULL",
    "webhook_name": "'oldest'",
    "trigger": "'manual'",
    "attempt": "7",
    "status": "'failed'",
    "outcome": "'tls'",
    "response_status": "418",
}
WEBHOOK_COLUMNS = {
    "id": "gen_random_uuid()",
    "name": "'Webhook ' || g",
    "name_key": "lpad(to_hex(g), 64, '0')",
    "active": "g > 30",
    "method": "CASE WHEN g > 30 THEN 'POST' ELSE 'PUT' END",
    "created_at": "now() - ({rows} - g) * interval '1 second'",
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
        """Of the query that finds the keys of the page, the outermost first."""
        lines = next((plan for plan in self.plans[::-1] if plan[0].startswith("Limit")), [])
        return [re.sub(r" +\(cost.*", "", line).strip(" ->") for line in lines if "(cost" in line]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--only", choices=("api", "admin"))
    parser.add_argument("--plans", action="store_true", help="print them whole")
    parser.add_argument("--keep", action="store_true", help="the databases, for the next run")
    # What main() calls in a process of its own for each number of rows.
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


# --- rows ---------------------------------------------------------------------------------


def database_of(rows: int) -> str:
    return f"{os.environ.get('DATABASE_NAME', 'auditwebhooks')}_lists_{rows}"


def start_django(rows: int) -> None:
    """With a database that holds so many rows."""
    os.environ.update(
        DJANGO_SETTINGS_MODULE="benchmarks.settings",
        DATABASE="postgresql",
        DATABASE_NAME=(name := database_of(rows)),
    )
    import django

    django.setup()
    if is_there(name):
        return
    make_postgresql_database(name)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    fill(rows)


def is_there(name: str) -> bool:
    from django.db import OperationalError, connection

    try:
        connection.ensure_connection()
    except OperationalError:
        return False
    return True


def fill(rows: int) -> None:
    from django.contrib.auth.models import User
    from django.db import connection

    import auditwebhooks

    with auditwebhooks.paused():
        User.objects.create(username="root", is_superuser=True, is_staff=True)
    fill_webhooks(max(rows // 100, 50))
    with connection.cursor() as cursor:
        cursor.execute(insert("event", EVENT_COLUMNS, EVENT_OLD, rows))
        cursor.execute(insert("invocation", INVOCATION_COLUMNS, INVOCATION_OLD, rows))
        cursor.execute("VACUUM ANALYZE")


def fill_webhooks(count: int) -> None:
    """The columns that the fields of the model seal are copied from one that is saved."""
    from django.db import connection

    import auditwebhooks
    from auditwebhooks.models import Webhook

    with auditwebhooks.paused():
        Webhook(name="The newest", url="https://hooks.example.com/in").save()
    columns = [field.column for field in Webhook._meta.concrete_fields]
    values = [WEBHOOK_COLUMNS.get(name, f"one.{name}") for name in columns]
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO auditwebhooks_webhook ({', '.join(columns)}) "  # noqa: S608
            f"SELECT {', '.join(values)} FROM auditwebhooks_webhook one, "
            f"generate_series(1, {count}) g".replace("{rows}", str(count))
        )


def insert(model: str, columns: Mapping[str, str], oldest: Mapping[str, str], rows: int) -> str:
    from auditwebhooks.payload import sample

    values = [
        f"CASE WHEN g <= {OLDEST} THEN {oldest[name]} ELSE {value} END"
        if name in oldest
        else value
        for name, value in columns.items()
    ]
    told = (
        f"INSERT INTO auditwebhooks_{model} ({', '.join(columns)}) "  # noqa: S608
        f"SELECT {', '.join(values)} FROM generate_series(1, {rows}) g"
    )
    return told.replace("{rows}", str(rows)).replace("{payload}", f"$T${sample(1).as_text()}$T$")


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
    from django.utils import timezone

    now = timezone.now()
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
    plans = [explain(sql) for sql in asked if re.search('FROM "auditwebhooks_', sql)]
    return Cost(milliseconds=best * 1000, queries=len(asked), plans=plans), answer


def explain(sql: str) -> list[str]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return [line for (line,) in cursor.fetchall()]


def large_tables() -> set[str]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_stat_user_tables WHERE n_live_tup > %s", [SMALL])
        return {name for (name,) in cursor.fetchall()}


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
    start_django(rows)
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
                        f"Seq Scan on {table}" in line
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
    costs = [run(rows) for rows in sorted(options.rows)]
    if not options.keep:
        for rows in options.rows:
            drop_postgresql_database(database_of(rows))
    worst = [url for url, queries in costs[-1].items() if queries > costs[0].get(url, queries)]
    if worst:
        print("More queries with more rows:", *worst, sep="\n", file=sys.stderr)
        raise SystemExit(1)


def run(rows: int) -> dict[str, int]:
    """In a process of its own: settings are read once."""
    print(f"--- {rows:,} events and invocations", flush=True)
    arguments = [one for one in sys.argv[1:] if one in ("--plans", "--only", "api", "admin")]
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

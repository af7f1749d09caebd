"""What a claim costs where a million rows wait, and how PostgreSQL finds what the workers ask for.

    python -m benchmarks.backlog [--rows 1000000] [--few 1000] [--rounds 7]

Two databases: in one a few rows wait, in the other a million, all for one webhook, with as few for
another webhook beside it. Each round claims from all three in turns what a lane holds at most, as
a worker does (who has something due, then the claim), and has the rows end as delivered. The ratio
is taken round by round.

Then every statement of a claim, of a fan-out, of a sweep and of pruning is explained in the second
database right before it runs. A sequential scan of the events or the invocations ends the run with
an error.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.delivery import (
    drop_postgresql_database,
    make_postgresql_database,
    make_webhook,
    record,
    start_django,
)

if TYPE_CHECKING:
    from auditwebhooks.models import Webhook

LIMIT = 1.3
# For each ten rows that wait one beside them that was delivered long ago, for pruning.
OLD = 10
_URL = "https://127.0.0.1:443/"
_SCAN = re.compile(r"Seq Scan on auditwebhooks_(event|invocation)\b")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--few", type=int, default=1000)
    parser.add_argument("--claimed", type=int, default=256, help="rows in one claim")
    parser.add_argument("--rounds", type=int, default=9)
    return parser.parse_args()


def use(database: str) -> None:
    """Have this process work in that database."""
    from django.db import connection

    connection.close()
    connection.settings_dict["NAME"] = database
    connection.ensure_connection()


def execute(statement: str, *values: object) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement, values)


# The rows


def fill(webhook: Webhook, count: int) -> None:
    """Events that were fanned out, each with an attempt that waits; copies of a true one."""
    copy("event", count, event_id="gen_random_uuid()::text", fanned_out_at="now()")
    copy(
        "invocation",
        count,
        # Those of the youngest events.
        event_id=f"{_youngest('event')} - {count} + n",
        order_key="n",
        webhook_id=f"'{webhook.pk}'",
        due_at=f"now() - interval '1 hour' + n * interval '1 hour' / {count}",
    )


def _youngest(table: str) -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"SELECT max(id) FROM auditwebhooks_{table}")  # noqa: S608
        [number] = cursor.fetchone()
        return int(number)


def copy(table: str, count: int, **values: str) -> None:
    """So many copies of the youngest row of the table with other values, expressions of n."""
    from django.apps import apps

    model = apps.get_model("auditwebhooks", table)
    columns = [field.column for field in model._meta.concrete_fields if not field.primary_key]
    chosen = ", ".join(values.get(column, f"one.{column}") for column in columns)
    name = model._meta.db_table
    execute(
        f"INSERT INTO {name} ({', '.join(columns)}) SELECT {chosen} FROM "  # noqa: S608
        f"(SELECT * FROM {name} ORDER BY id DESC LIMIT 1) one, generate_series(1, {count}) n"
    )


def age(count: int) -> None:
    """The oldest so many events are of last year, and were delivered then."""
    execute(
        "UPDATE auditwebhooks_invocation SET status = 'succeeded', order_key = NULL, "
        "created_at = now() - interval '1 year', finished_at = now() - interval '1 year' "
        "WHERE id IN (SELECT id FROM auditwebhooks_invocation ORDER BY id LIMIT %s)",
        count,
    )
    execute(
        "UPDATE auditwebhooks_event SET created_at = now() - interval '1 year' "
        "WHERE id IN (SELECT id FROM auditwebhooks_event ORDER BY id LIMIT %s)",
        count,
    )


def settle_statistics() -> None:
    execute("VACUUM ANALYZE auditwebhooks_event")
    execute("VACUUM ANALYZE auditwebhooks_invocation")


# What a claim takes


def claim_micros(webhook: Webhook, count: int) -> float:
    """Microseconds a row, of looking who has something due and of claiming it."""
    from django.utils import timezone

    from auditwebhooks.delivery import claim
    from auditwebhooks.models import Invocation

    now = timezone.now()
    token = uuid.uuid4().hex
    started = time.perf_counter()
    due = claim.due_webhooks(now)
    claimed = claim.claim(webhook, count, now, token)
    taken = time.perf_counter() - started
    assert webhook.pk in {one.id for one in due}
    assert len(claimed) == count, f"{len(claimed)} of {count} rows were claimed"
    ids = [one.pk for one in claimed]
    Invocation.objects.filter(pk__in=ids).update(
        status="succeeded", claim_token="", lease_until=None, finished_at=now
    )
    return taken / count * 1e6


def compare(places: dict[str, tuple[str, Webhook]], options: argparse.Namespace) -> bool:
    """Whether a claim among many costs what it may."""
    taken: dict[str, list[float]] = {name: [] for name in places}
    for number in range(options.rounds + 1):
        for name, (database, webhook) in places.items():
            use(database)
            if name != "many":
                # What was claimed the last time is there again.
                fill(webhook, options.claimed if number else options.few)
            micros = claim_micros(webhook, options.claimed)
            # The first warms up.
            if number:
                taken[name].append(micros)
    few = taken["few"]
    kept = True
    for name, own in taken.items():
        ratio = statistics.median(mine / least for mine, least in zip(own, few, strict=True))
        kept = kept and ratio <= LIMIT
        print(
            f"{name:8}{statistics.median(own):7.1f} us a row   ratio {ratio:.2f}   "
            f"({min(own):.1f} to {max(own):.1f} us)"
        )
    print(f"{'keeps' if kept else 'MISSES'} limit {LIMIT}")
    return kept


# How the database finds it


@contextmanager
def explained(name: str) -> Iterator[list[str]]:
    """Prints the plan of each statement of the block; what scans a big table is in the list.
    What runs again with other values is told once."""
    from django.db import connection

    scans: list[str] = []
    seen: set[str] = set()

    def explain(
        run: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        if not many and sql.startswith(("SELECT", "UPDATE", "DELETE", "INSERT", "WITH")):
            # Values are put in before the statement is sent, so the plan is that of the statement.
            text = str(context["connection"].ops.compose_sql(sql, params))
            run(f"EXPLAIN {sql}", params, False, context)
            plan = "\n".join(line for [line] in context["cursor"].fetchall())
            if sql not in seen:
                print(f"\n{shorten(text)}\n{shorten(plan, 2000)}")
            seen.add(sql)
            if _SCAN.search(plan):
                scans.append(text)
        return run(sql, params, many, context)

    print(f"\n== {name}")
    with connection.execute_wrapper(explain):
        yield scans


def shorten(text: str, most: int = 400) -> str:
    # Of long lists of ids and rows the first tell enough.
    text = re.sub(r"(\((?:'?[\w-]+'?, ?){3})[^()]{40,}\)", r"\1...)", text)
    text = re.sub(r"('\{(?:\d+,){3})[\d,]+\}'", r"\1...}'", text)
    return text if len(text) <= most else f"{text[:most]} ..."


def explain_all(webhook: Webhook, count: int) -> list[str]:
    """The statements that scan a big table."""
    from django.test.utils import override_settings
    from django.utils import timezone

    from auditwebhooks import retention
    from auditwebhooks.delivery import claim
    from auditwebhooks.delivery.drain import is_due
    from auditwebhooks.delivery.fanout import fan_out

    found: list[str] = []
    with explained("claim") as scans:
        now, token = timezone.now(), uuid.uuid4().hex
        claim.due_webhooks(now)
        claimed = claim.claim(webhook, count, now, token)
        claim.renew([one.pk for one in claimed], token, claim.lease(webhook))
        claim.give_back([one.pk for one in claimed], token)
        found += scans
    record(1000)
    with explained("fan-out") as scans:
        fan_out()
        found += scans
    with explained("sweep") as scans:
        now = timezone.now()
        is_due()
        claim.recover(now)
        claim.exhausted(now, uuid.uuid4().hex)
        found += scans
    kept = {"RETENTION": {"events": 90, "succeeded": 30, "failed": 90}}
    with override_settings(AUDITWEBHOOKS=kept), explained("prune") as scans:
        gone = []
        retention.prune(seconds=2, on_batch=gone.append)
        assert gone and gone[-1].events and gone[-1].invocations, "nothing was pruned"
        found += scans
    return found


def main() -> None:
    options = parse()
    suffix = uuid.uuid4().hex[:8]
    small, big = (f"auditwebhooks_{kind}_{suffix}" for kind in ("few", "many"))
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for name in (small, big):
            stack.callback(drop_postgresql_database, name)
        os.environ["DATABASE_NAME"] = small
        start_django(folder, "postgresql", _URL, 8)
        from django.db import connection

        stack.callback(connection.close)
        kept, scans = run(options, small, big)
    for text in scans:
        print(f"SCANS A BIG TABLE: {shorten(text)}")
    if scans or not kept:
        raise SystemExit(1)
    print("\nevery statement finds what it needs by an index")


def run(options: argparse.Namespace, small: str, big: str) -> tuple[bool, list[str]]:
    from django.core.management import call_command

    few = begin(options.few)
    settle_statistics()
    make_postgresql_database(big)
    use(big)
    call_command("migrate", verbosity=0)
    started = time.monotonic()
    many = begin(options.rows + options.rows // OLD)
    age(options.rows // OLD)
    beside = make_webhook(_URL, name="Beside")
    fill(beside, options.few)
    settle_statistics()
    print(f"{options.rows} rows wait after {time.monotonic() - started:.0f} s", flush=True)
    places = {"few": (small, few), "many": (big, many), "beside": (big, beside)}
    kept = compare(places, options)
    use(big)
    return kept, explain_all(many, options.claimed)


def begin(count: int) -> Webhook:
    """A webhook for which so many rows wait, in the database that is used."""
    from auditwebhooks.delivery.fanout import fan_out

    webhook = make_webhook(_URL)
    # An event with an attempt, made as they are made, of which the others are copies.
    record(1)
    while fan_out():
        pass
    execute("SET synchronous_commit = off")
    fill(webhook, count)
    return webhook


if __name__ == "__main__":
    main()

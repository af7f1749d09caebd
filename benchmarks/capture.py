"""What recording costs a save, beside plain saves and beside the least that anybody could do.

    python -m benchmarks.capture [--database postgresql] [--rows 300] [--rounds 7]

Three sides write the same rows of the same model, in one transaction, in rounds that take turns:

plain      nothing is recorded
minimal    a hand-written handler: one prepared SELECT of the old row, ``json.dumps`` of both rows,
           one raw INSERT of an event of the same columns
ours       auditwebhooks: registry, masking, context, actor, comparison, event, wake

Bulk writes are compared with plain ones, and ``update()`` with a loop of saves.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.delivery import start_django
from benchmarks.writes import OPERATIONS, Writes

SIDES = ("plain", "minimal", "ours")


class Minimal(Writes):
    """No more than an event needs: nothing is masked, compared, or said of the actor."""

    def __init__(self, model: Any, rows: int) -> None:
        from django.db import connection

        from auditwebhooks.models import Event

        super().__init__(model, rows)
        self.connection = connection
        fields = model._meta.concrete_fields
        self.attnames = [one.attname for one in fields]
        quote = connection.ops.quote_name
        columns = ", ".join(quote(one.column) for one in fields)
        lock = " FOR NO KEY UPDATE" if connection.vendor == "postgresql" else ""
        self.select = f"SELECT {columns} FROM testapp_article WHERE id = %s{lock}"  # noqa: S608
        events = [one for one in Event._meta.concrete_fields if not one.primary_key]
        names = ", ".join(quote(one.column) for one in events)
        marks = ", ".join(["%s"] * len(events))
        self.insert = f"INSERT INTO auditwebhooks_event ({names}) VALUES ({marks})"  # noqa: S608

    def create(self, number: int) -> Any:
        article = super().create(number)
        self.write("create", article.pk, None, self.values(article))
        return article

    def update(self, article: Any) -> None:
        before = self.read(article.pk)
        super().update(article)
        self.write("update", article.pk, before, self.values(article))

    def delete(self, article: Any) -> None:
        pk = article.pk
        before = self.read(pk)
        super().delete(article)
        self.write("delete", pk, before, None)

    def values(self, article: Any) -> dict[str, Any]:
        return {name: article.__dict__[name] for name in self.attnames}

    def read(self, pk: int) -> dict[str, Any]:
        with self.connection.cursor() as cursor:
            cursor.execute(self.select, [pk])
            return dict(zip(self.attnames, cursor.fetchone(), strict=True))

    def write(self, action: str, pk: int, before: Any, after: Any) -> None:
        from django.utils import timezone

        key, now = str(uuid.uuid4()), timezone.now()
        text = json.dumps(
            {"event_id": key, "data": {"action": action, "before": before, "after": after}},
            default=str,
        )
        moment = self.connection.ops.adapt_datetimefield_value(now)
        row = (key, f"testapp.article.{action}", moment, action, "system", "system", "system")
        row += ("shell", "article", str(pk), "An article", text, None)
        with self.connection.cursor() as cursor:
            cursor.execute(self.insert, row)


def operations(side: str, rows: int) -> dict[str, Callable[[], float]]:
    """Operation -> microseconds a row, in one transaction that is rolled back by the caller."""
    import auditwebhooks
    from tests.testapp.models import Article

    writes = Minimal(Article, rows) if side == "minimal" else Writes(Article, rows)

    def run(operation: str) -> float:
        prepared = writes.prepare(operation)
        with auditwebhooks.context() if side == "ours" else auditwebhooks.paused():
            return writes.microseconds(operation, prepared)

    return {operation: partial(run, operation) for operation in OPERATIONS}


def single(rows: int, rounds: int) -> None:
    from django.db import transaction

    sides = {side: operations(side, rows) for side in SIDES}
    taken: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for operation in OPERATIONS:
            order = SIDES if number % 2 else SIDES[::-1]
            for side in order:
                with transaction.atomic():
                    micros = sides[side][operation]()
                    transaction.set_rollback(True)
                if number:
                    taken.setdefault((operation, side), []).append(micros)
    print(f"{'':10}{'plain':>9}{'minimal':>9}{'ours':>9}   us a row, medians of {rounds} rounds")
    for operation in OPERATIONS:
        medians = [statistics.median(taken[operation, side]) for side in SIDES]
        pairs = zip(taken[operation, "minimal"], taken[operation, "ours"], strict=True)
        ratio = statistics.median(own / least for least, own in pairs)
        print(
            f"{operation:10}"
            + "".join(f"{one:9.0f}" for one in medians)
            + f"   ours/minimal {ratio:.2f}"
        )


def bulk(rows: int, rounds: int) -> None:
    from django.db import transaction

    import auditwebhooks
    from tests.testapp.models import Article

    def create() -> None:
        Article.objects.bulk_create([Article(title=str(number)) for number in range(rows)])

    def update() -> None:
        Article.objects.update(title="changed", stars=7)

    def loop() -> None:
        for article in Article.objects.all():
            article.title, article.stars = "changed", 7
            article.save()

    def run(function: Callable[[], None], quiet: bool) -> float:
        with transaction.atomic():
            with auditwebhooks.paused():
                if function is not create:
                    create()
            with auditwebhooks.paused() if quiet else auditwebhooks.context():
                started = time.perf_counter()
                function()
                taken = time.perf_counter() - started
            transaction.set_rollback(True)
        return taken

    print(f"\n{rows} rows, ms")
    for name, function, other, quiet in (
        ("bulk_create, recorded / plain", create, create, True),
        ("update(), recorded / loop of recorded saves", update, loop, False),
        ("update(), recorded / plain", update, update, True),
    ):
        pairs = [(run(function, False), run(other, quiet)) for _ in range(rounds)]
        own, less = (statistics.median(side) * 1000 for side in zip(*pairs, strict=True))
        ratio = statistics.median(own / less for own, less in pairs)
        print(f"{name:46}{own:9.0f}{less:9.0f}   ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rows", type=int, default=300, help="of single writes in a round")
    parser.add_argument("--bulk-rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        start_django(Path(name), options.database, "https://127.0.0.1:443/", 8, certificate=False)
        print(f"{options.database}, CPU {os.cpu_count()}")
        single(options.rows, options.rounds)
        bulk(options.bulk_rows, min(options.rounds, 5))
        from django.db import connection

        connection.close()


if __name__ == "__main__":
    main()

"""One side in a process of its own: writes what it is asked to, and answers in lines of JSON.

The settings choose the side. A question is ``[function, mode, operation, ...]``.
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import django
from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from benchmarks.writes import Writes

_CONTROL = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")


def start() -> dict[str, str]:
    """A migrated database; the versions of what runs here."""
    django.setup()
    call_command("migrate", verbosity=0)
    # Then the tables without migrations, which refer to those with.
    call_command("migrate", run_syncdb=True, verbosity=0)
    with connection.cursor():
        version = ".".join(map(str, connection.get_database_version()))
    return {
        "django": django.__version__,
        "python": platform.python_version(),
        "database": f"{connection.display_name} {version}",
    }


def microseconds(mode: str, operation: str, rows: int) -> float:
    """How long one row takes."""
    return write(mode, operation, rows, nullcontext())


def queries(mode: str, operation: str) -> tuple[int, int]:
    """How many statements one row takes, and how many of BEGIN, COMMIT, SAVEPOINT, RELEASE."""
    # What is asked for once (content types, a worker that is called) is not counted.
    write(mode, operation, 1, nullcontext())
    captured = CaptureQueriesContext(connection)
    write(mode, operation, 1, captured)
    statements = [one["sql"] for one in captured]
    control = sum(one.startswith(_CONTROL) for one in statements)
    return len(statements) - control, control


def write(mode: str, operation: str, rows: int, watch: AbstractContextManager[Any]) -> float:
    """Microseconds a row. Fails where the side did not record every one of them."""
    from benchmarks.peers.models import Article

    writes = Writes(Article, rows)
    with MODES[mode]():
        prepared = writes.prepare(operation)
        before = recorded(operation)
        with watch:
            taken = writes.microseconds(operation, prepared)
        expected = before + (rows if settings.RECORDS else 0)
        found = recorded(operation)
        assert found == expected, f"{operation}: {found} rows are recorded, not {expected}"
    return taken


def recorded(operation: str) -> int:
    """The rows that the side has written for this operation up to now."""
    if settings.RECORDS is None:
        return 0
    model, field, values = settings.RECORDS
    return apps.get_model(model)._base_manager.filter(**{field: values[operation]}).count()


@contextmanager
def rolled_back() -> Iterator[None]:
    # django-easy-audit writes after the commit, which never comes here. With its own setting for
    # tests it writes at once, and leaves out a transaction for each row.
    settings.TEST = True
    with transaction.atomic():
        yield
        transaction.set_rollback(True)
    settings.TEST = False


MODES = {"transaction": rolled_back, "autocommit": nullcontext}


def answer(value: Any) -> None:
    print(json.dumps(value), flush=True)


def main() -> None:
    answer(start())
    functions = {"microseconds": microseconds, "queries": queries}
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        answer(functions[name](*arguments))


if __name__ == "__main__":
    main()

"""What recording a write costs beside django-auditlog, django-simple-history and
django-easy-audit.

    python -m benchmarks.peers [--database postgresql] [--mode transaction] [--rounds 7]

Each side is a process with settings and a database of its own, and writes the same model (see
``models``). A peer runs in an environment of its own, ``.venv-peer-*``, made at the first run with
the Django and the database driver of this one, and is set up as its documentation says, with its
defaults. The sides take turns in every round, and ratios are taken round by round. A side that
does not record every row ends the run.

transaction   the rows of a round are written in one transaction that is rolled back.
              django-easy-audit writes after the commit, so here it runs with its setting for
              tests, which writes at once and costs less than what its users have
autocommit    every write commits by itself, as Django's default is: what django-easy-audit really
              costs, and what waking a worker costs us
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.delivery import drop_postgresql_database, make_postgresql_database
from benchmarks.receiver import ROOT
from benchmarks.writes import OPERATIONS

MODES = ("transaction", "autocommit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of those that are compared. ``name`` is the name of its settings, too."""

    name: str
    # None: it runs in the environment that this runs in.
    package: str | None = None
    # Operation -> what ours may take, as a part of what this side takes.
    limits: dict[str, float] = field(default_factory=dict)


ALWAYS_LESS = dict.fromkeys(OPERATIONS, 1.0)
PLAIN = Side(name="plain")
OURS = Side(name="ours")
PEERS = (
    Side(name="auditlog", package="django-auditlog==3.4.1", limits={"update": 0.6}),
    Side(name="simple_history", package="django-simple-history==3.13.0", limits=ALWAYS_LESS),
    Side(name="easy_audit", package="django-easy-audit==1.3.9", limits=ALWAYS_LESS),
)
SIDES = (PLAIN, OURS, *PEERS)

# (mode, operation, side) -> what it took in each round
Taken = dict[tuple[str, str, str], list[float]]


def python_of(side: Side, *more: str) -> str:
    """The interpreter that has what the side needs."""
    if side.package is None:
        return sys.executable
    folder = ROOT / f".venv-peer-{side.name}"
    python = str(folder / "bin" / "python")
    if not folder.exists():
        print(f"making {folder.name}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    same = [f"django=={version('django')}", f"psycopg[binary]=={version('psycopg')}"]
    install = [python, "-m", "pip", "--disable-pip-version-check", "-q", "install"]
    subprocess.run([*install, side.package, *more, *same], check=True)
    return python


class Worker:
    """A side's process, which is asked one thing at a time."""

    def __init__(self, side: Side, python: str, database: str, database_name: str) -> None:
        self.side = side
        self.process = subprocess.Popen(
            [python, "-m", "benchmarks.peers.worker"],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": f"benchmarks.peers.settings.{side.name}",
                "DATABASE": database,
                "DATABASE_NAME": database_name,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.versions: dict[str, str] = self._answer()

    def ask(self, *question: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.side.name} has ended; what it said is above.")
        return json.loads(line)

    def stop(self) -> None:
        """Its questions end, and it with them."""
        self.process.communicate()


@contextmanager
def running(database: str) -> Iterator[list[Worker]]:
    """A worker for each side."""
    pythons = [python_of(side) for side in SIDES]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = []
        for side, python in zip(SIDES, pythons, strict=True):
            if database == "postgresql":
                name = f"auditwebhooks_peers_{side.name}"
                make_postgresql_database(name)
                stack.callback(drop_postgresql_database, name)
            else:
                name = str(folder / f"{side.name}.sqlite3")
            workers.append(Worker(side, python, database, name))
            stack.callback(workers[-1].stop)
        yield workers


def measure(workers: list[Worker], modes: Sequence[str], rows: int, rounds: int) -> Taken:
    """Microseconds a row. A round more than is counted warms up."""
    taken: Taken = {}
    for number in range(rounds + 1):
        turn = number % len(workers)
        for mode in modes:
            for operation in OPERATIONS:
                for worker in workers[turn:] + workers[:turn]:
                    micros = worker.ask("microseconds", mode, operation, rows)
                    if number:
                        key = mode, operation, worker.side.name
                        taken.setdefault(key, []).append(micros)
    return taken


def print_table(title: str, cell: Callable[[str, str], str], names: list[str]) -> None:
    print(f"\n{title}")
    rows = {operation: [cell(operation, name) for name in names] for operation in OPERATIONS}
    width = 2 + max(map(len, [*names, *(one for row in rows.values() for one in row)]))
    for operation, row in {"": names, **rows}.items():
        print(f"{operation:8}" + "".join(f"{one:>{width}}" for one in row))


def print_mode(mode: str, taken: Taken, workers: list[Worker]) -> None:
    sides = {worker.side.name: worker for worker in workers}

    def median(operation: str, name: str) -> str:
        return f"{statistics.median(taken[mode, operation, name]):.0f}"

    def ratio(operation: str, name: str) -> str:
        ours, others = taken[mode, operation, OURS.name], taken[mode, operation, name]
        found = statistics.median(own / other for own, other in zip(ours, others, strict=True))
        limit = sides[name].side.limits.get(operation)
        if limit is None:
            return f"{found:.2f}"
        return f"{found:.2f} {'MISSES' if found > limit else 'keeps'} limit {limit:.2f}"

    def queries(operation: str, name: str) -> str:
        statements, control = sides[name].ask("queries", mode, operation)
        return f"{statements} + {control}"

    print_table(f"{mode}: us a row", median, list(sides))
    print_table(f"{mode}: ours / peer", ratio, [one.name for one in PEERS])
    print_table(f"{mode}: queries + BEGIN, COMMIT, SAVEPOINT, RELEASE", queries, list(sides))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--mode", choices=MODES, help="instead of both")
    parser.add_argument("--rows", type=int, default=300, help="of each operation in a round")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def main() -> None:
    options = parse()
    with running(options.database) as workers:
        for worker in workers:
            versions = worker.versions
            print(
                f"{worker.side.name:16}{versions['database']}, Python {versions['python']}, "
                f"Django {versions['django']}, {worker.side.package or 'this environment'}"
            )
        print(f"CPU {os.cpu_count()}; medians of {options.rounds} rounds of {options.rows} rows")
        modes = [options.mode] if options.mode else MODES
        taken = measure(workers, modes, options.rows, options.rounds)
        for mode in modes:
            print_mode(mode, taken, workers)


if __name__ == "__main__":
    main()

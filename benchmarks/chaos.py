"""Conservation: what was recorded is what was received, whatever dies on the way.

    python -m benchmarks.chaos [--events 20000] [--seed 1] [--database postgresql] [--broker redis]

Several processes write, some of which die in the middle of it, while a cluster delivers to two
webhooks. Their receiver answers 200, 500 or 429 with Retry-After, never, with garbage, or resets
the connection. Meanwhile workers, writers and whole clusters are killed with -9, the broker is
flushed, the database ends all connections, and SECRET_KEY is rotated. In the end every event must
have arrived at each webhook, each chain of attempts must end in one success, nothing may be under
way, no call may have been made without a claim, and the events of an object must have come in
order.

Leases and pauses are shortened, so that it ends (``tests.crashing``); a commit that finds the bell
silent is stood in for by a ring where nothing arrives for two seconds. The machine decides how the
processes interleave, so a seed repeats the choices, not the run.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email import message_from_bytes
from pathlib import Path
from typing import Any, TypeVar

import psutil
import trustme

from tests.crashing import WRITING
from tests.hostile import HostileServer, read_request
from tests.live import ROOT, Live

T = TypeVar("T")

WRITERS = 3
WEBHOOKS = ("a", "b")
# Seconds after which the result of a call is stored at the latest.
TAKES = 6
OLD, NEW = "only for tests", "the key after it"


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000, help="about so many are recorded")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql", "mariadb"), default="postgresql"
    )
    parser.add_argument("--broker", choices=("orm", "redis"), default="redis")
    parser.add_argument("--patience", type=float, default=120, help="seconds without an arrival")
    return parser.parse_args()


# The receiver


class Receiver:
    """Notes every request, and answers as chance has it."""

    def __init__(self, context: ssl.SSLContext, seed: int, events: int) -> None:
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        # Each holds a webhook for a second.
        self._waits = min(0.02, 15 / events)
        # (webhook's name, message id, attempt), as they arrived, and when.
        self.arrived: list[tuple[str, str, int]] = []
        self.times: list[float] = []
        self.accepted: set[str] = set()
        self.answers: Counter[str] = Counter()
        self.server = HostileServer(self._serve, context)

    def _choose(self) -> str:
        return self._random.choices(
            ("200", "500", "429", "timeout", "reset", "garbage"),
            (0.83, 0.08, self._waits, 0.01, 0.04, 0.02),
        )[0]

    def _serve(self, connection: socket.socket, over: threading.Event) -> None:
        while request := read_request(connection):
            head = request.partition(b"\r\n\r\n")[0]
            line, _, fields = head.partition(b"\r\n")
            headers = message_from_bytes(fields)
            message = headers["webhook-id"]
            with self._lock:
                name = line.split()[1].decode().rpartition("/")[2]
                self.arrived.append((name, message, int(headers["webhook-attempt"])))
                self.times.append(time.monotonic())
                answer = self._choose()
                self.answers[answer] += 1
            if answer == "timeout":
                over.wait(3)
                return
            if answer == "reset":
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                return
            if answer == "garbage":
                connection.sendall(b"\x00 220 smtp ready \xff\r\n\r\n")
                return
            connection.sendall(_RESPONSES[answer])
            if answer == "200":
                self.accepted.add(message)


_RESPONSES = {
    status: f"HTTP/1.1 {status} X\r\n{more}Content-Length: 2\r\n\r\n{{}}".encode()
    for status, more in (("200", ""), ("500", ""), ("429", "Retry-After: 1\r\n"))
}


# The writers, in processes of their own


def write(number: int, count: int, seed: int) -> None:
    """Make, change and delete articles, and roll some of it back."""
    from django.db import InterfaceError, OperationalError, connection, transaction

    from tests.testapp.models import Article

    class RolledBackError(Exception):
        pass

    chance = random.Random(f"{seed} {number}")
    mine: list[int] = []
    for serial in range(count):
        kind = chance.random()
        try:
            with transaction.atomic():
                if kind < 0.6 or not mine:
                    article = Article.objects.create(title=f"{number}-{serial}", stars=1)
                else:
                    # Most often one of a few, whose events queue up behind each other.
                    article = Article.objects.get(pk=chance.choice(mine[:5] or mine))
                    article.stars += 1
                    article.save()
                if chance.random() < 0.05:
                    raise RolledBackError
            mine.append(article.pk)
        except RolledBackError:
            continue
        except (InterfaceError, OperationalError):
            # Written or not: the rows will tell.
            connection.close()


# What goes wrong


class Chaos:
    def __init__(self, live: Live, receiver: Receiver, options: argparse.Namespace) -> None:
        self.live = live
        self.receiver = receiver
        self.options = options
        self.done: Counter[str] = Counter()
        # When something was killed that may have been calling.
        self.disturbed: list[float] = []
        self._random = random.Random(options.seed + 1)
        self._keys = [OLD]
        self._each = options.events // WRITERS
        self._writers: dict[int, subprocess.Popen[bytes]] = {}
        self.cluster = self._start_cluster()

    def run(self) -> None:
        for number, step in enumerate(WRITING, 2 * WRITERS):
            self._write(number, self._each, step)
        for number in range(WRITERS):
            self._write(number, self._each)
        plan = iter(self._plan())
        share, act = next(plan)
        moved_at = rung_at = restarted_at = time.monotonic()
        most = 0
        while not self._is_over():
            time.sleep(0.1)
            now = time.monotonic()
            accepted = len(self.receiver.accepted)
            if accepted > most:
                most, moved_at = accepted, now
            if accepted >= share * self.options.events * len(WEBHOOKS) or (
                self._all_written() and now - moved_at > 5
            ):
                act()
                share, act = next(plan, (float("inf"), lambda: None))
            if now - moved_at > 2 and now - rung_at > 2:
                self._ring()
                rung_at = time.monotonic()
            if now - moved_at > 20 and now - restarted_at > 20:
                # An idle worker that was killed can stall a cluster for good.
                self.done["clusters restarted after a stall"] += 1
                self._restart_cluster()
                restarted_at = time.monotonic()
            if now - moved_at > self.options.patience:
                raise SystemExit(f"Nothing arrived for {self.options.patience} seconds.")
        for _share, act in plan:
            act()

    def _plan(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """What is done when so much of everything has arrived."""
        yield 0.03, self.kill_worker
        yield 0.06, self.kill_writer
        yield 0.10, self.end_connections
        yield 0.15, self.flush_broker
        yield 0.20, self.kill_worker
        yield 0.30, self.kill_cluster
        yield 0.40, self.rotate_key
        yield 0.50, self.kill_worker
        yield 0.55, self.end_connections
        yield 0.60, self.flush_broker
        yield 0.70, self.forget_old_key
        yield 0.80, self.kill_worker
        yield 0.90, self.kill_cluster

    def kill_worker(self) -> None:
        """One that is calling, where there is one."""
        port = self.receiver.server.port
        [sentinel] = psutil.Process(self.cluster.pid).children() or [None]
        # The monitor and the pusher come last.
        workers = sentinel.children() if sentinel else []
        calling = [
            one
            for one in workers
            if any(sock.raddr and sock.raddr.port == port for sock in one.net_connections("tcp"))
        ]
        if calling:
            self._random.choice(calling).kill()
            self.disturbed.append(time.monotonic())
            self.done["workers killed"] += 1

    def kill_writer(self) -> None:
        number = self._random.randrange(WRITERS)
        process = self._writers[number]
        if process.poll() is not None:
            return
        process.kill()
        process.wait()
        self.done["writers killed"] += 1
        from tests.testapp.models import Article

        made = self.ask(lambda: Article.objects.filter(title__startswith=f"{number}-").count())
        self._write(number + WRITERS, max(self._each - int(made / 0.6), 1))

    def kill_cluster(self) -> None:
        self._restart_cluster()
        self.done["clusters killed"] += 1

    def flush_broker(self) -> None:
        if self.options.broker == "redis":
            self.live._forget_queue()
        else:
            from django_q.models import OrmQ

            self.ask(lambda: OrmQ.objects.all().delete())
        self.done["broker flushed"] += 1

    def end_connections(self) -> None:
        from django.db import connection

        name = self.live.name
        with connection.cursor() as cursor:
            if self.options.database == "postgresql":
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = %s AND pid <> pg_backend_pid()",
                    [name],
                )
            elif self.options.database == "mariadb":
                cursor.execute(
                    "SELECT id FROM information_schema.processlist "
                    "WHERE db = %s AND id <> connection_id()",
                    [name],
                )
                for [number] in cursor.fetchall():
                    try:
                        cursor.execute(f"KILL {int(number)}")
                    except Exception as error:  # noqa: BLE001 - it ended by itself
                        print(f"  {error}")
            else:
                return
        self.disturbed.append(time.monotonic())
        self.done["all connections ended"] += 1

    def rotate_key(self) -> None:
        """What is in the queue under the old key is dropped by the new cluster."""
        self._keys = [NEW, OLD]
        self._restart_cluster()
        self.done["keys rotated"] += 1

    def forget_old_key(self) -> None:
        call = "from django.core.management import call_command\n"
        self.live.python(f"{call}call_command('auditwebhooks_rotate_keys')", env=self._env())
        self._keys = [NEW]
        self._restart_cluster()
        self.done["old keys taken out"] += 1

    def ask(self, question: Callable[[], T]) -> T:
        """Of the database, whose connections may be ended meanwhile."""
        from django.db import InterfaceError, OperationalError, connection

        for _ in range(100):
            try:
                return question()
            except (InterfaceError, OperationalError):
                connection.close()
                time.sleep(0.1)
        return question()

    def _is_over(self) -> bool:
        from auditwebhooks.models import Event, Invocation

        if not self._all_written():
            return False
        waiting = Event.objects.filter(fanned_out_at=None)
        under_way = Invocation.objects.filter(status__in=("pending", "sending"))
        return not self.ask(lambda: waiting.exists() or under_way.exists())

    def _all_written(self) -> bool:
        return all(process.poll() is not None for process in self._writers.values())

    def _write(self, number: int, count: int, dies_after: str = "") -> None:
        crash = {"CRASH": dies_after, "CRASH_MARKER": str(self.live.folder / f"dead {number}")}
        self.done["writers that die"] += bool(dies_after)
        self._writers[number] = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import django; django.setup()\nfrom benchmarks import chaos\n"
                f"chaos.write({number}, {count}, {self.options.seed})",
            ],
            env={**self.live.env, **self._env(), **crash},
            cwd=ROOT,
        )

    def _ring(self) -> None:
        self.done["rings for a commit"] += 1
        self.live.python("from auditwebhooks import wake\nwake.ring()", env=self._env())

    def _env(self) -> dict[str, str]:
        return {"LIVE_KEYS": json.dumps(self._keys)}

    def _start_cluster(self) -> subprocess.Popen[str]:
        return self.live.cluster(self._env())

    def _restart_cluster(self) -> None:
        self.live.kill(self.cluster)
        self.disturbed.append(time.monotonic())
        self.cluster = self._start_cluster()


# What must be true in the end


def unexplained(receiver: Receiver, disturbed: list[float]) -> int:
    """Calls made again though nothing died between the call before and its result's storing."""
    seen: dict[tuple[str, str, int], float] = {}
    count = 0
    for call, moment in zip(receiver.arrived, receiver.times, strict=True):
        before = seen.get(call)
        if before is not None:
            count += not any(before <= one <= before + TAKES for one in disturbed)
        seen[call] = moment
    return count


def violations(receiver: Receiver) -> tuple[list[str], Counter[str]]:
    """What is wrong, and the counts that tell how it went."""
    from auditwebhooks.identifiers import message_id
    from auditwebhooks.models import Event, Invocation, Webhook
    from tests.testapp.models import Article

    wrong: list[str] = []
    webhooks = dict(Webhook.objects.values_list("name", "pk"))
    events = list(
        Event.objects.filter(event_type__startswith="testapp.")
        .order_by("pk")
        .values_list("pk", "event_id", "target_id")
    )
    ids = {
        (pk, name): message_id(event_id, webhooks[name])
        for pk, event_id, _target in events
        for name in WEBHOOKS
    }
    made = Counter((message, attempt) for _name, message, attempt in receiver.arrived)

    # Each write has its event, and each event its write.
    written = {str(pk): stars for pk, stars in Article.objects.values_list("pk", "stars")}
    if Counter(target for _pk, _id, target in events) != Counter(written):
        wrong.append("the articles and their events differ")
    received = {message for message, _attempt in made}
    if missing := set(ids.values()) - received:
        wrong.append(f"{len(missing)} were never received")
    if unknown := received - set(ids.values()):
        wrong.append(f"{len(unknown)} were received that were never recorded")
    if refused := set(ids.values()) - receiver.accepted:
        wrong.append(f"{len(refused)} were never accepted")

    chains: dict[tuple[int, str], list[Any]] = defaultdict(list)
    rows = Invocation.objects.order_by("attempt", "pk").values_list(
        "event_id", "webhook_name", "attempt", "status", "outcome", "claims", "lease_until"
    )
    for event_id, name, *row in rows:
        chains[event_id, name].append(row)
    if set(chains) != set(ids):
        wrong.append("the chains of attempts are not those of the events")
    counts: Counter[str] = Counter(events=len(events), deliveries=len(ids))
    answered: set[str] = set()
    for chain_of, chain in chains.items():
        attempts = [attempt for attempt, *_ in chain]
        if attempts != list(range(1, len(chain) + 1)):
            wrong.append(f"{chain_of}: attempts {attempts}")
        statuses = [status for _attempt, status, *_ in chain]
        if statuses != ["failed"] * (len(chain) - 1) + ["succeeded"]:
            wrong.append(f"{chain_of}: {statuses}")
        for attempt, _status, outcome, claims, lease in chain:
            calls = made[ids[chain_of], attempt]
            counts["attempts"] += 1
            counts["attempts claimed again"] += claims > 1
            counts["calls twice or more"] += calls > 1
            counts["calls beyond the first of an attempt"] += max(calls - 1, 0)
            if calls > claims:
                wrong.append(f"{chain_of}: {calls} calls of {claims} claims")
            if lease is not None:
                wrong.append(f"{chain_of}: a lease is left")
            if attempt == 1 and outcome in ("success", "http_status"):
                answered.add(ids[chain_of])
    if Event.objects.filter(fanned_out_at=None).exists():
        wrong.append("events wait for their fan-out")

    # Those whose first attempt was answered; any other may have been overtaken.
    first = {
        message: number
        for number, (_name, message, attempt) in reversed(list(enumerate(receiver.arrived)))
        if attempt == 1
    }
    for name in WEBHOOKS:
        latest: dict[str, int] = {}
        for pk, _event_id, target in events:
            message = ids[pk, name]
            if message in answered and message in first:
                if first[message] < latest.get(target, -1):
                    counts["out of order"] += 1
                latest[target] = first[message]
    if counts["out of order"]:
        wrong.append(f"{counts['out of order']} overtook an earlier event of their object")
    return wrong, counts


def main() -> None:
    options = parse()
    started = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        receiver = Receiver(context, options.seed, options.events)
        stack.enter_context(receiver.server)
        live = Live(
            folder,
            database=options.database,
            broker=options.broker,
            auditwebhooks={
                "ALLOWED_NETWORKS": ["127.0.0.0/8"],
                "ALLOWED_PORTS": [receiver.server.port],
                "CA_FILE": str(folder / "ca.pem"),
                "RETRY_DELAYS": [0.2] * 30,
            },
            apps=["tests.crashing.Crashing"],
        )
        stack.callback(live.close)
        os.environ.update(live.env)
        import django

        django.setup()
        from django.db import connections

        stack.callback(connections.close_all)
        _make_webhooks(receiver.server.port)
        chaos = Chaos(live, receiver, options)
        chaos.run()
        seconds = time.monotonic() - started
        wrong, counts = chaos.ask(lambda: violations(receiver))
        counts["of these explained by no kill"] = unexplained(receiver, chaos.disturbed)
        report(options, receiver, chaos, counts, seconds)
        for line in wrong[:20]:
            print(f"WRONG: {line}")
    if wrong:
        raise SystemExit(1)
    print("what was recorded is what was received")


def _make_webhooks(port: int) -> None:
    from auditwebhooks.models import Webhook

    for name in WEBHOOKS:
        Webhook.objects.create(
            name=name,
            url=f"https://127.0.0.1:{port}/{name}",
            timeout_in_sec=2,
            event_types=["testapp.*"],
            headers={"Authorization": "Bearer typed under the first key"},
        )


def report(
    options: argparse.Namespace,
    receiver: Receiver,
    chaos: Chaos,
    counts: Counter[str],
    seconds: float,
) -> None:
    print(f"{options.database}, {options.broker}, seed {options.seed}: {seconds:.0f} s")
    for name, count in counts.items():
        print(f"{count:9,}  {name}")
    print(f"{len(receiver.arrived):9,}  calls received")
    for answer, count in receiver.answers.most_common():
        print(f"{count:9,}  answered {answer}")
    for name, count in chaos.done.items():
        print(f"{count:9,}  {name}")


if __name__ == "__main__":
    main()

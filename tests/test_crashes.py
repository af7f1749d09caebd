"""Processes killed with -9 after each step between a change and its stored result.

Each step once; CRASHES=all kills after each of them with every database and broker, in processes
of their own and in clusters.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import threading
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from auditwebhooks.receiver import Answer, Delivery, Receiver
from tests.crashing import WRITING
from tests.live import Live, need, until

NOTHING_WRITTEN = WRITING[:2]
# In the process that delivers.
BEFORE_THE_CALL = ("fan-out begun", "fan-out", "claim", "probe")
BEFORE_THE_RESULT = ("request", "response", "result begun", "retry begun")
AFTER_THE_RESULT = ("result", "retry", "end")
DELIVERING = (*BEFORE_THE_CALL, *BEFORE_THE_RESULT, *AFTER_THE_RESULT)

DATABASES = ("sqlite", "postgresql", "mariadb")
BROKERS = ("orm", "redis")

# Where each step is tried by default: database, broker, and who delivers.
WRITTEN_ON = {
    "update": ("postgresql", "orm"),
    "event": ("mariadb", "redis"),
    "commit": ("sqlite", "orm"),
    "called": ("postgresql", "orm"),
    "wake": ("mariadb", "redis"),
}
DELIVERED_ON = {
    "fan-out begun": ("postgresql", "orm", "process"),
    "fan-out": ("mariadb", "redis", "process"),
    "claim": ("mariadb", "redis", "cluster"),
    "probe": ("postgresql", "orm", "process"),
    "request": ("postgresql", "orm", "cluster"),
    "response": ("sqlite", "orm", "process"),
    "result begun": ("postgresql", "orm", "process"),
    "retry begun": ("mariadb", "redis", "process"),
    "result": ("sqlite", "orm", "cluster"),
    "retry": ("postgresql", "orm", "process"),
    "end": ("mariadb", "redis", "process"),
}
KILLED_ON = {
    "main": ("sqlite", "orm"),
    "sentinel": ("postgresql", "orm"),
    "pusher": ("mariadb", "redis"),
    "worker": ("mariadb", "redis"),
    "idle worker": ("postgresql", "orm"),
    "monitor": ("sqlite", "orm"),
}

if os.environ.get("CRASHES") == "all":
    everywhere = list(itertools.product(DATABASES, BROKERS))
    written = [(one, *where) for one in WRITING for where in everywhere]
    delivered = [
        (one, *where, who)
        for one in DELIVERING
        for where in everywhere
        # Only a cluster's task looks again after its end, and only a process is the only one.
        for who in ("process", "cluster")
    ]
    killed = [(one, *where) for one in KILLED_ON for where in everywhere]
else:
    written = [(step, *where) for step, where in WRITTEN_ON.items()]
    delivered = [(step, *where) for step, where in DELIVERED_ON.items()]
    killed = [(role, *where) for role, where in KILLED_ON.items()]


# Three changes of one object, each with its commit; nobody has been called before the first.
CHANGE = """
import auditwebhooks
from auditwebhooks.models import Wake
from tests.testapp.models import Article
with auditwebhooks.paused():
    article = Article.objects.create(title={name!r})
Wake.objects.update(state="idle")
for number in (1, 2, 3):
    article.title = f"{name} {{number}}"
    article.save()
"""

DELIVER = "from auditwebhooks import tasks\ntasks.drain()"

OPEN_BREAKERS = """
from datetime import timedelta
from django.utils import timezone
from auditwebhooks.models import Webhook, WebhookHealth
for webhook in Webhook.objects.all():
    WebhookHealth.objects.update_or_create(webhook=webhook, defaults={
        "openings": 1, "outages": 5, "pause_reason": "breaker",
        "outage_since": timezone.now() - timedelta(minutes=1),
        "paused_until": timezone.now() - timedelta(seconds=1),
        "paused_configuration": webhook.updated_at,
    })
"""

# Until nothing is under way: by the command, or as a host that goes on to commit and so to ring.
RECOVER = """
import json, time
from django.core.management import call_command
from django.db.models import Q
from auditwebhooks import wake
from auditwebhooks.identifiers import message_id
from auditwebhooks.models import Event, Invocation, Webhook
from tests.testapp.models import Article
until = time.monotonic() + 60
under_way = Q(status="pending") | Q(status="sending")
while time.monotonic() < until:
    {go_on}
    if not (
        Event.objects.filter(fanned_out_at=None).exists()
        or Invocation.objects.filter(under_way).exists()
    ):
        break
    time.sleep(0.1)
print("\\n" + json.dumps({{
    "titles": list(Article.objects.filter(title__startswith={name!r}).values_list("title")),
    "events": [
        [pk, [message_id(event_id, webhook.pk) for webhook in Webhook.objects.order_by("name")]]
        for pk, event_id in Event.objects.filter(target_name__startswith={name!r})
        .order_by("pk").values_list("pk", "event_id")
    ],
    "waiting": Event.objects.filter(fanned_out_at=None).count(),
    "rows": list(Invocation.objects.filter(event__target_name__startswith={name!r}).order_by(
        "attempt", "pk"
    ).values("event_id", "webhook__name", "attempt", "status", "outcome", "claims", "message")),
    "under_way": Invocation.objects.filter(under_way).count(),
}}))
"""
BY_COMMAND = 'call_command("auditwebhooks_deliver", once=True)'
BY_COMMITS = "wake.ring()"


class Places:
    """One host project for each database and broker, whose two webhooks call here."""

    def __init__(self, folder: Path, certificate: dict[str, str]) -> None:
        self._folder = folder
        self._certificate = certificate
        self._live: dict[tuple[str, str], Live] = {}
        self.arrived: list[Delivery] = []
        self.answer: Callable[[Delivery], Answer] = lambda delivery: Answer()
        self.receiver = Receiver(
            certificate=certificate["chain"],
            key=certificate["key"],
            on_delivery=self.arrived.append,
            answer=lambda delivery: self.answer(delivery),
        )

    def live(self, database: str, broker: str) -> Live:
        need(database)
        need(broker)
        place = database, broker
        if place not in self._live:
            folder = self._folder / "-".join(place)
            folder.mkdir()
            self._live[place] = self._make(folder, *place)
        return self._live[place]

    def _make(self, folder: Path, database: str, broker: str) -> Live:
        live = Live(
            folder,
            database=database,
            broker=broker,
            auditwebhooks={
                "ALLOWED_NETWORKS": ["127.0.0.0/8"],
                "ALLOWED_PORTS": [self.receiver.port],
                "CA_FILE": self._certificate["ca"],
                "RETRY_DELAYS": [0.1] * 5,
            },
            apps=["tests.crashing.Crashing"],
        )
        live.python(
            "from auditwebhooks.models import Webhook\n"
            "for name in 'ab':\n"
            "    Webhook.objects.create(\n"
            f"        name=name, url={self.receiver.url!r} + name, timeout_in_sec=5,\n"
            "        event_types=['testapp.*'],\n"
            "    )\n"
        )
        return live

    def close(self) -> None:
        for live in self._live.values():
            live.close()


@pytest.fixture(scope="module")
def places(
    tmp_path_factory: pytest.TempPathFactory, certificate: dict[str, str]
) -> Iterator[Places]:
    places = Places(tmp_path_factory.mktemp("crashes"), certificate)
    with places.receiver:
        yield places
    places.close()


@pytest.fixture
def crash(places: Places, tmp_path: Path) -> Iterator[Crash]:
    places.arrived.clear()
    places.answer = lambda delivery: Answer()
    yield Crash(places, tmp_path / "crashed")


@dataclass
class Crash:
    places: Places
    marker: Path

    def __post_init__(self) -> None:
        self.name = f"Article {uuid.uuid4().hex[:8]}"

    @property
    def change(self) -> str:
        return CHANGE.format(name=self.name)

    def env(self, step: str) -> dict[str, str]:
        return {"CRASH": step, "CRASH_MARKER": str(self.marker)}

    def outcome(self, live: Live, go_on: str) -> Outcome:
        """How it ended, when nothing was under way any more."""
        printed = live.python(RECOVER.format(name=self.name, go_on=go_on))
        arrived = [one for one in self.places.arrived if self.name.encode() in one.body]
        return Outcome(arrived, **json.loads(printed.splitlines()[-1]))


@dataclass
class Outcome:
    arrived: list[Delivery]
    titles: list[list[str]]
    # (key, its two message ids) of each event.
    events: list[tuple[int, list[str]]]
    waiting: int
    rows: list[dict[str, Any]]
    under_way: int

    def calls(self) -> Counter[str]:
        return Counter(one.headers["webhook-id"] for one in self.arrived)

    def check(self) -> None:
        """Nothing lost, nothing stuck, nothing sent more often than it was claimed, in order."""
        assert (self.waiting, self.under_way) == (0, 0)
        assert set(self.calls()) == {one for _pk, ids in self.events for one in ids}
        chains: dict[tuple[int, str], list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows:
            chains[row["event_id"], row["webhook__name"]].append(row)
        assert set(chains) == {(pk, name) for pk, _ids in self.events for name in "ab"}
        made = Counter(
            (one.headers["webhook-id"], int(one.headers["webhook-attempt"]))
            for one in self.arrived
        )
        for pk, ids in self.events:
            for name, message_id in zip("ab", ids, strict=True):
                chain = chains[pk, name]
                assert [row["attempt"] for row in chain] == list(range(1, len(chain) + 1))
                assert [row["status"] for row in chain[:-1]] == ["failed"] * (len(chain) - 1)
                assert chain[-1]["status"] == "succeeded"
                for row in chain:
                    assert 1 <= made[message_id, row["attempt"]] <= row["claims"]
        self._check_order()

    def _check_order(self) -> None:
        for number, name in enumerate("ab"):
            first = dict.fromkeys(
                one.headers["webhook-id"] for one in self.arrived if one.path == f"/{name}"
            )
            assert list(first) == [ids[number] for _pk, ids in self.events]


@pytest.mark.parametrize(("step", "database", "broker"), written)
def test_a_process_that_changes_something_dies(
    places: Places, crash: Crash, step: str, database: str, broker: str
) -> None:
    live = places.live(database, broker)

    live.python(crash.change, check=False, env=crash.env(step))
    assert crash.marker.exists()

    outcome = crash.outcome(live, BY_COMMAND)
    outcome.check()
    changes = 0 if step in NOTHING_WRITTEN else 1
    assert len(outcome.events) == changes
    assert outcome.titles == [[f"{crash.name} 1" if changes else crash.name]]
    assert set(outcome.calls().values()) <= {1}


@pytest.mark.parametrize(("step", "database", "broker", "who"), delivered)
def test_a_process_that_delivers_dies(
    places: Places, crash: Crash, step: str, database: str, broker: str, who: str
) -> None:
    live = places.live(database, broker)
    if "retry" in step:
        places.answer = refuse_the_first
    if step == "probe":
        live.python(OPEN_BREAKERS)
    live.python(crash.change)

    if who == "process":
        live.python(DELIVER, check=False, env=crash.env(step))
        assert crash.marker.exists()
        outcome = crash.outcome(live, BY_COMMAND)
    else:
        first = live.cluster(crash.env(step))
        try:
            until(crash.marker.exists, what="a worker died")
        finally:
            live.kill(first)
        second = live.cluster()
        try:
            outcome = crash.outcome(live, BY_COMMITS)
        finally:
            live.kill(second)

    outcome.check()
    assert len(outcome.events) == 3
    calls = Counter(
        (one.headers["webhook-id"], one.headers["webhook-attempt"]) for one in outcome.arrived
    )
    if step in BEFORE_THE_RESULT:
        assert max(calls.values()) == 2
    elif who == "process" and (step in BEFORE_THE_CALL or step == "end"):
        # In a cluster another worker dies with the first, wherever it is.
        assert set(calls.values()) == {1}
    # The last call of each row is the one that was stored.
    stopped = [row for row in outcome.rows if row["claims"] > 1]
    assert all("A worker stopped" in row["message"] for row in stopped)
    if "retry" in step:
        assert sorted(row["attempt"] for row in outcome.rows) == [1, 1, 1, 1, 1, 1, 2, 2]


def refuse_the_first(delivery: Delivery) -> Answer:
    title = json.loads(delivery.body)["data"]["current_target_object"]["title"]
    refused = title.endswith(" 1") and delivery.headers["webhook-attempt"] == "1"
    return Answer(status=500 if refused else 200)


@pytest.mark.parametrize(("role", "database", "broker"), killed)
def test_a_process_of_a_cluster_dies(
    places: Places, crash: Crash, role: str, database: str, broker: str
) -> None:
    """While a call is under way, or before it; the rest of the cluster lives on, as it can."""
    live = places.live(database, broker)
    goes_on = threading.Event()
    places.answer = lambda delivery: (goes_on.wait(30), Answer())[1]
    log = live.folder / "cluster.log"
    start = log.stat().st_size if log.exists() else 0
    first = live.cluster()
    clusters = [first]
    try:
        roles = until(lambda: roles_of(log, start), what="the cluster is complete")
        if role == "idle worker":
            psutil.Process(roles["worker"][0]).kill()
            live.python(crash.change)
        else:
            live.python(crash.change)
            until(lambda: places.arrived, what="a call is under way")
            for pid in calling(roles["worker"], places) if role == "worker" else roles[role]:
                psutil.Process(pid).kill()
        goes_on.set()
        clusters.append(live.cluster())

        outcome = crash.outcome(live, BY_COMMITS)
    finally:
        goes_on.set()
        for cluster in clusters:
            live.kill(cluster)

    outcome.check()
    assert len(outcome.events) == 3
    repeated = {one: count for one, count in outcome.calls().items() if count > 1}
    if role == "worker":
        assert repeated
    assert set(repeated.values()) <= {2}


_ROLES = {
    "main": r"",
    "sentinel": r"",
    "worker": r"ready for work at (\d+)",
    "monitor": r"monitoring at (\d+)",
    "pusher": r"pushing tasks at (\d+)",
}


def roles_of(log: Path, start: int) -> dict[str, list[int]]:
    """The processes of the cluster that began its log there, when all are there."""
    said = log.read_bytes()[start:].decode()
    roles = {
        role: [int(pid) for pid in re.findall(pattern, said)]
        for role, pattern in _ROLES.items()
        if pattern
    }
    if [len(pids) for pids in roles.values()] != [2, 1, 1]:
        return {}
    sentinel = psutil.Process(roles["pusher"][0]).parent()
    main = sentinel.parent() if sentinel else None
    if sentinel is None or main is None:
        return {}
    return {**roles, "sentinel": [sentinel.pid], "main": [main.pid]}


def calling(workers: list[int], places: Places) -> list[int]:
    """Those of the workers that have a connection to the receiver."""
    return [
        pid
        for pid in workers
        if any(
            one.raddr and one.raddr.port == places.receiver.port
            for one in psutil.Process(pid).net_connections(kind="tcp")
        )
    ]

"""System checks of what workers run on: each tells its trouble, and only that."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.checks import run_checks
from django.db import connection, connections
from django_q.conf import Conf

from auditwebhooks import checks, queue, workers
from tests.documents import blocks, page

# Q_CLUSTER of the README, as django-q2 reads it.
GOOD: dict[str, Any] = {
    "ORM": "default",
    "REDIS": {},
    "DJANGO_REDIS": None,
    "BROKER_CLASS": None,
    "SQS": None,
    "IRON_MQ": None,
    "MONGO": None,
    "WORKERS": 2,
    "QUEUE_LIMIT": 2,
    "BULK": 1,
    "TIMEOUT": 120,
    "RETRY": 400,
    "SYNC": False,
    "SCHEDULER": True,
    "ACK_FAILURES": True,
    "conf": {"queue_limit": 2},
}
SQLITE = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}


@pytest.fixture(autouse=True)
def good(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setattr(Conf, name, value)
    database(monkeypatch, CONN_MAX_AGE=60)
    if connection.vendor == "sqlite":
        database(monkeypatch, OPTIONS=SQLITE, NAME="db.sqlite3")


def database(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    for name, value in settings.items():
        monkeypatch.setitem(connection.settings_dict, name, value)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def cluster(**values: Any) -> None:
        for name, value in values.items():
            monkeypatch.setattr(Conf, name, value)

    return cluster


def told(*, deploy: bool = False) -> list[str]:
    check = workers.check_deployment if deploy else workers.check_cluster
    return [str(message.id).removeprefix("auditwebhooks.") for message in check(None)]


def hint(*, deploy: bool = False) -> str:
    check = workers.check_deployment if deploy else workers.check_cluster
    [message] = check(None)
    return str(message.hint)


def test_a_good_cluster_gets_no_message() -> None:
    assert told() == told(deploy=True) == []


@pytest.mark.parametrize("document", ["README.md", "docs/quickstart.md"])
def test_the_lines_of_the_documents_get_no_message(
    document: str, cluster: Callable[..., None]
) -> None:
    [block] = [one for one in blocks(page(document), "python") if "Q_CLUSTER =" in one.text]
    names: dict[str, Any] = {"INSTALLED_APPS": [], "MIDDLEWARE": []}
    exec(block.text, names)  # noqa: S102 - the documentation's own
    line = names["Q_CLUSTER"]
    assert line.pop("name")
    cluster(conf=line, **{name.upper(): value for name, value in line.items()})

    assert told() == told(deploy=True) == []


def test_they_are_registered(cluster: Callable[..., None]) -> None:
    cluster(SYNC=True, ACK_FAILURES=False)

    def ids(deploy: bool) -> set[str]:
        found = run_checks(tags=[checks.TAG], include_deployment_checks=deploy)
        assert all(message.hint for message in found)
        return {str(message.id) for message in found}

    assert ids(deploy=False) == {"auditwebhooks.W013"}
    assert ids(deploy=True) >= {"auditwebhooks.W013", "auditwebhooks.W016"}


def test_a_broker_in_a_database_that_there_is_not(cluster: Callable[..., None]) -> None:
    cluster(ORM="queue")

    assert told() == ["E009"]
    assert told(deploy=True) == []


# --- what is run twice --------------------------------------------------------------------


@pytest.mark.parametrize("times", [(120, 120), (120, 60), (None, 60)])
def test_a_retry_before_the_timeout(
    cluster: Callable[..., None], times: tuple[int | None, int]
) -> None:
    cluster(TIMEOUT=times[0], RETRY=times[1])

    assert told() == ["W011"]
    assert '"retry": 400' in hint()


@pytest.mark.parametrize(
    ("values", "needed"),
    [
        # A task may last 120 s, and (2 + 1) / 2 rounds of such stand before it.
        ({}, 370),
        ({"QUEUE_LIMIT": 4}, 490),
        ({"BULK": 5}, 610),
        ({"WORKERS": 4}, 250),
        ({"WORKERS": 1, "QUEUE_LIMIT": 1}, 370),
        # A drain lasts longer than what the host allows its own tasks.
        ({"TIMEOUT": 30}, 340),
    ],
)
def test_a_retry_that_prefetched_tasks_outlast(
    cluster: Callable[..., None], values: dict[str, int], needed: int
) -> None:
    cluster(**values, RETRY=needed)
    assert told() == []

    cluster(RETRY=needed - 1)
    assert told() == ["W012"]
    assert f"Set it to {needed} or more" in hint()


def test_a_longer_call_needs_a_longer_retry(
    cluster: Callable[..., None], configure: Callable[..., None]
) -> None:
    configure(MAX_TIMEOUT=600)

    assert told() == ["W012"]
    assert "A drain lasts 650 seconds" in hint()


def test_redis_does_not_bring_tasks_back(cluster: Callable[..., None]) -> None:
    cluster(ORM=None, REDIS={"socket_timeout": 5}, RETRY=1, ACK_FAILURES=False)

    assert told() == told(deploy=True) == []


@pytest.mark.parametrize(
    "broker", [{"SQS": {"aws_region": "x"}}, {"MONGO": {"host": "x"}}, {"BROKER_CLASS": "own.Own"}]
)
def test_other_brokers_do(cluster: Callable[..., None], broker: dict[str, Any]) -> None:
    cluster(ORM=None, RETRY=1, **broker)

    assert told() == ["W011"]


# --- what sends nothing -------------------------------------------------------------------


def test_sync(cluster: Callable[..., None]) -> None:
    cluster(SYNC=True)

    assert told() == ["W013"]


def test_no_scheduler(cluster: Callable[..., None]) -> None:
    cluster(SCHEDULER=False)

    assert told() == ["W014"]


def test_a_pool_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    database(monkeypatch, OPTIONS={**connection.settings_dict["OPTIONS"], "pool": True})
    database(monkeypatch, CONN_MAX_AGE=0)

    assert told() == ["W015"]
    assert told(deploy=True) == [], "a pool keeps connections open"


# --- the chosen cluster -------------------------------------------------------------------


def test_the_options_of_the_chosen_cluster_count(
    cluster: Callable[..., None], configure: Callable[..., None]
) -> None:
    alternatives = {"audit": {"workers": 4, "retry": 60}, "other": {"sync": True}}
    cluster(conf={"ALT_CLUSTERS": alternatives})
    assert told() == []

    configure(CLUSTER="audit")
    assert told() == ["W011"]
    found = queue.cluster()
    assert (found.workers, found.queue_limit, found.timeout) == (4, 16, 120)

    configure(CLUSTER="other")
    assert told() == ["W013"]
    configure(CLUSTER="unknown")
    assert told() == []


def test_a_limit_that_all_clusters_share_is_kept(
    cluster: Callable[..., None], configure: Callable[..., None]
) -> None:
    cluster(conf={"queue_limit": 2, "ALT_CLUSTERS": {"audit": {"workers": 4}}})
    configure(CLUSTER="audit")

    assert queue.cluster().queue_limit == 2


# --- when it is deployed ------------------------------------------------------------------


def test_failures_that_come_back_for_ever(cluster: Callable[..., None]) -> None:
    cluster(ACK_FAILURES=False)

    assert told() == []
    assert told(deploy=True) == ["W016"]


@pytest.mark.parametrize("redis", [{}, {"host": "x"}, "redis://x:6379/0"])
def test_redis_that_is_waited_for(cluster: Callable[..., None], redis: Any) -> None:
    cluster(ORM=None, REDIS=redis)

    assert told(deploy=True) == ["W017"]


@pytest.mark.parametrize(
    "values",
    [
        {"REDIS": {"socket_timeout": 5}},
        {"REDIS": "redis://x:6379/0?socket_timeout=5"},
        {"DJANGO_REDIS": "default"},
    ],
)
def test_redis_that_is_given_up(cluster: Callable[..., None], values: dict[str, Any]) -> None:
    cluster(ORM=None, **values)

    assert told(deploy=True) == []


def test_a_connection_for_each_look(
    cluster: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    database(monkeypatch, CONN_MAX_AGE=0)
    assert told() == []
    assert told(deploy=True) == ["W018"]

    cluster(ORM=None, REDIS={"socket_timeout": 5})
    assert told(deploy=True) == []


@pytest.mark.parametrize("age", [60, None])
def test_connections_that_are_kept(monkeypatch: pytest.MonkeyPatch, age: int | None) -> None:
    database(monkeypatch, CONN_MAX_AGE=age)

    assert told(deploy=True) == []


class TestSQLite:
    @pytest.fixture(autouse=True)
    def on_sqlite(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the tests run on."""
        monkeypatch.setattr(type(connections["default"]), "vendor", "sqlite")
        database(monkeypatch, OPTIONS=SQLITE, NAME="db.sqlite3")

    def test_its_own_options_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        database(monkeypatch, OPTIONS={})

        assert told() == []
        assert told(deploy=True) == ["W019"]
        assert all(word in hint(deploy=True) for word in ("IMMEDIATE", "timeout", "WAL"))

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("transaction_mode", "DEFERRED"),
            ("timeout", 5),
            ("init_command", "PRAGMA synchronous=NORMAL"),
        ],
    )
    def test_what_is_missing_is_named(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
    ) -> None:
        database(monkeypatch, OPTIONS={**SQLITE, name: value})

        assert told(deploy=True) == ["W019"]
        assert [one for one in SQLITE if f'"{one}"' in hint(deploy=True)] == [name]

    @pytest.mark.parametrize(
        "options",
        [
            SQLITE,
            {**SQLITE, "transaction_mode": "exclusive", "timeout": 10.5},
            {**SQLITE, "init_command": "pragma journal_mode = wal"},
        ],
    )
    def test_good_options_are_seen(
        self, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
    ) -> None:
        database(monkeypatch, OPTIONS=options)

        assert told(deploy=True) == []

    @pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory&cache=shared"])
    def test_what_is_in_memory_has_one_writer(
        self, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        database(monkeypatch, OPTIONS={}, NAME=name)

        assert told(deploy=True) == []

"""System checks of what workers run on: Q_CLUSTER and the databases. What is wrong by itself is
always told; what is slow, or concerns tasks of the host only, when it is deployed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db import connections, router

from auditwebhooks import queue, wake
from auditwebhooks.models import Event
from auditwebhooks.queue import Cluster

# Between two tasks: prefetching, saving, and the queue's own look every half second.
_MARGIN = 10

# SQLite's own is 5 seconds, which a busy minute outlasts.
_SQLITE_TIMEOUT = 10


def check_cluster(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    cluster = queue.cluster()
    return [*_unknown_broker(cluster), *_repetitions(cluster), *_silences(cluster), *_pools()]


def check_deployment(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    cluster = queue.cluster()
    return [*_failures(cluster), *_slow_broker(cluster), *_sqlite(cluster)]


def _unknown_broker(cluster: Cluster) -> Iterator[CheckMessage]:
    if cluster.orm is not None and cluster.orm not in connections.settings:
        yield Error(
            f"Q_CLUSTER['orm'] is {cluster.orm!r}, which is no database of DATABASES: no worker "
            "can be called.",
            hint=f"Name one of {', '.join(sorted(connections.settings))}.",
            id="auditwebhooks.E009",
        )


def longest_wait(cluster: Cluster) -> int:
    """Seconds from the moment that a task is taken from the broker, where the clock of ``retry``
    starts, to its end, if all tasks before it last as long as they may."""
    task = max(cluster.timeout or 0, wake.longest_run())
    before = ceil((cluster.queue_limit + cluster.bulk) / cluster.workers)
    return task * (1 + before) + _MARGIN


def _repetitions(cluster: Cluster) -> Iterator[CheckMessage]:
    if not cluster.redelivers:
        return
    needed = longest_wait(cluster)
    if not cluster.timeout or cluster.retry <= cluster.timeout:
        yield CheckWarning(
            "Q_CLUSTER['retry'] is not longer than 'timeout': tasks are started again while they "
            "still run.",
            hint=f'For example "timeout": 120, "retry": {max(needed, 400)}.',
            id="auditwebhooks.W011",
        )
    elif cluster.retry < needed:
        yield CheckWarning(
            f"Q_CLUSTER['retry'] is {cluster.retry} seconds, but a task may have to wait and run "
            f"for {needed}: some are run twice.",
            hint=f"Set it to {needed} or more, or fetch fewer tasks ahead: 'queue_limit' is "
            f"{cluster.queue_limit}, and as many as there are workers ({cluster.workers}) are "
            f"enough. A drain lasts {wake.longest_run()} seconds at most (20 + MAX_TIMEOUT + 30).",
            id="auditwebhooks.W012",
        )


def _silences(cluster: Cluster) -> Iterator[CheckMessage]:
    if cluster.sync:
        yield CheckWarning(
            "Q_CLUSTER['sync'] is on: no worker is called, since nothing is sent inside of the "
            "code that makes a change. Events wait.",
            hint="Switch it off, or run manage.py auditwebhooks_deliver.",
            id="auditwebhooks.W013",
        )
    if not cluster.scheduler:
        yield CheckWarning(
            "Q_CLUSTER['scheduler'] is off: nobody looks for retries that are due, for lost "
            "wake-ups and for what RETENTION ends.",
            hint="Leave it on in one cluster that works for this queue.",
            id="auditwebhooks.W014",
        )


def _pools() -> Iterator[CheckMessage]:
    for alias in connections:
        if _options(alias).get("pool"):
            yield CheckWarning(
                f"The database {alias!r} uses a connection pool, which the processes of a cluster "
                "would share: connections break, and tasks are lost or run twice.",
                hint="Start qcluster with settings without OPTIONS['pool'], and silence this.",
                id="auditwebhooks.W015",
            )


def _failures(cluster: Cluster) -> Iterator[CheckMessage]:
    if cluster.redelivers and not cluster.ack_failures:
        yield CheckWarning(
            "Q_CLUSTER['ack_failures'] is off: a task of yours that raises is run again every "
            f"{cluster.retry} seconds, for ever, and takes the workers that deliver.",
            hint='Set "ack_failures": True, or silence this if your tasks count their attempts.',
            id="auditwebhooks.W016",
        )


def _slow_broker(cluster: Cluster) -> Iterator[CheckMessage]:
    if cluster.waits_for_redis:
        yield CheckWarning(
            "Q_CLUSTER['redis'] has no socket_timeout: where Redis hangs, workers wait for it "
            "for ever, and commits for a second.",
            hint='For example "socket_timeout": 5.',
            id="auditwebhooks.W017",
        )
    if cluster.orm not in connections.settings:
        return
    settings = connections[cluster.orm].settings_dict
    if settings["CONN_MAX_AGE"] == 0 and not _options(cluster.orm).get("pool"):
        yield CheckWarning(
            f"The database {cluster.orm!r} is the broker and has CONN_MAX_AGE 0: each look into "
            "the queue opens a connection, and deliveries take five times as long.",
            hint="Set it to 60, at least in the settings that qcluster is started with.",
            id="auditwebhooks.W018",
        )


def _sqlite(cluster: Cluster) -> Iterator[CheckMessage]:
    used = {router.db_for_write(Event), cluster.orm}
    for alias in sorted(one for one in connections.settings if one in used):
        missing = list(_missing_on_sqlite(alias))
        if missing:
            yield CheckWarning(
                f"The SQLite database {alias!r} is written by web server and workers at once, and "
                "with these options some of their transactions end with "
                '"database is locked".',
                hint=f"Set in its OPTIONS: {', '.join(missing)}.",
                id="auditwebhooks.W019",
            )


def _missing_on_sqlite(alias: str) -> Iterator[str]:
    connection = connections[alias]
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or ":memory:" in name or "mode=memory" in name:
        return
    options = _options(alias)
    if str(options.get("transaction_mode")).upper() not in ("IMMEDIATE", "EXCLUSIVE"):
        yield '"transaction_mode": "IMMEDIATE"'
    if float(options.get("timeout") or 0) < _SQLITE_TIMEOUT:
        yield '"timeout": 20'
    if "journal_mode=wal" not in str(options.get("init_command")).replace(" ", "").lower():
        yield '"init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"'


def _options(alias: str) -> Mapping[str, Any]:
    options: Mapping[str, Any] = connections[alias].settings_dict.get("OPTIONS") or {}
    return options

"""The queue: the only module that imports django_q. The queue is a bell; rows are the truth."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db import connections, router, transaction
from django.db.models import Q
from django.utils import timezone

from auditwebhooks.conf import conf
from auditwebhooks.context import Actor, Context, actor_of, current, source_of, within
from auditwebhooks.enums import Source

if apps.is_installed("django_q"):
    from django_q import conf as queue_conf
    from django_q.models import Schedule
    from django_q.signals import post_execute_in_worker, pre_enqueue, pre_execute
    from django_q.tasks import async_task

logger = logging.getLogger(__name__)

# Where the actor and source of the caller travel in a task.
_KEY = "auditwebhooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A task without arguments that workers run again and again."""

    # Of its schedule; never used by two.
    name: str
    # Its dotted path.
    task: str
    minutes: int
    # Seconds after which the queue may kill it.
    timeout: int
    # From the first ``migrate`` to its first run.
    after: timedelta = timedelta(0)


def is_sync() -> bool:
    """``Q_CLUSTER["sync"]``: tasks would run inside their caller."""
    return bool(queue_conf.Conf.SYNC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """What Q_CLUSTER says of the workers that deliver."""

    # The alias of the database that is the broker; None: it is another one.
    orm: str | None
    # A task that is not acknowledged comes back after ``retry`` seconds.
    redelivers: bool
    # Redis that may be waited for without end.
    waits_for_redis: bool
    workers: int
    queue_limit: int
    bulk: int
    timeout: int | None
    retry: int
    sync: bool
    scheduler: bool
    ack_failures: bool


def cluster() -> Cluster:
    """Of the default cluster, or of that which CLUSTER names, with its ALT_CLUSTERS."""
    common = queue_conf.Conf
    own = (common.conf.get("ALT_CLUSTERS") or {}).get(conf.cluster) or {}
    workers = int(own.get("workers") or common.WORKERS)
    # Where it is not given it follows the workers.
    follows = "workers" in own and "queue_limit" not in common.conf
    is_redis = not (
        common.BROKER_CLASS
        or common.IRON_MQ
        or isinstance(common.SQS, dict)
        or common.ORM
        or common.MONGO
    )
    return Cluster(
        orm=None if common.BROKER_CLASS or common.IRON_MQ else common.ORM,
        redelivers=not is_redis,
        waits_for_redis=is_redis and not common.DJANGO_REDIS and _is_patient(common.REDIS),
        workers=workers,
        queue_limit=own.get("queue_limit", workers**2 if follows else common.QUEUE_LIMIT),
        bulk=own.get("bulk", common.BULK),
        timeout=own.get("timeout", common.TIMEOUT),
        retry=own.get("retry", common.RETRY),
        sync=bool(own.get("sync", common.SYNC)),
        scheduler=bool(own.get("scheduler", common.SCHEDULER)),
        ack_failures=bool(own.get("ack_failures", common.ACK_FAILURES)),
    )


def _is_patient(redis: Any) -> bool:
    """Options, or a URL with options, without an end to the waiting."""
    return "socket_timeout" not in redis if redis else True


def enqueue(task: str, *, timeout: int) -> None:
    """Ask a worker to run a task without arguments, named by its dotted path.

    ``timeout``: seconds after which the queue may kill it. Raises what the broker raises, and
    TimeoutError when it does not answer within a second.
    """
    options = _options(timeout)
    if conf.cluster:
        options["cluster"] = conf.cluster
    if queue_conf.Conf.ORM:
        # The host's own database: where it is dead, there was nothing to commit. Outside of a
        # transaction the broker closes the thread's connections that have served their time, with
        # the cursor that the host is reading by, or with what it has yet to commit by hand.
        with transaction.atomic(using=queue_conf.Conf.ORM):
            async_task(task, q_options=options)
    else:
        _patience.call(lambda: async_task(task, q_options=options))


class _Patience:
    """Calls a broker that may hang for ever (Redis without socket timeouts) in a thread, at most
    one at a time, so that a dead broker costs the host's commit a second once, and then nothing.
    """

    SECONDS = 1.0

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[[], object]) -> None:
        failures: list[Exception] = []

        def run() -> None:
            try:
                function()
            except Exception as error:  # noqa: BLE001 - raised again in the caller
                failures.append(error)

        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise TimeoutError("The broker still does not answer.")
            thread = self._thread = threading.Thread(target=run, daemon=True)
            thread.start()
        thread.join(self.SECONDS)
        if thread.is_alive():
            raise TimeoutError("The broker does not answer.")
        if failures:
            raise failures[0]


_patience = _Patience()


def _options(timeout: int) -> dict[str, Any]:
    # A failure is acknowledged: our rows retry, the queue must not bring the task back for ever.
    return {"ack_failure": True, "save": False, "timeout": timeout}


def keep_schedules(errands: Iterable[Errand], *, using: str) -> None:
    """Have the errands run by schedule; ``migrate`` mends what became of it."""
    if not _has_schedules(using):
        return
    for errand in errands:
        defaults = {
            "func": errand.task,
            "schedule_type": Schedule.MINUTES,
            "minutes": errand.minutes,
            "repeats": -1,
            "cluster": conf.cluster,
            "kwargs": _arguments(errand),
        }
        Schedule.objects.using(using).update_or_create(
            name=errand.name,
            defaults=defaults,
            create_defaults={**defaults, "next_run": timezone.now() + errand.after},
        )


def _arguments(errand: Errand) -> str:
    return repr({"q_options": _options(errand.timeout)})


def stale_schedules(errands: Iterable[Errand]) -> list[str]:
    """The names of those that no worker would run, or not as they should be run."""
    wanted = {errand.name: _arguments(errand) for errand in errands}
    rows = Schedule.objects.using(router.db_for_write(Schedule))
    cluster = Q(cluster=conf.cluster) if conf.cluster else Q(cluster__isnull=True)
    kept = rows.filter(cluster, name__in=wanted).exclude(repeats=0)
    good = {name for name, given in kept.values_list("name", "kwargs") if wanted[name] == given}
    return sorted(wanted.keys() - good)


def drop_schedules(errands: Iterable[Errand], *, using: str) -> None:
    """Take the schedules away again (``migrate auditwebhooks zero``)."""
    if _has_schedules(using):
        names = [errand.name for errand in errands]
        Schedule.objects.using(using).filter(name__in=names).delete()


def _has_schedules(using: str) -> bool:
    if router.db_for_write(Schedule) != using:
        return False
    return Schedule._meta.db_table in connections[using].introspection.table_names()


def connect_signals() -> None:
    """Let actor and source travel into the tasks a request queues."""
    pre_enqueue.connect(_pack, dispatch_uid="auditwebhooks.pack")
    pre_execute.connect(_enter, dispatch_uid="auditwebhooks.enter")
    post_execute_in_worker.connect(_leave, dispatch_uid="auditwebhooks.leave")


def _pack(*, task: dict[str, Any], **kwargs: Any) -> None:
    here = current()
    if here.request is None and here.actor is None:
        return
    try:
        actor = actor_of(here)
        task[_KEY] = {
            "actor": {
                "id": actor.id,
                "name": actor.name,
                "type": actor.type,
                "pk": actor.pk,
                # A worker of an earlier release knows no impersonation.
                **({"impersonating": actor.impersonating} if actor.impersonating else {}),
            },
            "source": source_of(here),
        }
    except Exception:
        logger.exception("The actor could not be handed to a task.")


def _enter(*, task: dict[str, Any], **kwargs: Any) -> None:
    # A receiver of this signal that raises kills the worker.
    try:
        block = within(_task_context(task.get(_KEY)))
        block.__enter__()
        task[_KEY] = block
    except Exception:
        logger.exception("The actor of a task could not be told.")


def _task_context(packed: Mapping[str, Any] | None) -> Context:
    if packed is None:
        return Context(source=Source.BACKGROUND_TASK.value)
    return Context(actor=Actor(**packed["actor"]), source=packed["source"])


def _leave(*, task: dict[str, Any], **kwargs: Any) -> None:
    block = task.pop(_KEY, None)
    if isinstance(block, within):
        block.__exit__(None, None, None)

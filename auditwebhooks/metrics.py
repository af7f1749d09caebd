"""Metrics for Prometheus; needs the extra ``prometheus``, and nothing else imports this module.

    from prometheus_client import REGISTRY
    from auditwebhooks.metrics import AuditWebhooksCollector

    REGISTRY.register(AuditWebhooksCollector())

in a module that is imported after the apps are loaded, such as the ``urls.py`` that serves the
metrics. The numbers are the database's, so one process is enough to tell them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta

from django.db import DatabaseError, connections, router
from django.db.models import Count
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from auditwebhooks.enums import Outcome, Status, WebhookState
from auditwebhooks.models import Invocation
from auditwebhooks.status import DeliveryStatus, status

logger = logging.getLogger(__name__)

_PREFIX = "auditwebhooks_"

# What ended within this time is counted by its outcome.
_LATELY = timedelta(hours=1)


class AuditWebhooksCollector(Collector):
    """Asks the database at every scrape: a handful of statements by index."""

    def collect(self) -> Iterable[Metric]:
        using = router.db_for_write(Invocation)
        was_open = connections[using].connection is not None
        try:
            now = status()
            metrics = [*_metrics(now), _attempts(_finished_since(now))]
        except DatabaseError:
            # An exception would take the metrics of the whole process along.
            logger.exception("The metrics could not be read.")
            return [_up(0)]
        finally:
            if not was_open:
                # A thread of its own serves each scrape, and nobody would close it there.
                connections[using].close()
        return [_up(1), *metrics]

    def describe(self) -> Iterable[Metric]:
        """The names, without asking the database: registering must not."""
        return [_up(0), *_metrics(_NOTHING), _attempts({})]


_NOTHING = DeliveryStatus(
    at=datetime.min,
    sending=True,
    backlog=0,
    oldest_waiting_seconds=None,
    events_waiting=0,
    oldest_event_seconds=None,
    worker_seen_at=None,
    worker_seen_seconds=None,
    webhooks=(),
    problems=(),
)


def _up(value: float) -> Metric:
    return _gauge("up", "Whether the database could be asked.", value)


def _metrics(now: DeliveryStatus) -> Iterator[Metric]:
    yield _gauge("events_waiting", "Events that wait for their fan-out.", now.events_waiting)
    yield _gauge(
        "oldest_event_seconds",
        "Since when the oldest of them waits.",
        now.oldest_event_seconds or 0,
    )
    yield _gauge(
        "oldest_waiting_seconds",
        "Since when the oldest attempt that may be made is due.",
        now.oldest_waiting_seconds or 0,
    )
    # Absent while no worker was ever there.
    yield _gauge("worker_seen_seconds", "When a worker was last there.", now.worker_seen_seconds)
    yield _gauge("problems", "What auditwebhooks_status names.", len(now.problems))
    states = Counter(one.state.value for one in now.webhooks)
    yield _labelled(
        "webhooks",
        "Webhooks by state.",
        "state",
        {state: states[state] for state in WebhookState.values},
    )
    yield _labelled(
        "backlog",
        "Attempts that are still to come.",
        "webhook",
        {one.name: one.backlog for one in now.webhooks},
    )
    yield _labelled(
        "webhook_oldest_waiting_seconds",
        "Since when the oldest attempt is due, also where it may not be made.",
        "webhook",
        {one.name: one.oldest_waiting_seconds or 0 for one in now.webhooks},
    )
    yield _labelled(
        "consecutive_failures",
        "Failures since the last success.",
        "webhook",
        {one.name: one.consecutive_failures for one in now.webhooks},
    )


def _attempts(counted: Mapping[str, int]) -> Metric:
    return _labelled(
        "attempts_last_hour",
        "Attempts that ended within the last hour.",
        "outcome",
        {one: counted.get(one, 0) for one in Outcome.values},
    )


def _finished_since(now: DeliveryStatus) -> dict[str, int]:
    ended = Invocation.objects.primary().filter(
        status__in=[Status.SUCCEEDED, Status.FAILED], finished_at__gte=now.at - _LATELY
    )
    return dict(ended.order_by().values_list("outcome").annotate(number=Count("*")))


def _gauge(name: str, meaning: str, value: float | None) -> Metric:
    metric = GaugeMetricFamily(_PREFIX + name, meaning)
    if value is not None:
        metric.add_metric([], value)
    return metric


def _labelled(name: str, meaning: str, label: str, values: Mapping[str, float]) -> Metric:
    metric = GaugeMetricFamily(_PREFIX + name, meaning, labels=[label])
    for key, value in values.items():
        metric.add_metric([key], value)
    return metric

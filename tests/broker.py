"""What waits in the queue, whichever broker the tests run with."""

from __future__ import annotations

from typing import Any

from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ
from django_q.signing import SignedPackage


def queued(key: str | None = None) -> list[dict[str, Any]]:
    """The tasks that wait, oldest first."""
    if Conf.ORM:
        packages = OrmQ.objects.filter(key=key or Conf.CLUSTER_NAME).order_by("id")
        return [SignedPackage.loads(one.payload) for one in packages]
    broker = get_broker(key)
    return [SignedPackage.loads(one) for one in broker.connection.lrange(broker.list_key, 0, -1)]


def empty() -> None:
    get_broker().purge_queue()

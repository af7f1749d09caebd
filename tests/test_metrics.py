"""What Prometheus is told."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, connections
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from auditwebhooks.enums import Outcome
from auditwebhooks.models import Event, Wake, Webhook, WebhookHealth
from tests.factories import make_event, make_invocation, make_webhook

prometheus_client = pytest.importorskip("prometheus_client", reason="prometheus_client is missing")

from auditwebhooks import metrics  # noqa: E402
from auditwebhooks.metrics import AuditWebhooksCollector  # noqa: E402

pytestmark = pytest.mark.django_db


@pytest.fixture
def registry() -> Any:
    registry = prometheus_client.CollectorRegistry(auto_describe=True)
    registry.register(AuditWebhooksCollector())
    return registry


@pytest.fixture
def rows() -> Webhook:
    now = timezone.now()
    siem, paused = make_webhook(name="SIEM"), make_webhook(name="Chat")
    make_webhook(active=False)
    QuerySet(Event).all().delete()
    Wake.objects.create(
        slot=0, state="idle", token="x", until=now, seen_at=now - timedelta(seconds=20)
    )
    make_event(created_at=now - timedelta(seconds=50))
    make_invocation(siem, due_at=now - timedelta(seconds=100))
    make_invocation(paused, due_at=now - timedelta(seconds=200))
    WebhookHealth.objects.create(
        webhook=paused,
        consecutive_failures=3,
        paused_until=now + timedelta(minutes=9),
        pause_reason="retry_after",
    )
    for outcome, minutes in (("success", 5), ("success", 59), ("timeout", 30), ("success", 61)):
        make_invocation(
            siem,
            status="succeeded" if outcome == "success" else "failed",
            outcome=outcome,
            finished_at=now - timedelta(minutes=minutes),
        )
    return siem


def test_the_numbers(registry: Any, rows: Webhook) -> None:
    def value(name: str, **labels: str) -> float | None:
        found: float | None = registry.get_sample_value(f"auditwebhooks_{name}", labels)
        return found

    assert value("up") == 1
    assert value("events_waiting") == 1
    assert 50 <= value("oldest_event_seconds") < 80
    assert 100 <= value("oldest_waiting_seconds") < 130
    assert 20 <= value("worker_seen_seconds") < 50
    assert value("problems") == 0
    assert value("backlog", webhook="SIEM") == 1
    assert value("backlog", webhook="Chat") == 1
    assert 200 <= value("webhook_oldest_waiting_seconds", webhook="Chat") < 230
    assert value("consecutive_failures", webhook="Chat") == 3
    assert [value("webhooks", state=one) for one in ("active", "paused", "off")] == [1, 1, 1]
    assert value("attempts_last_hour", outcome="success") == 2
    assert value("attempts_last_hour", outcome="timeout") == 1
    assert [value("attempts_last_hour", outcome=one) for one in Outcome.values].count(0) == 11


def test_an_empty_installation_tells_zeros(registry: Any) -> None:
    text = prometheus_client.generate_latest(registry).decode()

    assert "auditwebhooks_up 1.0\n" in text
    assert "auditwebhooks_events_waiting 0.0\n" in text
    assert "auditwebhooks_oldest_waiting_seconds 0.0\n" in text
    assert "\nauditwebhooks_worker_seen_seconds" not in text, "there was none"


def test_registering_asks_nothing_and_names_everything(rows: Webhook) -> None:
    collector = AuditWebhooksCollector()
    with CaptureQueriesContext(connection) as queries:
        described = [metric.name for metric in collector.describe()]
    assert len(queries) == 0
    assert described == [metric.name for metric in collector.collect()]
    assert len(set(described)) == len(described)


def test_a_database_that_is_gone_does_not_break_the_metrics_of_the_host(
    registry: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> None:
        raise DatabaseError

    monkeypatch.setattr(metrics, "status", explode)
    text = prometheus_client.generate_latest(registry).decode()

    assert text.endswith("auditwebhooks_up 0.0\n")
    assert "could not be read" in caplog.text


def test_the_number_of_statements_does_not_grow(rows: Webhook) -> None:
    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            list(AuditWebhooksCollector().collect())
        return len(queries)

    few = statements()
    for _ in range(3):
        make_invocation(make_webhook())
    assert statements() == few


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_it_opened_is_closed() -> None:
    connection.ensure_connection()
    list(AuditWebhooksCollector().collect())
    assert connection.connection is not None

    connections.close_all()
    list(AuditWebhooksCollector().collect())
    assert connection.connection is None


def test_the_package_is_usable_without_prometheus() -> None:
    code = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "import django; django.setup()\n"
        "from django.core.management import call_command; call_command('check')\n"
        "assert 'auditwebhooks.metrics' not in sys.modules\n"
    )
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)

"""Send again: a new chain for an event that was sent before."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from auditwebhooks import wake
from auditwebhooks.delivery import again
from auditwebhooks.delivery.again import Again, send_again, send_events_again
from auditwebhooks.delivery.claim import claim
from auditwebhooks.delivery.drain import Drain
from auditwebhooks.identifiers import message_id
from auditwebhooks.models import Event, Invocation, Webhook
from tests.conftest import Inbox
from tests.factories import make_event, make_invocation, make_webhook
from tests.live import somebody_waits_for_a_lock, until

pytestmark = pytest.mark.django_db


def reasons(again: Again) -> list[tuple[str, str]]:
    return [(one.field, str(one.reason)) for one in again.refused]


def test_a_new_chain_begins_at_its_first_attempt() -> None:
    failed = make_invocation(make_webhook(), status="failed", attempt=11)

    [made] = send_again([failed]).queued

    stored = Invocation.objects.get(pk=made.pk)
    assert (stored.webhook_id, stored.event_id) == (failed.webhook_id, failed.event_id)
    assert stored.webhook_name == failed.webhook_name
    assert (stored.trigger, stored.attempt) == ("manual", 1)
    assert (stored.status, stored.outcome, stored.message) == ("pending", "", "")
    assert stored.due_at <= timezone.now()
    failed.refresh_from_db()
    assert failed.status == "failed"


def test_it_arrives_under_the_same_webhook_id(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    failed = make_invocation(webhook, status="failed", attempt=4)
    send_again([failed])

    with Drain() as engine:
        engine.run()
        engine.finish()

    [delivery] = inbox.deliveries
    assert delivery.headers["webhook-id"] == message_id(failed.event.event_id, webhook.pk)
    assert delivery.headers["webhook-attempt"] == "1"


def test_a_worker_is_woken_after_the_commit(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[bool] = []
    monkeypatch.setattr(wake, "ring", lambda: rung.append(True))
    failed = make_invocation(make_webhook(), status="failed")

    with django_capture_on_commit_callbacks(execute=True):
        send_again([failed])
        assert rung == []
    assert rung == [True]


def test_attempts_of_one_chain_are_one_new_chain() -> None:
    webhook = make_webhook()
    first = make_invocation(webhook, status="failed")
    second = make_invocation(webhook, event=first.event, status="failed", attempt=2)
    other = make_invocation(make_webhook(), event=first.event, status="failed")

    assert len(send_again([first, second, other]).queued) == 2


def test_a_test_has_no_event() -> None:
    test = make_invocation(make_webhook(), event=None, trigger="test", status="succeeded")

    again = send_again([test])

    assert again.queued == []
    assert reasons(again) == [("event", "A test has no event: press Test on the webhook's page.")]


def test_an_event_that_is_kept_no_longer_cannot_be_sent() -> None:
    old = make_invocation(make_webhook(), event=None, status="failed")

    assert reasons(send_again([old])) == [
        ("event", "The event is kept no longer: there is nothing to send.")
    ]


def test_a_deleted_webhook_gets_nothing() -> None:
    webhook = make_webhook()
    failed = make_invocation(webhook, status="failed")
    stale = Invocation.objects.get(pk=failed.pk)
    webhook.delete()
    failed.refresh_from_db()

    expected = [("webhook", "The webhook was deleted.")]
    assert reasons(send_again([failed])) == expected
    # Read before it was deleted.
    assert reasons(send_again([stale])) == expected
    assert Invocation.objects.count() == 1


def test_a_webhook_that_is_off_has_it_wait_and_says_so() -> None:
    failed = make_invocation(make_webhook(active=False), status="failed")

    again = send_again([failed])

    assert again.resting == 1
    assert again.queued[0].status == "pending"
    assert again.queued[0].message == (
        "The webhook is switched off: this waits until it is switched on."
    )


def test_many_rows_take_few_statements(django_assert_max_num_queries: Any) -> None:
    webhooks = [make_webhook() for _ in range(3)]
    rows = [make_invocation(webhooks[n % 3], status="failed") for n in range(60)]

    with django_assert_max_num_queries(10):
        assert len(send_again(rows).queued) == 60


def test_an_event_goes_to_the_webhooks_that_had_it() -> None:
    had, also = make_webhook(), make_webhook(active=False)
    make_webhook()
    event = make_event(fanned_out_at=timezone.now())
    for webhook in (had, also):
        make_invocation(webhook, event=event, status="succeeded")
    make_invocation(had, event=event, status="failed", attempt=2)

    again = send_events_again([event])

    assert {one.webhook_id for one in again.queued} == {had.pk, also.pk}
    assert {one.trigger for one in again.queued} == {"manual"}
    assert len(again.queued) == 2


def test_an_event_that_nobody_had_goes_to_active_webhooks_whose_filter_matches() -> None:
    event = make_event(fanned_out_at=timezone.now())
    matching = make_webhook()
    make_webhook(event_types=["other.*"])
    make_webhook(active=False)

    assert [one.webhook_id for one in send_events_again([event]).queued] == [matching.pk]


def test_an_event_that_nobody_may_get_is_refused() -> None:
    event = make_event(fanned_out_at=timezone.now())

    assert reasons(send_events_again([event])) == [("event", "No active webhook gets this event.")]


def test_an_event_on_its_way_is_not_doubled() -> None:
    make_webhook()
    event = make_event()

    again = send_events_again([event])

    assert again.queued == []
    assert reasons(again) == [("event", "The event waits for its first delivery.")]


def test_many_events_take_few_statements(django_assert_max_num_queries: Any) -> None:
    for _ in range(3):
        make_webhook()
    events = [make_event(fanned_out_at=timezone.now()) for _ in range(20)]

    with django_assert_max_num_queries(10):
        assert len(send_events_again(events).queued) == 60
    assert Event.objects.filter(fanned_out_at=None, event_type__startswith="testapp").count() == 0


def test_an_event_that_retention_takes_meanwhile_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done = make_invocation(make_webhook(), status="failed")
    monkeypatch.setattr("auditwebhooks.delivery.again.hold", lambda event_ids, using: set())

    answer = send_again([done])

    assert answer.queued == []
    assert reasons(answer) == [("event", "The event is kept no longer: there is nothing to send.")]


@pytest.mark.django_db(transaction=True)
def test_a_webhook_that_is_deleted_meanwhile_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deletion waits for the new row, which loses its webhook like all others."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    webhook = make_webhook()
    done = make_invocation(webhook, status="failed")
    insert = again._insert

    def insert_late(*arguments: Any) -> None:
        deletion.start()
        until(somebody_waits_for_a_lock)
        insert(*arguments)

    def delete() -> None:
        try:
            Webhook.objects.get(pk=webhook.pk).delete()
        finally:
            connection.close()

    deletion = threading.Thread(target=delete)
    monkeypatch.setattr(again, "_insert", insert_late)
    [queued] = send_again([done]).queued
    deletion.join(60)

    assert Invocation.objects.get(pk=queued.pk).webhook is None
    assert not Webhook.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_who_sends_again_holds_up_no_worker() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("elsewhere the key of the new row alone holds the webhook")
    webhook = make_webhook()
    done, waiting = make_invocation(webhook, status="failed"), make_invocation(webhook)
    claimed: list[Invocation] = []

    def work() -> None:
        try:
            claimed.extend(claim(webhook, 5, timezone.now(), "t" * 32))
        finally:
            connection.close()

    worker = threading.Thread(target=work)
    with transaction.atomic():
        send_again([done])
        worker.start()
        worker.join(30)
        assert claimed == [waiting]

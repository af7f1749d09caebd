"""Events become invocations: one for each webhook that collects them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from auditwebhooks.delivery import claim, fanout
from auditwebhooks.delivery.fanout import fan_out, matches
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.statements import insert_rows
from tests.factories import make_event, make_webhook
from tests.live import somebody_waits_for_a_lock, until

pytestmark = pytest.mark.django_db


def pending() -> list[tuple[str, int]]:
    rows = Invocation.objects.order_by("webhook_name", "event_id")
    return list(rows.values_list("webhook_name", "event_id"))


def test_each_webhook_gets_a_pending_first_attempt() -> None:
    make_webhook(name="A")
    make_webhook(name="B")
    fan_out()
    event = make_event()

    assert fan_out() == 1

    assert pending() == [("A", event.pk), ("B", event.pk)]
    invocation = Invocation.objects.first()
    assert invocation.status == "pending"
    assert invocation.trigger == "event"
    assert invocation.attempt == 1
    assert invocation.outcome == ""
    assert invocation.due_at <= timezone.now()
    event.refresh_from_db()
    assert event.fanned_out_at is not None


def test_an_event_is_fanned_out_once() -> None:
    make_webhook()
    make_event()

    assert fan_out() > 0
    assert fan_out() == 0
    assert Invocation.objects.count() == 1


def test_an_event_nobody_wants_is_done_too() -> None:
    event = make_event()

    assert fan_out() == 1
    event.refresh_from_db()
    assert event.fanned_out_at is not None
    assert pending() == []


def test_a_webhook_made_later_gets_no_older_event() -> None:
    make_event()
    make_webhook()
    fan_out()

    assert pending() == []


def test_an_event_reaches_a_webhook_that_was_switched_off_after_it() -> None:
    webhook = make_webhook(name="A")
    event = make_event()
    webhook.active = False
    webhook.save()
    fan_out()

    assert pending() == [("A", event.pk)]


def test_an_event_reaches_a_webhook_that_was_switched_off_and_on_after_it() -> None:
    webhook = make_webhook(name="A")
    event = make_event()
    for active in (False, True):
        webhook.active = active
        webhook.save()
    fan_out()

    assert pending() == [("A", event.pk)]


def test_nothing_new_is_queued_for_a_webhook_that_a_person_switched_off() -> None:
    webhook = make_webhook(active=False)
    make_event()
    webhook.active = True
    webhook.save()
    fan_out()

    assert pending() == []


def test_events_keep_queueing_for_a_webhook_that_the_system_switched_off() -> None:
    make_webhook(name="A").switch_off_by_system()
    event = make_event()
    fan_out()

    assert pending() == [("A", event.pk)]


def test_the_event_filter_decides() -> None:
    make_webhook(name="Articles", event_types=["testapp.article.*"])
    make_webhook(name="Deletes", event_types=["*.deleted"])
    make_webhook(name="None", event_types=["own.*"])
    updated = make_event(event_type="testapp.article.updated")
    deleted = make_event(event_type="testapp.article.deleted")
    fan_out()

    assert pending() == [
        ("Articles", updated.pk),
        ("Articles", deleted.pk),
        ("Deletes", deleted.pk),
    ]


def test_the_oldest_events_go_first() -> None:
    make_webhook(name="A")
    fan_out()
    first, second, third = (make_event() for _ in range(3))

    assert fan_out(limit=2) == 2

    assert pending() == [("A", first.pk), ("A", second.pk)]
    assert list(Event.objects.filter(fanned_out_at=None)) == [third]


def test_a_clock_that_is_behind_another_changes_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers on two machines: what the second makes must not be due before what is older."""
    webhook = make_webhook()
    fan_out()
    now = timezone.now()
    for ahead in (2, 0):
        monkeypatch.setattr(timezone, "now", lambda ahead=ahead: now + timedelta(seconds=ahead))
        make_event(target_id="1", created_at=now)
        fan_out()

    first, second = Invocation.objects.order_by("pk")
    assert first.due_at <= second.due_at
    assert claim.claim(webhook, 8, now + timedelta(seconds=1), "one") == []
    both = claim.claim(webhook, 8, now + timedelta(seconds=2), "one")
    assert [one.pk for one in both] == [first.pk, second.pk]


def test_a_clock_that_was_far_ahead_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    make_webhook()
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now + timedelta(days=365))
    make_event(created_at=now)
    fan_out()
    monkeypatch.setattr(timezone, "now", lambda: now)
    make_event(created_at=now)
    fan_out()

    assert Invocation.objects.order_by("pk").last().due_at == now


def test_a_commit_out_of_order_is_not_missed() -> None:
    """A lower id may become visible after a higher one."""
    make_webhook(name="A")
    fan_out()
    late = make_event(fanned_out_at=timezone.now())
    early_id = late.pk
    seen = make_event()
    fan_out()
    Event.objects.filter(pk=early_id).update(fanned_out_at=None)

    assert fan_out() == 1
    assert pending() == [("A", early_id), ("A", seen.pk)]


def test_the_name_is_kept_with_the_invocation() -> None:
    webhook = make_webhook(name="Before")
    make_event()
    fan_out()
    webhook.delete()

    invocation = Invocation.objects.get()
    assert invocation.webhook is None
    assert invocation.webhook_name == "Before"
    assert (invocation.status, invocation.outcome) == ("failed", "cancelled")
    assert invocation.finished_at is not None


def test_deleting_by_queryset_cancels_too() -> None:
    make_webhook()
    make_event()
    fan_out()
    Webhook.objects.all().delete()

    assert Invocation.objects.get().outcome == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_a_webhook_can_be_deleted_while_events_are_fanned_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rows that are committed after the deletion has looked for them would forbid it."""
    if connection.vendor != "postgresql":
        pytest.skip("Elsewhere the fan-out holds the webhooks that it gives rows to")
    webhook = make_webhook()
    make_event()
    inserted, looked, insert = threading.Event(), threading.Event(), insert_rows
    failures: list[type[Exception]] = []

    def insert_first(*arguments: Any) -> bool:
        done = insert(*arguments)
        inserted.set()
        return looked.wait(30) and done

    def work() -> None:
        try:
            fan_out()
        except Exception as error:  # noqa: BLE001 - shown by the test
            failures.append(type(error))
        finally:
            connection.close()

    def have_it_commit(execute: Any, sql: str, *arguments: Any) -> Any:
        if sql.startswith('DELETE FROM "auditwebhooks_webhook" '):
            looked.set()
            until(lambda: not thread.is_alive() or somebody_waits_for_a_lock())
        return execute(sql, *arguments)

    monkeypatch.setattr(fanout, "insert_rows", insert_first)
    thread = threading.Thread(target=work)
    thread.start()
    assert inserted.wait(30)
    with connection.execute_wrapper(have_it_commit):
        webhook.delete()
    thread.join(60)

    # The drain tries it again, without the webhook.
    assert failures == [IntegrityError]
    assert fan_out() > 0
    assert not Invocation.objects.exists()


def test_an_event_from_before_the_webhook_stays_out_however_late_it_is_fanned_out() -> None:
    make_webhook()
    make_event(created_at=timezone.now() - timedelta(days=1))
    fan_out()

    assert pending() == []


@pytest.mark.parametrize(
    ("event_type", "patterns", "expected"),
    [
        ("access.bundle.created", [], True),
        ("access.bundle.created", ["access.*"], True),
        ("access.bundle.created", ["*.deleted", "*.created"], True),
        ("access.bundle.created", ["access.bundle.created"], True),
        ("access.bundle.created", ["access.bundle"], False),
        ("access.bundle.created", ["Access.*"], False),
        ("access.bundle.created", ["access?bundle?created"], False),
        ("access.bundle.created", ["*"], True),
        ("accessxbundle.created", ["access.bundle.*"], False),
        ("access.bundle.created", ["access.*.*created"], True),
        ("access.bundle.created", ["access*bundle*bundle*"], False),
        ("aba", ["ab*ba"], False),
        ("own\nline", ["own*"], True),
        # A regular expression would need hours for this one.
        ("a" * 200, ["*a" * 50 + "*b"], False),
    ],
)
def test_patterns(event_type: str, patterns: list[str], expected: bool) -> None:
    assert matches(event_type, patterns) is expected

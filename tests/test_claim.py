"""Claims: a row is held by one worker, until its lease ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from copy import copy
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from auditwebhooks.delivery import claim
from auditwebhooks.enums import Status
from auditwebhooks.models import Invocation, Webhook, WebhookHealth
from tests.factories import make_invocation, make_webhook

pytestmark = pytest.mark.django_db


def due_names() -> list[str]:
    ids = [due.id for due in claim.due_webhooks(timezone.now())]
    return sorted(Webhook.objects.filter(pk__in=ids).values_list("name", flat=True))


def test_a_claim_takes_the_oldest_due_rows() -> None:
    webhook = make_webhook()
    now = timezone.now()
    late = make_invocation(webhook, due_at=now - timedelta(seconds=1))
    early = make_invocation(webhook, due_at=now - timedelta(seconds=9))
    make_invocation(webhook, due_at=now + timedelta(seconds=9))

    claimed = claim.claim(webhook, 5, now, "t1")

    assert [one.pk for one in claimed] == [early.pk, late.pk]
    row = Invocation.objects.get(pk=early.pk)
    assert (row.status, row.claim_token, row.claims) == ("sending", "t1", 1)
    assert row.started_at == now
    assert row.lease_until == now + timedelta(seconds=30)


def test_a_claim_takes_no_more_than_asked_for() -> None:
    webhook = make_webhook()
    for _ in range(3):
        make_invocation(webhook)

    assert len(claim.claim(webhook, 2, timezone.now(), "t1")) == 2
    assert len(claim.claim(webhook, 2, timezone.now(), "t2")) == 1
    assert claim.claim(webhook, 2, timezone.now(), "t3") == []


def test_a_claim_takes_only_its_webhook_s_rows() -> None:
    mine, other = make_webhook(), make_webhook()
    make_invocation(other)

    assert claim.claim(mine, 5, timezone.now(), "t1") == []


def test_claimed_rows_come_with_their_event(django_assert_num_queries: Any) -> None:
    webhook = make_webhook()
    make_invocation(webhook)
    [claimed] = claim.claim(webhook, 5, timezone.now(), "t1")

    with django_assert_num_queries(0):
        assert claimed.event.payload["event_id"]


def test_the_lease_outlasts_the_call() -> None:
    webhook = make_webhook(timeout_in_sec=60)

    assert claim.lease(webhook) == timedelta(seconds=80)


def test_webhooks_are_due_when_something_is() -> None:
    make_invocation(make_webhook(name="Due"))
    make_invocation(make_webhook(name="Later"), due_at=timezone.now() + timedelta(seconds=5))
    make_invocation(make_webhook(name="Done"), status="succeeded")
    make_webhook(name="Nothing")

    assert due_names() == ["Due"]
    soon = claim.due_webhooks(timezone.now() + timedelta(seconds=6))
    assert len(soon) == 2


@pytest.mark.parametrize("use_tz", [True, False])
def test_what_is_due_is_told_in_the_host_s_kind_of_time(settings: Any, use_tz: bool) -> None:
    """Asked with both in one process: what is compiled once must not keep the other's."""
    settings.USE_TZ = True
    make_invocation(make_webhook(name="Before"))
    assert due_names() == ["Before"]
    settings.USE_TZ = use_tz
    # MariaDB and SQLite write the local time where the host uses no time zones.
    settings.TIME_ZONE = "UTC"
    webhook = make_webhook(name="Due", max_per_minute=7)
    make_invocation(webhook)
    make_invocation(make_webhook(name="Later"), due_at=timezone.now() + timedelta(seconds=5))

    assert due_names() == ["Before", "Due"]
    [due] = [one for one in claim.due_webhooks(timezone.now()) if one.id == webhook.pk]
    assert due.updated_at == Webhook.objects.get(pk=webhook.pk).updated_at
    assert (due.updated_at.tzinfo is not None) is use_tz
    assert due.max_per_minute == 7


def test_a_webhook_that_is_off_is_not_due_and_keeps_its_rows() -> None:
    webhook = make_webhook(name="Off")
    make_invocation(webhook)
    webhook.active = False
    webhook.save()
    assert due_names() == []

    webhook.active = True
    webhook.save()
    assert due_names() == ["Off"]


@pytest.mark.parametrize("reason", ["retry_after", "configuration"])
def test_a_paused_webhook_is_not_due_until_the_pause_ends(reason: str) -> None:
    webhook = make_webhook(name="Paused")
    make_invocation(webhook)
    health = WebhookHealth.objects.create(
        webhook=webhook,
        paused_until=timezone.now() + timedelta(minutes=5),
        pause_reason=reason,
        paused_configuration=webhook.updated_at,
    )
    assert due_names() == []

    health.paused_until = timezone.now() - timedelta(seconds=1)
    health.save()
    assert due_names() == ["Paused"]


def test_a_changed_configuration_ends_only_the_pause_that_waits_for_it() -> None:
    until = timezone.now() + timedelta(minutes=5)
    for name, reason in (("Mended", "configuration"), ("Asked to wait", "retry_after")):
        webhook = make_webhook(name=name)
        make_invocation(webhook)
        WebhookHealth.objects.create(
            webhook=webhook,
            paused_until=until,
            pause_reason=reason,
            paused_configuration=webhook.updated_at,
        )
        webhook.save()

    assert due_names() == ["Mended"]


def test_given_back_rows_are_due_again() -> None:
    webhook = make_webhook()
    invocation = make_invocation(webhook)
    claim.claim(webhook, 5, timezone.now(), "t1")

    claim.give_back([invocation.pk], "another")
    assert due_names() == []
    claim.give_back([invocation.pk], "t1")
    assert due_names() == [webhook.name]
    invocation.refresh_from_db()
    assert (invocation.claim_token, invocation.lease_until, invocation.claims) == ("", None, 0)


def test_a_lease_is_renewed_by_its_holder_only() -> None:
    webhook = make_webhook()
    invocation = make_invocation(webhook)
    long_ago = timezone.now() - timedelta(hours=1)
    claim.claim(webhook, 5, long_ago + timedelta(hours=1), "t1")
    Invocation.objects.update(lease_until=long_ago)

    claim.renew([invocation.pk], "another", claim.lease(webhook))
    invocation.refresh_from_db()
    assert invocation.lease_until == long_ago

    claim.renew([invocation.pk], "t1", claim.lease(webhook))
    invocation.refresh_from_db()
    assert invocation.lease_until > timezone.now()


def test_a_lease_is_renewed_after_a_fifth_of_it() -> None:
    # Each renewal writes the row and its indexes anew, and most rows are sent within a second.
    webhook = make_webhook()
    invocation = make_invocation(webhook)
    lease = claim.lease(webhook)
    claim.claim(webhook, 5, timezone.now(), "t1")
    fresh = timezone.now() + lease * 5 / 6
    Invocation.objects.update(lease_until=fresh)

    claim.renew([invocation.pk], "t1", lease)
    invocation.refresh_from_db()
    assert invocation.lease_until == fresh

    Invocation.objects.update(lease_until=timezone.now() + lease * 3 / 4)
    claim.renew([invocation.pk], "t1", lease)
    invocation.refresh_from_db()
    assert invocation.lease_until > fresh


def test_what_a_dead_worker_held_is_due_again() -> None:
    webhook = make_webhook()
    make_invocation(webhook)
    now = timezone.now()
    claim.claim(webhook, 5, now, "dead")

    assert claim.recover(now) == 0
    assert claim.recover(now + timedelta(seconds=31)) == 1
    [again] = claim.claim(webhook, 5, timezone.now(), "alive")
    assert again.claims == 2
    assert again.attempt == 1


def test_what_a_dead_worker_held_whose_clock_was_ahead_is_due_again() -> None:
    webhook = make_webhook(timeout_in_sec=60)
    row = make_invocation(webhook)
    now = timezone.now()
    claim.claim(webhook, 1, now + timedelta(hours=5), "t1")

    assert claim.recover(now) == 1
    row.refresh_from_db()
    assert row.status == "pending"


def test_a_row_that_no_worker_survives_is_ended_not_repeated() -> None:
    webhook = make_webhook()
    now = timezone.now()
    ended = make_invocation(
        webhook,
        status="sending",
        claim_token="dead",
        claims=claim.MAX_CLAIMS,
        lease_until=now - timedelta(seconds=1),
    )

    assert claim.recover(now) == 0
    assert [one.pk for one in claim.exhausted(now, "t1")] == [ended.pk]
    assert claim.exhausted(now, "t2") == []


def test_a_row_held_while_its_webhook_was_deleted_is_cancelled_in_the_end() -> None:
    webhook = make_webhook()
    invocation = make_invocation(webhook)
    now = timezone.now()
    claim.claim(webhook, 5, now, "dead")
    webhook.delete()

    claim.recover(now + timedelta(seconds=31))
    claim.recover(now + timedelta(seconds=32))

    invocation.refresh_from_db()
    assert (invocation.status, invocation.outcome) == ("failed", "cancelled")


def test_the_rate_limit_counts_the_last_minute() -> None:
    webhook = make_webhook(max_per_minute=3)
    now = timezone.now()
    for seconds in (10, 59, 61):
        make_invocation(webhook, status="succeeded", started_at=now - timedelta(seconds=seconds))
    make_invocation(webhook, due_at=now)
    make_invocation(make_webhook(), due_at=now)

    rooms = {due.max_per_minute: claim.room_in_minute(due, now) for due in claim.due_webhooks(now)}
    assert rooms == {3: 1, None: None}


def test_the_rate_limit_counts_what_is_held_however_long() -> None:
    """A row waits in a worker for its turn: its call may begin at any time."""
    webhook = make_webhook(max_per_minute=3)
    now = timezone.now()
    earlier = now - timedelta(minutes=2)
    make_invocation(webhook, status="sending", started_at=earlier)
    make_invocation(webhook, status="succeeded", started_at=earlier)

    assert claim.room_in_minute(webhook, now) == 2


def test_the_rate_limit_does_not_count_what_a_wrong_clock_wrote() -> None:
    """Or the local one, in the hour that comes twice: it would wait for as long."""
    webhook = make_webhook(max_per_minute=3)
    now = timezone.now()
    make_invocation(webhook, status="succeeded", started_at=now + timedelta(minutes=50))

    assert claim.room_in_minute(webhook, now) == 3


@pytest.mark.django_db(transaction=True)
def test_workers_keep_a_rate_limit_together() -> None:
    """Each of them has seen that there is room, before any has claimed."""
    webhook = make_webhook(max_per_minute=5)
    for _ in range(40):
        make_invocation(webhook)
    together = threading.Barrier(4)
    claimed: list[int] = []

    def work(token: str) -> None:
        now = timezone.now()
        room = claim.room_in_minute(webhook, now)
        together.wait(10)
        claimed.extend(one.pk for one in claim.claim(webhook, room or 0, now, token))
        connections.close_all()

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(claimed) == 5


@pytest.mark.django_db(transaction=True)
def test_claims_of_two_workers_never_overlap() -> None:
    webhook = make_webhook()
    for _ in range(60):
        make_invocation(webhook)
    together = threading.Barrier(4)
    taken: dict[str, list[int]] = {}

    def work(token: str) -> None:
        mine = taken.setdefault(token, [])
        together.wait(10)
        while claimed := claim.claim(webhook, 7, timezone.now(), token):
            mine.extend(one.pk for one in claimed)
        connections.close_all()

    threads = [threading.Thread(target=work, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    everything = [pk for mine in taken.values() for pk in mine]
    assert len(everything) == len(set(everything)) == 60


def test_the_backlog_of_a_paused_webhook_is_not_read_at_each_look() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("PostgreSQL alone would join, and plans by what it believes of the backlog")
    now = timezone.now()
    dead = make_webhook()
    WebhookHealth.objects.create(
        webhook=dead,
        paused_until=now + timedelta(hours=1),
        pause_reason="retry_after",
        paused_configuration=dead.updated_at,
    )
    alive = make_webhook()
    make_invocation(alive)
    row = make_invocation(dead)

    def make_rows(webhook: Webhook, count: int, status: str) -> None:
        one = Invocation(
            webhook=webhook, created_at=now, due_at=now, trigger=row.trigger, status=status
        )
        Invocation.objects.bulk_create([copy(one) for _ in range(count)])

    for webhook in (alive, dead):
        make_rows(webhook, 1500, Status.SUCCEEDED)
    with connection.cursor() as cursor:
        # What it knows is older than the backlog.
        cursor.execute("ANALYZE auditwebhooks_invocation")
    make_rows(dead, 3000, Status.PENDING)

    with CaptureQueriesContext(connection) as queries:
        assert len(claim.due_webhooks(timezone.now())) == 1
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {queries[0]['sql']}")
        [[plan]] = cursor.fetchone()

    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in _nodes(plan["Plan"])) < 500


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for one in plan.get("Plans", ()):
        yield from _nodes(one)


def test_what_may_go_in_any_order_goes_while_a_target_is_held() -> None:
    webhook = make_webhook()
    make_invocation(webhook, order_key=7)
    claim.claim(webhook, 1, timezone.now(), "another")
    make_invocation(webhook, order_key=7)
    retry = make_invocation(webhook, order_key=None)

    assert claim.claim(webhook, 9, timezone.now(), "mine") == [retry]

"""Results become rows, written by those who still hold them."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from auditwebhooks.delivery import claim, health
from auditwebhooks.delivery.reschedule import Finished, settle
from auditwebhooks.delivery.send import Result
from auditwebhooks.delivery.store import store
from auditwebhooks.enums import Outcome
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.signals import invocation_finished, webhook_disabled
from tests.factories import make_invocation, make_webhook
from tests.live import somebody_waits_for_a_lock, until

pytestmark = pytest.mark.django_db


TOKEN = "t1"


def result(outcome: str = "success", **overrides: Any) -> Result:
    now = timezone.now()
    values = {
        "outcome": Outcome(outcome),
        "message": "Because.",
        "started_at": now - timedelta(milliseconds=20),
        "finished_at": now,
        "duration_ms": 20,
        "request_method": "POST",
        "request_url": "https://hooks.example.com/***",
        "request_headers": {"webhook-id": "evt_1"},
        "request_body": "{}",
        "response_status": 200 if outcome == "success" else 500,
        "response_headers": {"Server": "x"},
        "response_body": "answer",
        "validation_results": ({"json_path": "$.ok", "passed": True},),
    }
    return Result(**{**values, **overrides})


def finish(webhook: Webhook, *results: Result, token: str = TOKEN) -> list[Finished]:
    """Claim as many rows of the webhook, and pair them with the results."""
    for _ in results:
        make_invocation(webhook)
    webhook = Webhook.objects.get(pk=webhook.pk)
    rows = claim.claim(webhook, len(results), timezone.now(), token)
    return [
        Finished(invocation=row, webhook=webhook, result=one)
        for row, one in zip(rows, results, strict=True)
    ]


def test_everything_of_a_result_is_stored() -> None:
    done = result()
    [one] = finish(make_webhook(), done)
    store([one], "t1")

    row = Invocation.objects.get()
    assert (row.status, row.outcome, row.message) == ("succeeded", "success", "Because.")
    assert row.request_method == "POST"
    assert row.request_url == "https://hooks.example.com/***"
    assert row.request_headers == {"webhook-id": "evt_1"}
    assert row.request_body == "{}"
    assert row.response_status == 200
    assert row.response_headers == {"Server": "x"}
    assert row.response_body == "answer"
    assert row.response_truncated is False
    assert row.validation_results == [{"json_path": "$.ok", "passed": True}]
    assert row.duration_ms == 20
    assert (row.started_at, row.finished_at) == (done.started_at, done.finished_at)
    assert (row.claim_token, row.lease_until, row.claims) == ("", None, 1)


def test_a_failure_leaves_the_next_attempt() -> None:
    [one] = finish(make_webhook(), result("http_status"))
    store([one], "t1")

    first, second = Invocation.objects.order_by("attempt")
    assert (first.status, first.outcome) == ("failed", "http_status")
    assert (second.status, second.attempt, second.trigger) == ("pending", 2, "retry")
    assert second.event_id == first.event_id
    assert second.due_at > timezone.now()


def test_what_follows_from_a_claimed_row_is_told_without_a_query(
    django_assert_num_queries: Any,
) -> None:
    [done] = finish(make_webhook(), result("timeout"))

    with django_assert_num_queries(0):
        assert settle(done) is not None


def test_a_batch_is_stored_by_a_fixed_number_of_statements(
    django_assert_max_num_queries: Any,
) -> None:
    few = finish(make_webhook(), *(result() for _ in range(3)), token="t1")
    many = finish(make_webhook(), *(result() for _ in range(25)), token="t2")

    with django_assert_max_num_queries(10) as queries:
        store(few, "t1")
    for_few = len(queries)
    with django_assert_max_num_queries(10) as queries:
        store(many, "t2")
    assert len(queries) == for_few
    assert Invocation.objects.filter(status="succeeded").count() == 28


def test_a_body_that_is_too_long_for_a_statement_is_stored_as_far_as_it_fits() -> None:
    """Its template has a long value three times. Quotes are written as two on MariaDB."""
    body = '{"é": "' * 3_000_000
    done = finish(make_webhook(), result(request_body=body, response_body='"' * 65536), result())

    store(done, TOKEN)

    long, short = Invocation.objects.order_by("id")
    assert (long.status, short.status) == ("succeeded", "succeeded")
    assert len(long.request_body) > 7_000_000
    assert body.startswith(long.request_body)
    if connection.vendor != "mysql":
        assert long.request_body == body


def test_a_stale_worker_cannot_write() -> None:
    webhook = make_webhook()
    [stale] = finish(webhook, result("timeout"), token="dead")
    Invocation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    claim.recover(timezone.now())
    [row] = claim.claim(webhook, 5, timezone.now(), "alive")

    store([stale], "dead")
    row = Invocation.objects.get()
    assert (row.status, row.claim_token, row.outcome) == ("sending", "alive", "")

    store([Finished(invocation=row, webhook=webhook, result=result())], "alive")
    assert Invocation.objects.get().status == "succeeded"


def test_a_row_that_is_gone_is_not_made_again() -> None:
    [one] = finish(make_webhook(), result())
    Invocation.objects.all().delete()

    store([one], "t1")

    assert not Invocation.objects.exists()


def test_of_a_deleted_webhook_the_result_is_kept_without_a_next_attempt() -> None:
    webhook = make_webhook()
    [one] = finish(webhook, result("timeout"))
    Webhook.objects.get().delete()

    store([one], "t1")

    row = Invocation.objects.get()
    assert (row.status, row.outcome, row.webhook) == ("failed", "timeout", None)


def test_health_counts_failures_until_a_success() -> None:
    webhook = make_webhook()
    store(finish(webhook, result("timeout"), result("http_status")), "t1")
    sick = Webhook.objects.get()
    assert sick.consecutive_failures == 2
    assert sick.last_failure_at is not None
    assert sick.last_success_at is None

    store(finish(webhook, result(), token="t2"), "t2")
    well = Webhook.objects.get()
    assert well.consecutive_failures == 0
    assert well.last_success_at is not None
    assert well.last_failure_at == sick.last_failure_at


def test_health_does_not_touch_the_configuration() -> None:
    webhook = make_webhook()
    store(finish(webhook, result("timeout")), "t1")

    assert Webhook.objects.get().updated_at == webhook.updated_at
    assert Event.objects.filter(event_type="auditwebhooks.webhook.updated").count() == 0


def test_a_request_to_wait_holds_the_webhook() -> None:
    webhook = make_webhook()
    done = finish(
        webhook, result("http_status", response_status=429, retry_after=timedelta(minutes=5))
    )

    assert store(done, "t1") == {webhook.pk}
    paused_until = Webhook.objects.get().paused_until
    assert timedelta(minutes=4) < paused_until - timezone.now() <= timedelta(minutes=5)


def test_the_longest_pause_counts_in_any_order() -> None:
    webhook = make_webhook()
    long, short = (
        result("http_status", response_status=429, retry_after=timedelta(minutes=minutes))
        for minutes in (9, 1)
    )
    store(finish(webhook, long, short), "t1")

    assert Webhook.objects.get().paused_until - timezone.now() > timedelta(minutes=8)


def test_a_bad_configuration_pauses_until_it_changes() -> None:
    webhook = make_webhook()
    assert store(finish(webhook, result("config")), "t1") == {webhook.pk}

    row = Invocation.objects.get()
    assert (row.status, row.outcome, row.message) == ("pending", "config", "Because.")
    paused = Webhook.objects.get()
    assert paused.paused_until is not None
    assert paused.consecutive_failures == 0
    assert claim.due_webhooks(timezone.now()) == []

    paused.save()
    assert [due.id for due in claim.due_webhooks(timezone.now())] == [webhook.pk]


def test_a_configuration_mended_meanwhile_is_not_paused() -> None:
    """The result belongs to the configuration that was used, not to the present one."""
    webhook = make_webhook()
    done = finish(webhook, result("config"))
    Webhook.objects.get().save()

    store(done, "t1")

    assert Webhook.objects.get().paused_until is None


def test_gone_switches_the_webhook_off_and_tells() -> None:
    webhook = make_webhook(event_types=[])
    heard: list[tuple[Webhook, str]] = []

    def hear(webhook: Webhook, reason: str, **kwargs: object) -> None:
        heard.append((webhook, reason))

    webhook_disabled.connect(hear)
    try:
        store(finish(webhook, result("http_status", response_status=410)), "t1")
    finally:
        webhook_disabled.disconnect(hear)

    off = Webhook.objects.get()
    assert off.active is False
    assert off.disabled_reason == "Because."
    assert [(one.pk, reason) for one, reason in heard] == [(webhook.pk, "Because.")]
    event = Event.objects.get(event_type="auditwebhooks.webhook.updated")
    assert (event.actor_id, event.actor_type) == ("system", "system")
    assert event.payload["data"]["metadata"]["changed_fields"] == ["active"]


def test_gone_leaves_a_webhook_on_that_was_changed_meanwhile() -> None:
    """The call went to the old URL: of the new one nobody knows anything."""
    webhook = make_webhook()
    done = finish(webhook, result("http_status", response_status=410))
    webhook.url = "https://hooks.example.com/new"
    webhook.save()

    store(done, TOKEN)

    assert Webhook.objects.get().active is True
    assert Webhook.objects.get().disabled_reason == ""


def test_a_signal_tells_of_each_stored_attempt() -> None:
    heard: list[Invocation] = []

    def hear(invocation: Invocation, **kwargs: object) -> None:
        heard.append(invocation)

    done = finish(make_webhook(), result(), result("config"))
    invocation_finished.connect(hear)
    try:
        store(done, "t1")
    finally:
        invocation_finished.disconnect(hear)

    assert [(one.pk, one.status) for one in heard] == [(done[0].invocation.pk, "succeeded")]


def finish_at(webhook: Webhook, moment: datetime, outcome: str = "timeout") -> None:
    done = finish(webhook, result(outcome, started_at=moment, finished_at=moment))
    store(done, TOKEN)


def test_a_receiver_that_fails_pauses_the_webhook() -> None:
    webhook = make_webhook()
    now = timezone.now()
    for number in range(4):
        finish_at(webhook, now + timedelta(seconds=3 * number))
    last = finish(webhook, result("timeout", finished_at=now + timedelta(seconds=12)))

    assert store(last, TOKEN) == {webhook.pk}
    assert Webhook.objects.get().paused_until == now + timedelta(seconds=22)
    assert claim.due_webhooks(now) == []


def test_a_paused_webhook_is_tried_with_one_delivery() -> None:
    webhook = make_webhook()
    ago = timezone.now() - timedelta(minutes=5)
    for number in range(5):
        finish_at(webhook, ago + timedelta(seconds=3 * number))
    make_invocation(webhook)

    now = timezone.now()
    [due] = claim.due_webhooks(now)
    assert due.is_probed
    [one] = claim.claim(webhook, 1, now, "t1")
    assert claim.begin_probe(due, webhook, one, now)
    # For everybody else it is paused until the probe has come back.
    assert not claim.begin_probe(due, webhook, one, now)
    assert claim.due_webhooks(now) == []

    store([Finished(invocation=one, webhook=webhook, result=result())], "t1")
    [due] = claim.due_webhooks(timezone.now())
    assert not due.is_probed
    assert Webhook.objects.get().paused_until is None


def test_a_probe_whose_worker_died_is_followed_by_another() -> None:
    webhook = make_webhook()
    ago = timezone.now() - timedelta(minutes=5)
    for number in range(5):
        finish_at(webhook, ago + timedelta(seconds=3 * number))
    now = timezone.now()
    [due] = claim.due_webhooks(now)
    [one] = claim.claim(webhook, 1, now, "dead")
    claim.begin_probe(due, webhook, one, now)

    later = now + claim.lease(webhook) + timedelta(seconds=1)
    assert claim.recover(later) == 1
    [due] = claim.due_webhooks(later)
    [again] = claim.claim(webhook, 1, later, "alive")
    assert claim.begin_probe(due, webhook, again, later)


def test_a_changed_configuration_ends_the_breaker_s_pause() -> None:
    webhook = make_webhook()
    now = timezone.now()
    for number in range(5):
        finish_at(Webhook.objects.get(), now + timedelta(seconds=3 * number))
    assert Webhook.objects.get().paused_until is not None

    Webhook.objects.get().save()

    assert Webhook.objects.get().paused_until is None
    make_invocation(webhook)
    assert [due.is_probed for due in claim.due_webhooks(timezone.now())] == [True]


def test_three_days_of_failures_switch_the_webhook_off(caplog: pytest.LogCaptureFixture) -> None:
    webhook = make_webhook(event_types=[])
    start = timezone.now() - timedelta(days=4)
    for number in range(19):
        finish_at(webhook, start + timedelta(minutes=number))
    finish_at(webhook, start + timedelta(days=2, hours=23))
    assert Webhook.objects.get().active

    finish_at(webhook, start + timedelta(days=3))

    off = Webhook.objects.get()
    assert not off.active
    assert off.disabled_reason.startswith("21 deliveries failed since ")
    assert off.disabled_reason.endswith("none succeeded. The last: Because.")
    assert off.disabled_reason in caplog.text
    # What happens meanwhile waits for it.
    assert off.was_collecting(timezone.now())


def test_few_failures_do_not_switch_off_however_old_they_are() -> None:
    webhook = make_webhook()
    start = timezone.now() - timedelta(days=30)
    for number in range(19):
        finish_at(webhook, start + timedelta(days=number))
    assert Webhook.objects.get().active


def test_a_success_within_the_three_days_keeps_it_on() -> None:
    webhook = make_webhook()
    start = timezone.now() - timedelta(days=10)
    for number in range(32):
        outcome = "success" if number == 18 else "timeout"
        finish_at(webhook, start + timedelta(hours=4 * number), outcome)
    assert Webhook.objects.get().active


def test_switched_on_again_it_has_three_days_anew() -> None:
    webhook = make_webhook()
    start = timezone.now() - timedelta(days=4)
    for number in range(21):
        finish_at(webhook, start + timedelta(hours=4 * number))
    off = Webhook.objects.get()
    assert not off.active
    off.active = True
    off.save()

    finish_at(off, timezone.now())

    assert Webhook.objects.get().active


@pytest.mark.django_db(transaction=True)
def test_a_webhook_can_be_deleted_while_its_first_result_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The row of its health, new and not yet committed, would be missed by the deletion."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    webhook = make_webhook()
    done = finish(webhook, result("timeout"))
    noting, failures, note = threading.Event(), [], health.note

    def note_late(*arguments: Any) -> health.Verdicts:
        noting.set()
        until(somebody_waits_for_a_lock)
        return note(*arguments)

    monkeypatch.setattr(health, "note", note_late)

    def work() -> None:
        try:
            store(done, TOKEN)
        except Exception as error:  # noqa: BLE001 - shown by the test
            failures.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert noting.wait(30)
    Webhook.objects.get().delete()
    thread.join(60)

    assert failures == []
    row = Invocation.objects.earliest("pk")
    assert (row.status, row.outcome, row.webhook) == ("failed", "timeout", None)

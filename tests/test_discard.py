"""What waits for a webhook that is off is discarded by a person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from auditwebhooks.delivery import discard as discarding
from auditwebhooks.delivery import replay
from auditwebhooks.delivery.claim import claim
from auditwebhooks.delivery.discard import Discarded, discard, waiting
from auditwebhooks.delivery.selection import Selection
from auditwebhooks.models import Invocation, Replay, Webhook
from tests.factories import make_invocation, make_webhook

pytestmark = pytest.mark.django_db


def off(webhook: Webhook) -> Webhook:
    webhook.active = False
    webhook.save()
    return webhook


def test_what_waits_ends_as_cancelled_with_a_sentence() -> None:
    webhook, other = make_webhook(), off(make_webhook())
    first = make_invocation(webhook)
    retry = make_invocation(
        webhook, trigger="retry", attempt=2, due_at=timezone.now() + timedelta(hours=1)
    )
    sent = make_invocation(webhook, status="succeeded", outcome="success")
    others = make_invocation(other)
    off(webhook)
    assert waiting(webhook.pk) == 2

    assert discard(webhook.pk) == Discarded(ended=2, complete=True)

    for invocation in (first, retry):
        invocation.refresh_from_db()
        assert (invocation.status, invocation.outcome) == ("failed", "cancelled")
        assert invocation.message == "Discarded by hand while the webhook was switched off."
        assert invocation.finished_at is not None
    assert Invocation.objects.get(pk=sent.pk).outcome == "success"
    assert Invocation.objects.get(pk=others.pk).status == "pending"
    assert waiting(webhook.pk) == 0


def test_what_a_worker_holds_is_left_to_it() -> None:
    webhook = make_webhook()
    held, left = make_invocation(webhook), make_invocation(webhook)
    claim(webhook, 1, timezone.now(), "a worker")
    off(webhook)

    assert discard(webhook.pk).ended == 1

    held.refresh_from_db()
    assert (held.status, held.claim_token) == ("sending", "a worker")
    assert Invocation.objects.get(pk=left.pk).outcome == "cancelled"


def test_nothing_is_discarded_of_a_webhook_that_is_on() -> None:
    webhook = make_webhook()
    make_invocation(webhook)
    now = timezone.now()
    selection = Selection(since=now, until=now, event_types=[], only_failed=False)
    replay.start(webhook, selection, "op")

    assert discard(webhook.pk).ended == 0
    assert waiting(webhook.pk) == 1
    assert Replay.objects.get().status == "running"


def test_its_running_replay_ends_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "BATCH", 2)
    webhook = make_webhook()
    since = timezone.now()
    for _ in range(5):
        make_invocation(webhook, status="failed", outcome="timeout")
    now = timezone.now()
    selection = Selection(since=since, until=now, event_types=[], only_failed=False)
    running = replay.start(webhook, selection, "op")
    replay.step()
    off(webhook)

    assert discard(webhook.pk) == Discarded(ended=2, complete=True)

    replay.step()
    assert Replay.objects.get(pk=running.pk).status == "cancelled"
    assert waiting(webhook.pk) == 0


def test_batches_end_everything_and_pass_over_what_is_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discarding, "BATCH", 2)
    monkeypatch.setattr("auditwebhooks.rows.PAUSE", 0)
    webhook = make_webhook()
    now = timezone.now()
    for _ in range(5):
        # Of one moment: a batch may end in the middle of it.
        make_invocation(webhook, due_at=now)
    off(webhook)

    assert discard(webhook.pk) == Discarded(ended=5, complete=True)
    assert waiting(webhook.pk) == 0


def test_it_stops_when_the_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discarding, "BATCH", 2)
    webhook = make_webhook()
    for _ in range(3):
        make_invocation(webhook)
    off(webhook)

    with monkeypatch.context() as now:
        now.setattr(discarding, "SECONDS", 0)
        assert discard(webhook.pk) == Discarded(ended=2, complete=False)
    assert discard(webhook.pk) == Discarded(ended=1, complete=True)


def test_nothing_more_is_discarded_once_it_is_on_again(monkeypatch: pytest.MonkeyPatch) -> None:
    webhook = make_webhook()
    for _ in range(3):
        make_invocation(webhook)
    off(webhook)

    def switch_on(using: str) -> None:
        webhook.active = True
        webhook.save()

    monkeypatch.setattr(discarding, "BATCH", 1)
    monkeypatch.setattr(discarding, "let_others_write", switch_on)

    assert discard(webhook.pk) == Discarded(ended=1, complete=True)
    assert waiting(webhook.pk) == 2

"""The engine over real TLS: what is due arrives, and nobody waits for a slow neighbour."""

from __future__ import annotations

import json
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, InterfaceError, OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from auditwebhooks.delivery import claim, drain
from auditwebhooks.delivery.drain import Drain, is_due
from auditwebhooks.delivery.lane import Lane
from auditwebhooks.delivery.send import Result
from auditwebhooks.enums import Outcome
from auditwebhooks.exceptions import BlockedAddressError
from auditwebhooks.models import Event, Invocation, Webhook, WebhookHealth
from auditwebhooks.receiver import Answer, Delivery
from auditwebhooks.transport import guard
from tests.conftest import Inbox
from tests.factories import make_event, make_invocation, make_webhook
from tests.hostile import HostileServer, read_request, tls_context
from tests.live import until

pytestmark = pytest.mark.django_db(transaction=True)


def drain_all(**options: Any) -> int:
    with Drain() as engine:
        return engine.run(**options) + engine.finish()


def statuses() -> Counter[str]:
    return Counter(Invocation.objects.values_list("status", flat=True))


def test_what_is_recorded_arrives(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    sent = [make_event() for _ in range(5)]

    assert drain_all() == 5

    assert statuses() == {"succeeded": 5}
    ids = {json.loads(one.body)["data"]["timestamp"] for one in inbox.deliveries}
    assert ids == {event.payload["event_time"] for event in sent}
    assert not Event.objects.filter(fanned_out_at=None).exists()


def test_more_than_a_batch_arrives_once_each(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    for _ in range(700):
        make_event()

    assert drain_all() == 700

    ids = Counter(one.headers["webhook-id"] for one in inbox.deliveries)
    assert len(ids) == 700
    assert set(ids.values()) == {1}
    assert statuses() == {"succeeded": 700}


def test_rows_claimed_while_results_wait_to_be_stored_are_sent_too(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The calls have ended, their results are not stored, and more rows are claimed."""
    look = Drain._look

    def look_when_all_calls_have_ended(engine: Drain) -> bool:
        until(lambda: not any(lane.in_flight for lane in engine._lanes.values()))
        return look(engine)

    monkeypatch.setattr(Drain, "_look", look_when_all_calls_have_ended)
    make_webhook(url=inbox.url)
    for _ in range(60):
        make_event()

    assert drain_all(seconds=10) == 60


def test_each_webhook_gets_its_own(inbox: Inbox) -> None:
    for name in ("a", "b", "c"):
        make_webhook(url=inbox.url + name)
    make_event()

    drain_all()

    assert sorted(one.path for one in inbox.deliveries) == ["/a", "/b", "/c"]
    assert len({one.headers["webhook-id"] for one in inbox.deliveries}) == 3


def test_nothing_to_do_ends_at_once(inbox: Inbox) -> None:
    assert drain_all() == 0


def test_a_retry_that_is_due_is_made_with_the_same_id(inbox: Inbox, configure: Any) -> None:
    configure(RETRY_DELAYS=[0, 0])
    inbox.answers = [Answer(status=500), Answer(status=500)]
    make_webhook(url=inbox.url)
    make_event()

    drain_all()

    assert [one.headers["webhook-attempt"] for one in inbox.deliveries] == ["1", "2", "3"]
    assert len({one.headers["webhook-id"] for one in inbox.deliveries}) == 1
    chain = Invocation.objects.order_by("attempt").values_list("attempt", "trigger", "status")
    assert list(chain) == [
        (1, "event", "failed"),
        (2, "retry", "failed"),
        (3, "retry", "succeeded"),
    ]


def test_what_is_due_soon_is_waited_for(inbox: Inbox, configure: Any) -> None:
    configure(RETRY_DELAYS=[0.3])
    inbox.answers = [Answer(status=500)]
    make_webhook(url=inbox.url)
    make_event()

    drain_all(patience=timedelta(seconds=2))

    assert statuses() == {"failed": 1, "succeeded": 1}


def test_what_is_due_later_is_left(inbox: Inbox) -> None:
    inbox.answers = [Answer(status=500)]
    make_webhook(url=inbox.url)
    make_event()

    assert drain_all() == 1
    assert statuses() == {"failed": 1, "pending": 1}
    assert not is_due()


def test_a_slow_webhook_does_not_hold_up_another(inbox: Inbox) -> None:
    slow = threading.Event()

    def answer(delivery: Delivery) -> Answer:
        if delivery.path == "/slow":
            slow.wait(20)
        return Answer()

    inbox.answer = answer
    make_webhook(url=inbox.url + "slow")
    quick = make_webhook(url=inbox.url + "fast")
    for _ in range(40):
        make_event()

    worker = threading.Thread(target=lambda: _in_thread(drain_all))
    worker.start()
    fast = Invocation.objects.filter(webhook=quick, status="succeeded")
    until(lambda: fast.count() == 40)
    arrived = Counter(one.path for one in inbox.deliveries)
    slow.set()
    worker.join(30)

    assert arrived["/fast"] == 40
    # Only so many calls to one webhook are in flight.
    assert arrived["/slow"] == 8
    assert statuses() == {"succeeded": 80}


def _in_thread(function: Callable[[], object]) -> None:
    from django.db import connections

    try:
        function()
    finally:
        connections.close_all()


def test_webhooks_take_turns_where_threads_are_few(inbox: Inbox, configure: Any) -> None:
    """A thread goes on with the same webhook only while no other waits for a thread."""
    configure(CONCURRENCY=1, PER_WEBHOOK_CONCURRENCY=1)
    for name in "ab":
        make_webhook(url=inbox.url + name)
    make_event()
    # Those that have answered are known to be quick.
    drain_all()
    inbox.deliveries.clear()
    for _ in range(5):
        make_event()

    assert drain_all() == 10

    first, second = (one.path for one in inbox.deliveries[:2])
    assert first != second
    assert [one.path for one in inbox.deliveries] == [first, second] * 5


def test_the_present_configuration_is_used(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url + "old")
    with Drain() as engine:
        make_event()
        engine.run()
        webhook.url = inbox.url + "new"
        webhook.save()
        make_event()
        engine.run()
        engine.finish()

    paths = [one.path for one in inbox.deliveries]
    assert paths == ["/old", "/new"]


def test_the_present_configuration_is_used_for_what_is_held_already(inbox: Inbox) -> None:
    """Nothing else of the webhook is due, so nothing else tells that it was changed."""
    release = threading.Event()
    entered = calls_wait_for(inbox, release)
    webhook = make_webhook(url=inbox.url + "old")
    for _ in range(3):
        make_event(target_id="1")
    worker = threading.Thread(target=lambda: _in_thread(drain_all))
    worker.start()
    assert entered.wait(20)

    webhook.url = inbox.url + "new"
    webhook.save()
    # Held behind the first, claimed again and held again.
    claimed = Invocation.objects.filter(status="sending", claims=1)
    before = set(claimed.values_list("started_at", flat=True))
    until(lambda: claimed.exclude(started_at__in=before).count() == 2)
    release.set()
    worker.join(30)

    assert [one.path for one in inbox.deliveries] == ["/old", "/new", "/new"]


def test_a_webhook_switched_off_keeps_what_waits(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    make_event()
    webhook.active = False
    webhook.save()

    assert drain_all() == 0
    assert statuses() == {"pending": 1}

    webhook.active = True
    webhook.save()
    assert drain_all() == 1


def test_switched_off_a_webhook_keeps_what_no_thread_has_begun(
    inbox: Inbox, configure: Any
) -> None:
    """All threads are busy: what waits for one would be sent whenever one is free."""
    configure(CONCURRENCY=1)
    release = threading.Event()
    entered = calls_wait_for(inbox, release)
    for name in "ab":
        webhook = make_webhook(url=inbox.url + name)
        WebhookHealth.objects.create(webhook=webhook, last_success_at=timezone.now())
    make_event()
    make_event()
    worker = threading.Thread(target=lambda: _in_thread(drain_all))
    worker.start()
    assert entered.wait(20)

    Webhook.objects.update(active=False)
    until(lambda: statuses() == {"sending": 1, "pending": 3})
    release.set()
    worker.join(30)

    assert len(inbox.deliveries) == 1
    assert statuses() == {"succeeded": 1, "pending": 3}


def test_gone_stops_the_rest(inbox: Inbox, configure: Any) -> None:
    configure(PER_WEBHOOK_CONCURRENCY=1)
    inbox.answer = lambda delivery: Answer(status=410)
    webhook = make_webhook(url=inbox.url)
    for _ in range(300):
        make_event()

    drain_all()

    assert Webhook.objects.get(pk=webhook.pk).active is False
    assert len(inbox.deliveries) == 1
    assert statuses() == {"failed": 1, "pending": 299}


def test_a_request_to_wait_stops_the_rest(inbox: Inbox, configure: Any) -> None:
    configure(PER_WEBHOOK_CONCURRENCY=1)
    inbox.answer = lambda delivery: Answer(status=429, headers={"Retry-After": "3600"})
    make_webhook(url=inbox.url)
    for _ in range(300):
        make_event()

    drain_all()

    assert len(inbox.deliveries) == 1
    # What was not tried waits; what was tried has its next attempt.
    assert statuses() == {"failed": 1, "pending": 300}
    assert not is_due()


def test_what_waits_for_its_webhook_to_be_mended_is_not_overtaken(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first row stays pending, and the next one of its target could be sent already."""
    judged, answers = guard.judged_addresses, iter([BlockedAddressError("not public")])

    def judge(host: str, port: int, seconds: float) -> list[str]:
        for error in answers:
            raise error
        return judged(host, port, seconds)

    monkeypatch.setattr(guard, "judged_addresses", judge)
    make_webhook(url=inbox.url)
    for _ in range(3):
        make_event(target_id="1")

    drain_all()

    assert inbox.deliveries == []
    outcomes = Invocation.objects.order_by("id").values_list("status", "outcome")
    assert list(outcomes) == [("pending", "blocked_address"), ("pending", ""), ("pending", "")]


def test_a_rate_limit_is_kept(inbox: Inbox) -> None:
    make_webhook(url=inbox.url, max_per_minute=5)
    for _ in range(20):
        make_event()

    with Drain() as engine:
        engine.run(seconds=1)
        engine.finish()

    assert len(inbox.deliveries) == 5
    assert statuses() == {"succeeded": 5, "pending": 15}


def test_webhooks_do_not_share_connections(configure: Any, certificate: dict[str, str]) -> None:
    """Two webhooks of one host, each with a token of its own: no connection carries both."""
    seen: list[set[str]] = []

    def behave(connection: socket.socket, over: threading.Event) -> None:
        tokens: set[str] = set()
        seen.append(tokens)
        while head := read_request(connection):
            tokens.update(re.findall(r"Authorization: (\w+)", head.decode()))
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    context = tls_context(certificate["chain"], certificate["key"])
    with HostileServer(behave, context) as server:
        configure(
            ALLOWED_NETWORKS=["127.0.0.0/8"],
            ALLOWED_PORTS=[443, server.port],
            CA_FILE=certificate["ca"],
        )
        for token in ("one", "two"):
            make_webhook(url=server.url, headers={"Authorization": token})
        for _ in range(40):
            make_event()
        assert drain_all() == 80

    assert {frozenset(tokens) for tokens in seen} == {frozenset({"one"}), frozenset({"two"})}
    # Kept and used again: at most as many as there are calls at once.
    assert len(seen) <= 16


def test_leaving_gives_back_what_was_not_started(inbox: Inbox) -> None:
    entered, release = threading.Event(), threading.Event()

    def answer(delivery: Delivery) -> Answer:
        entered.set()
        release.wait(20)
        return Answer()

    inbox.answer = answer
    make_webhook(url=inbox.url)
    for _ in range(12):
        make_event()

    def keep(backlog: bool) -> bool:
        return not entered.wait(10)

    with Drain() as engine:
        engine.run(keep=keep)
        threading.Timer(0.2, release.set).start()
        engine.finish()

    assert statuses() == {"succeeded": 8, "pending": 4}
    assert set(Invocation.objects.values_list("claim_token", flat=True)) == {""}


def calls_wait_for(inbox: Inbox, release: threading.Event) -> threading.Event:
    """Set when the first call has come in."""
    entered = threading.Event()

    def answer(delivery: Delivery) -> Answer:
        entered.set()
        release.wait(20)
        return Answer()

    inbox.answer = answer
    return entered


def test_leaving_gives_back_what_waits_for_a_thread(inbox: Inbox, configure: Any) -> None:
    """Of several slow receivers: else leaving would last as long as all of them together."""
    configure(CONCURRENCY=1)
    release = threading.Event()
    entered = calls_wait_for(inbox, release)
    for name in "abc":
        make_webhook(url=inbox.url + name)
    make_event(target_id="1")
    make_event(target_id="1")

    with Drain() as engine:
        engine.run(seconds=0)
        assert entered.wait(20)
        threading.Timer(0.2, release.set).start()
        assert engine.finish() == 1

    assert len(inbox.deliveries) == 1
    assert statuses() == {"succeeded": 1, "pending": 5}
    assert set(Invocation.objects.values_list("claim_token", "claims", "status")) == {
        ("", 1, "succeeded"),
        ("", 0, "pending"),
    }


def test_a_drain_that_ends_by_an_error_starts_no_more_calls(inbox: Inbox, configure: Any) -> None:
    """Their results would be lost, and by then another worker may make them."""
    configure(CONCURRENCY=1)
    release = threading.Event()
    entered = calls_wait_for(inbox, release)
    for name in "abc":
        make_webhook(url=inbox.url + name)
    for _ in range(20):
        make_event()

    with pytest.raises(ZeroDivisionError), Drain() as engine:
        engine.run(seconds=0)
        assert entered.wait(20)
        raise ZeroDivisionError
    release.set()
    engine._calls.end(wait=True)

    assert len(inbox.deliveries) == 1


def test_what_a_dead_worker_held_is_sent_again(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    drain_all()
    make_invocation(webhook)
    claim.claim(webhook, 1, timezone.now(), "dead")
    Invocation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))

    # There is nothing else to do, and no lingering in which it could be noticed.
    assert drain_all() == 1

    row = Invocation.objects.get()
    assert (row.status, row.claims, row.attempt) == ("succeeded", 2, 1)
    assert "A worker stopped" in row.message


def test_a_row_that_killed_its_workers_is_ended_with_a_next_attempt(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    make_invocation(
        webhook,
        status="sending",
        claim_token="dead",
        claims=claim.MAX_CLAIMS,
        lease_until=timezone.now() - timedelta(seconds=1),
    )

    drain_all()

    first, second = Invocation.objects.order_by("attempt")
    assert (first.status, first.outcome) == ("failed", "error")
    assert "5 workers stopped" in first.message
    assert (second.status, second.attempt) == ("pending", 2)
    assert inbox.deliveries == []


def test_what_was_taken_for_lost_is_not_sent_twice_by_the_worker_that_has_it(
    inbox: Inbox,
) -> None:
    """It stood still for longer than its lease, another made the row due again, and it claims."""
    release = threading.Event()
    entered = calls_wait_for(inbox, release)
    make_webhook(url=inbox.url)
    make_event(target_id="")
    worker = threading.Thread(target=lambda: _in_thread(drain_all))
    worker.start()
    assert entered.wait(20)

    Invocation.objects.update(status="pending", claim_token="", lease_until=None)
    until(lambda: statuses() == {"sending": 1})
    release.set()
    worker.join(30)

    assert len(inbox.deliveries) == 1
    assert statuses() == {"succeeded": 1}


def test_leases_are_renewed_while_a_call_lasts(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drain, "_TEND_EVERY", 0.05)
    entered, release = threading.Event(), threading.Event()

    def answer(delivery: Delivery) -> Answer:
        entered.set()
        release.wait(20)
        return Answer()

    inbox.answer = answer
    held = [make_invocation(make_webhook(url=inbox.url)) for _ in range(2)]
    past = timezone.now() - timedelta(seconds=5)
    seen: list[Any] = []

    def keep(backlog: bool) -> bool:
        if entered.is_set() and not seen:
            Invocation.objects.update(lease_until=past)
            seen.append(past)
        elif seen:
            seen.extend(Invocation.objects.values_list("lease_until", flat=True))
            release.set()
        return True

    with CaptureQueriesContext(connection) as queries, Drain() as engine:
        engine.run(keep=keep)
        engine.finish()

    assert min(seen[1:3]) > timezone.now()
    assert statuses() == {"succeeded": 2}
    renewals = [
        one["sql"] for one in queries if re.search(r"SET \W?lease_until\W? = ", one["sql"])
    ]
    # Of all webhooks in one statement.
    assert any(all(f"{one.pk}" in text for one in held) for text in renewals), renewals


@pytest.mark.parametrize("key", ["SEND", "ENABLED"])
def test_nothing_is_sent_while_sending_is_off(inbox: Inbox, configure: Any, key: str) -> None:
    make_webhook(url=inbox.url)
    make_event()
    configure(**{key: False})

    assert drain_all() == 0
    assert not is_due()
    assert inbox.deliveries == []


def test_a_lost_secret_keeps_events_waiting_and_says_so(inbox: Inbox, settings: Any) -> None:
    webhook = make_webhook(url=inbox.url, headers={"Authorization": "Bearer canary"})
    make_event()
    settings.SECRET_KEY = "another one"

    drain_all()

    row = Invocation.objects.get()
    assert (row.status, row.outcome) == ("pending", "config")
    assert "type the URL again" in row.message
    assert inbox.deliveries == []

    webhook = Webhook.objects.get(pk=webhook.pk)
    webhook.url = inbox.url
    webhook.headers = {"Authorization": "Bearer typed again"}
    webhook.full_clean()
    webhook.save()
    drain_all()
    assert inbox.deliveries[0].headers["Authorization"] == "Bearer typed again"
    assert statuses() == {"succeeded": 1}


def test_a_rotated_key_with_its_fallback_delivers_on(inbox: Inbox, settings: Any) -> None:
    make_webhook(url=inbox.url, headers={"Authorization": "Bearer canary"})
    make_event()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one"

    drain_all()

    assert inbox.deliveries[0].headers["Authorization"] == "Bearer canary"


def test_events_of_a_target_arrive_in_order_from_two_workers(inbox: Inbox, configure: Any) -> None:
    """Eight calls in flight in each of two workers, answered in any order, one in ten refused."""
    configure(RETRY_DELAYS=[0.2])
    rng = random.Random(5)  # noqa: S311
    lock = threading.Lock()

    def answer(delivery: Delivery) -> Answer:
        with lock:
            wait, refused = rng.random() / 50, rng.random() < 0.1
        threading.Event().wait(wait)
        return Answer(status=500 if refused else 200)

    inbox.answer = answer
    make_webhook(url=inbox.url)
    order: dict[str, list[str]] = {}
    for number in range(240):
        target = str(rng.choice([1, 1, 1, 2, 3, number]))
        event = make_event(target_id=target)
        order.setdefault(target, []).append(event.event_id.replace("-", ""))

    workers = [threading.Thread(target=lambda: _in_thread(drain_all)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)

    first_attempts = [
        one.headers["webhook-id"].split("_")[1]
        for one in inbox.deliveries
        if one.headers["webhook-attempt"] == "1"
    ]
    assert len(first_attempts) == 240
    for expected in order.values():
        assert [one for one in first_attempts if one in set(expected)] == expected


def test_a_busy_target_does_not_hold_up_another(inbox: Inbox) -> None:
    over = threading.Event()

    def answer(delivery: Delivery) -> Answer:
        if b"busy" in delivery.body:
            over.wait(20)
        return Answer()

    inbox.answer = answer
    make_webhook(url=inbox.url, body_template='{"of": "{{data.target_name}}"}')
    busy = json.loads(make_event(fanned_out_at=timezone.now()).payload_text)
    busy["data"]["target_name"] = "busy"
    for _ in range(100):
        make_event(target_id="busy", payload_text=json.dumps(busy))
    other = make_event(target_id="other")

    worker = threading.Thread(target=lambda: _in_thread(drain_all))
    worker.start()
    until(lambda: Invocation.objects.filter(event=other, status="succeeded").exists())
    assert sum(b"busy" in one.body for one in inbox.deliveries) == 1
    over.set()
    worker.join(60)

    assert statuses() == {"succeeded": 101}


def test_an_open_breaker_lets_one_delivery_through_at_a_time(inbox: Inbox) -> None:
    webhook = make_webhook(url=inbox.url)
    ago = timezone.now() - timedelta(minutes=1)
    WebhookHealth.objects.create(
        webhook=webhook,
        outages=5,
        outage_since=ago,
        openings=1,
        paused_until=ago,
        pause_reason="breaker",
        paused_configuration=webhook.updated_at,
    )
    inbox.answers = [Answer(status=503)]
    for _ in range(20):
        make_event()

    assert drain_all() == 1
    paused_until = Webhook.objects.get(pk=webhook.pk).paused_until
    assert timedelta(seconds=10) < paused_until - timezone.now() <= timedelta(seconds=20)
    assert statuses() == {"failed": 1, "pending": 20}

    WebhookHealth.objects.update(paused_until=timezone.now())
    assert drain_all() == 19
    assert statuses() == {"failed": 1, "pending": 1, "succeeded": 19}


@pytest.mark.parametrize("step", ["store", "fan_out"])
def test_a_database_that_fails_for_a_moment_costs_no_result(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    whole = getattr(drain, step)
    failures = [
        OperationalError("deadlock"),
        InterfaceError("connection already closed"),
        IntegrityError("a webhook was deleted meanwhile"),
    ]

    def fail_at_first(*args: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return whole(*args, **options)

    monkeypatch.setattr(drain, step, fail_at_first)
    make_webhook(url=inbox.url)
    for _ in range(20):
        make_event()

    assert drain_all(linger=0.5) == 20

    assert failures == []
    assert len(inbox.deliveries) == 20
    assert statuses() == {"succeeded": 20}


def test_rows_of_a_claim_whose_answer_was_lost_are_not_overtaken(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows are claimed, and nobody knows: neither do they wait for the end of their lease, nor
    do later events of their object go first."""
    whole = claim.claim
    lost: list[Any] = []

    def claim_and_lose(*args: Any) -> Any:
        claimed = whole(*args)
        if not lost:
            lost.extend(claimed)
            make_event(target_id="1")
            raise OperationalError("server closed the connection unexpectedly")
        return claimed

    monkeypatch.setattr(claim, "claim", claim_and_lose)
    make_webhook(url=inbox.url)
    make_event(target_id="1")
    make_event(target_id="1")

    assert drain_all() == 3

    assert len(lost) == 2
    in_order = [event.event_id.replace("-", "") for event in Event.objects.order_by("pk")[1:]]
    assert [one.headers["webhook-id"].split("_")[1] for one in inbox.deliveries] == in_order
    assert set(Invocation.objects.values_list("status", "claims")) == {("succeeded", 1)}


def test_a_database_that_fails_while_leaving_costs_no_result(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    entered = calls_wait_for(inbox, release)
    whole = claim.give_back
    failures = [OperationalError("terminating connection due to administrator command")]

    def fail_once(*args: Any) -> None:
        if failures:
            raise failures.pop()
        whole(*args)

    monkeypatch.setattr(claim, "give_back", fail_once)
    make_webhook(url=inbox.url)
    for _ in range(12):
        make_event()

    with Drain() as engine:
        engine.run(seconds=0)
        assert entered.wait(20)
        release.set()
        made = engine.finish()

    assert failures == []
    assert made == len(inbox.deliveries)
    assert statuses() == {"succeeded": made, "pending": 12 - made}
    assert set(Invocation.objects.values_list("claim_token", flat=True)) == {""}


def test_a_change_does_not_wait_for_a_step_of_a_replay(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Counter[str]] = []

    def step() -> int:
        seen.append(statuses())
        return 0

    monkeypatch.setattr(drain.replay, "step", step)
    make_webhook(url=inbox.url)
    make_event()

    assert drain_all() == 1

    assert seen[0] == {"sending": 1}


def test_a_worker_that_is_called_does_not_ask_whether_there_are_events(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    make_event()

    with CaptureQueriesContext(connection) as queries:
        drain_all()

    first = next(one["sql"] for one in queries if "fanned_out_at" in one["sql"])
    # The events themselves, and not whether there are any.
    assert "event_type" in first


def test_a_database_that_stays_away_ends_the_run(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**options: bool) -> int:
        raise OperationalError("gone")

    monkeypatch.setattr(drain, "fan_out", fail)
    monkeypatch.setattr(drain, "_TROUBLE_SECONDS", 0.2)
    make_event()

    with pytest.raises(OperationalError, match="gone"):
        drain_all()


def test_many_dead_webhooks_leave_room_for_one_that_answers(inbox: Inbox, configure: Any) -> None:
    configure(CONCURRENCY=8, PER_WEBHOOK_CONCURRENCY=4)
    over = threading.Event()

    def answer(delivery: Delivery) -> Answer:
        if delivery.path != "/well":
            over.wait(20)
        return Answer()

    inbox.answer = answer
    for number in range(10):
        make_webhook(url=f"{inbox.url}dead-{number}")
    well = make_webhook(url=inbox.url + "well")
    WebhookHealth.objects.create(webhook=well, last_success_at=timezone.now())
    for _ in range(30):
        make_event()

    worker = threading.Thread(target=lambda: _in_thread(drain_all))
    worker.start()
    delivered = Invocation.objects.filter(webhook=well, status="succeeded")

    def hanging() -> Counter[str]:
        return Counter(one.path for one in list(inbox.deliveries) if one.path != "/well")

    until(lambda: delivered.count() == 30 and hanging().total() >= 4)
    calls = hanging()
    over.set()
    worker.join(60)

    # Half of the threads, and no dead one has two before another has one.
    assert sorted(calls.values()) == [1, 1, 1, 1]
    assert statuses() == {"succeeded": 330}


def test_one_that_takes_long_does_not_wait_for_those_that_hang(
    inbox: Inbox, configure: Any
) -> None:
    configure(CONCURRENCY=8, PER_WEBHOOK_CONCURRENCY=4)
    over = threading.Event()

    def answer(delivery: Delivery) -> Answer:
        if delivery.path != "/late":
            over.wait(20)
        return Answer()

    inbox.answer = answer
    for number in range(10):
        dead = make_webhook(url=f"{inbox.url}dead-{number}")
        WebhookHealth.objects.create(webhook=dead, outages=1)
        make_invocation(dead)
        make_invocation(dead)

    def paths() -> list[str]:
        return [one.path for one in list(inbox.deliveries)]

    worker = threading.Thread(target=lambda: _in_thread(drain_all))
    worker.start()
    until(lambda: len(paths()) == 2)
    # It has never been called, so it may take long.
    late = make_webhook(url=inbox.url + "late")
    for _ in range(30):
        make_invocation(late)
    delivered = Invocation.objects.filter(webhook=late, status="succeeded")
    until(lambda: delivered.count() == 30)
    hanging = [path for path in paths() if path != "/late"]
    over.set()
    worker.join(60)

    # A quarter of the threads.
    assert len(hanging) == 2
    assert statuses() == {"succeeded": 50}


def test_a_receiver_that_fails_at_once_rests_between_its_calls(
    inbox: Inbox, configure: Any
) -> None:
    configure(PER_WEBHOOK_CONCURRENCY=1)
    inbox.answer = lambda delivery: Answer(status=500)
    webhook = make_webhook(url=inbox.url)
    for _ in range(60):
        make_invocation(webhook)

    with Drain() as engine:
        engine.run(seconds=2)
        engine.finish()

    # All of them would have been called, 60 calls take a fifth of a second.
    assert 5 <= len(inbox.deliveries) < 20


def test_an_answer_ends_the_rests(inbox: Inbox) -> None:
    lane = Lane(make_webhook(url=inbox.url), is_slow=False, is_failing=False)
    row = make_invocation(lane.webhook)
    lane.take([row])
    for _ in range(4):
        lane.judge(row, _result(Outcome.CONNECTION))
    assert lane.may_start

    lane.judge(row, _result(Outcome.SUCCESS))
    for _ in range(4):
        lane.judge(row, _result(Outcome.CONNECTION))
    assert lane.may_start

    lane.judge(row, _result(Outcome.CONNECTION))
    assert not lane.may_start
    assert lane.room() == 0


def _result(outcome: Outcome) -> Result:
    now = timezone.now()
    return Result(outcome=outcome, message="", started_at=now, finished_at=now)

"""``webhooks/{id}/replay/``: count, start, watch, cancel."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import timezone
from rest_framework.test import APIClient

from auditwebhooks.delivery import replay
from auditwebhooks.models import Event, Invocation, Replay, Webhook
from tests.factories import make_event, make_invocation, make_webhook, someone

pytestmark = pytest.mark.django_db


def url_of(webhook: Webhook, rest: str = "") -> str:
    return f"/api/audit/webhooks/{webhook.pk}/replay/{rest}"


def ago(**span: float) -> str:
    return (timezone.now() - timedelta(**span)).isoformat()


def asked(**overrides: Any) -> dict[str, Any]:
    return {"since": ago(hours=1), "event_types": ["testapp.*"], **overrides}


def old_events(number: int) -> list[Event]:
    return [make_event(fanned_out_at=timezone.now()) for _ in range(number)]


def test_a_dry_run_counts_and_does_nothing() -> None:
    old_events(3)
    webhook = make_webhook()

    answer = someone("resend_invocation").post(url_of(webhook), asked(dry_run=True), format="json")

    assert (answer.status_code, answer.json()) == (200, {"count": 3})
    assert not Replay.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_replay_is_accepted_and_made_by_the_worker() -> None:
    old_events(3)
    webhook = make_webhook()
    client = someone("resend_invocation")
    until = timezone.now()

    answer = client.post(
        url_of(webhook), asked(until=until.isoformat(), only_failed=True), format="json"
    )

    assert answer.status_code == 202, answer.json()
    made = Replay.objects.get()
    assert answer.json()["id"] == made.pk
    assert (answer.json()["count"], answer.json()["status"]) == (3, "running")
    assert (made.until, made.event_types, made.only_failed) == (until, ["testapp.*"], True)
    assert made.requested_by == "resend_invocation"
    assert not Invocation.objects.exists()
    assert LogEntry.objects.get().change_message == "Started."

    replay.step()
    [listed] = client.get(url_of(webhook)).json()["results"]
    assert (listed["id"], listed["status"], listed["queued"]) == (made.pk, "finished", 3)
    row = someone("view_invocation").get("/api/audit/invocations/").json()["results"][0]
    assert (row["trigger"], row["replay"]) == ("replay", made.pk)


def test_until_is_now_at_most() -> None:
    webhook = make_webhook()
    client = someone("resend_invocation")
    for until in (None, "2999-01-01T00:00:00Z"):
        client.post(url_of(webhook), asked(until=until), format="json")

    assert all(one.until <= timezone.now() for one in Replay.objects.all())
    assert Replay.objects.count() == 2


@pytest.mark.parametrize(
    ("given", "field", "words"),
    [
        ({"since": None}, "since", "null"),
        ({"since": "soon"}, "since", "wrong format"),
        ({"since": "2999-01-01T00:00:00Z"}, "since", "in the past"),
        ({"until": "2020-01-01T00:00:00Z"}, "since", "before until"),
        ({"until": "never"}, "until", "wrong format"),
        ({"event_types": ["a b"]}, "event_types", "no event type"),
        ({"event_types": "testapp.*"}, "event_types", "list of event types"),
        ({"only_failed": "perhaps"}, "only_failed", "boolean"),
        ({"dry_run": 7}, "dry_run", "boolean"),
        ({"dry_run": "false"}, "dry_run", "boolean"),
        ({"since": 5}, "since", "wrong format"),
        ({"colour": "red"}, "colour", "no such field"),
    ],
)
def test_a_bad_value_is_answered_with_its_field(
    given: dict[str, Any], field: str, words: str
) -> None:
    answer = someone("resend_invocation").post(
        url_of(make_webhook()), asked(**given), format="json"
    )

    assert answer.status_code == 400
    assert list(answer.json()) == [field]
    assert words in " ".join(answer.json()[field])
    assert not Replay.objects.exists()


def test_since_is_required() -> None:
    answer = someone("resend_invocation").post(url_of(make_webhook()), {}, format="json")

    assert (answer.status_code, list(answer.json())) == (400, ["since"])


def test_a_replay_is_cancelled() -> None:
    old_events(3)
    webhook = make_webhook()
    client = someone("resend_invocation")
    made = client.post(url_of(webhook), asked(), format="json").json()
    replay.step()

    answer = client.post(url_of(webhook, f"{made['id']}/cancel/"))

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert set(Invocation.objects.values_list("outcome", flat=True)) == {"cancelled"}
    messages = LogEntry.objects.order_by("id").values_list("change_message", flat=True)
    assert list(messages) == ["Started.", "Cancelled."]
    again = client.post(url_of(webhook, f"{made['id']}/cancel/"), {"x": 1}, format="json")
    assert again.status_code == 400
    # It has ended, so nothing is done and nothing is noted.
    again = client.post(url_of(webhook, f"{made['id']}/cancel/"))
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    assert list(messages.all()) == ["Started.", "Cancelled."]


def test_a_replay_of_another_webhook_is_not_found() -> None:
    webhook, other = make_webhook(), make_webhook()
    client = someone("resend_invocation")
    made = client.post(url_of(webhook), asked(), format="json").json()

    assert client.get(url_of(other)).json()["results"] == []
    assert client.post(url_of(other, f"{made['id']}/cancel/")).status_code == 404
    assert client.post(url_of(webhook, "999999999/cancel/")).status_code == 404
    assert Replay.objects.get().status == "running"


@pytest.mark.parametrize(
    ("permissions", "expected"),
    [
        (None, [{401, 403}] * 4),
        ((), [{403}] * 4),
        (("view_webhook", "change_webhook", "view_invocation"), [{403}] * 4),
        (("view_replay",), [{200}, {403}, {403}, {403}]),
        (("resend_invocation",), [{200}, {200}, {202}, {200}]),
    ],
    ids=["anonymous", "nobody", "editor", "viewer", "holder"],
)
def test_who_may_replay(permissions: tuple[str, ...] | None, expected: list[set[int]]) -> None:
    client = APIClient() if permissions is None else someone(*permissions)
    webhook = make_webhook()
    values = asked(since=timezone.now() - timedelta(hours=1))
    running = Replay.objects.create(
        webhook=webhook, webhook_name="x", since=timezone.now(), until=timezone.now()
    )
    answers = [
        client.get(url_of(webhook)),
        client.post(url_of(webhook), {**values, "dry_run": True}, format="json"),
        client.post(url_of(webhook), values, format="json"),
        client.post(url_of(webhook, f"{running.pk}/cancel/")),
    ]

    for answer, codes in zip(answers, expected, strict=True):
        assert answer.status_code in codes


def test_what_waits_is_not_counted() -> None:
    webhook = make_webhook()
    make_invocation(webhook)
    make_invocation(webhook, status="failed")

    answer = someone("resend_invocation").post(url_of(webhook), asked(dry_run=True), format="json")

    assert answer.json() == {"count": 1}

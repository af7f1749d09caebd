"""A change that a call of ours caused says so, and does not go round for ever."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from auditwebhooks.delivery.fanout import fan_out
from auditwebhooks.identifiers import message_id, new_test_id
from auditwebhooks.models import Event, Invocation, Webhook
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db


@pytest.fixture
def webhook() -> Webhook:
    return make_webhook()


def call(webhook: Webhook, event: Event, **overrides: Any) -> str:
    """The id of a call that was made with this event."""
    values = {"status": "sending", "started_at": timezone.now(), **overrides}
    make_invocation(webhook, event=event, **values)
    return message_id(event.event_id, webhook.pk)


def change(client: Client, webhook_id: str) -> Event:
    client.post("/change/", headers={"webhook-id": webhook_id})
    return Event.objects.filter(event_type="testapp.article.created").latest("id")


def test_a_change_in_a_call_of_ours_says_so(client: Client, webhook: Webhook) -> None:
    given = call(webhook, make_event())

    metadata = change(client, given).payload["data"]["metadata"]
    assert (metadata["caused_by"], metadata["caused_by_depth"]) == (given, 1)


def test_a_round_is_sent_three_times_and_recorded_on(client: Client, webhook: Webhook) -> None:
    event = make_event()
    depths, sent = [], []
    for _ in range(5):
        event = change(client, call(webhook, event))
        fan_out()
        depths.append(event.payload["data"]["metadata"]["caused_by_depth"])
        sent.append(Invocation.objects.filter(event=event).exists())

    assert depths == [1, 2, 3, 4, 5]
    assert sent == [True, True, True, False, False]


@pytest.mark.parametrize("known", ["", "msg_1", new_test_id(), message_id("0" * 32, uuid.uuid4())])
def test_ids_of_others_are_nothing_of_ours(client: Client, webhook: Webhook, known: str) -> None:
    event = change(client, known)
    assert "caused_by" not in event.payload["data"]["metadata"]
    assert event.fanned_out_at is None


def test_an_id_is_not_believed_long_after_its_call(client: Client, webhook: Webhook) -> None:
    started_at = timezone.now() - timedelta(hours=2)
    given = call(webhook, make_event(), started_at=started_at, status="succeeded")
    assert "caused_by" not in change(client, given).payload["data"]["metadata"]


def test_an_event_that_was_not_sent_causes_nothing(client: Client, webhook: Webhook) -> None:
    given = message_id(make_event().event_id, webhook.pk)
    assert "caused_by" not in change(client, given).payload["data"]["metadata"]


def test_only_an_id_of_ours_costs_a_query(client: Client, webhook: Webhook) -> None:
    counts = []
    for given in ("msg_1", call(webhook, make_event())):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            change(client, given)
        counts.append(sum("auditwebhooks_invocation" in one["sql"] for one in queries))
    assert counts == [0, 1]

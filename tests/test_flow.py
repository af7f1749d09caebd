"""The path of a change from end to end, in one process over real TLS."""

from __future__ import annotations

import io
import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from standardwebhooks import Webhook as StandardWebhook

from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.factories import SECRET, make_webhook
from tests.testapp.models import Article

pytestmark = pytest.mark.django_db(transaction=True)


def deliver() -> None:
    call_command("auditwebhooks_deliver", "--once", stdout=io.StringIO())


def test_a_change_by_a_user_arrives_signed_judged_and_recorded(
    inbox: Inbox, client: Client
) -> None:
    make_webhook(
        url=inbox.url,
        headers={"Authorization": "Bearer canary"},
        signing_secret=SECRET,
        response_validators=[{"json_path": "$.data.ok", "expected_values": ["true"]}],
        event_types=["testapp.article.*"],
    )
    ada = User.objects.create_user("ada", "ada@example.com")
    client.force_login(ada)
    client.post("/change/")
    deliver()

    [delivery] = inbox.deliveries
    body = StandardWebhook(SECRET).verify(delivery.body, dict(delivery.headers.items()))
    data = body["data"]
    assert body["event_type"] == "testapp.article.created"
    assert data["actor_id"] == "ada@example.com"
    assert data["source"] == "web application"
    assert data["target_name"] == "By a view"
    assert data["metadata"]["path"] == "/change/"
    assert data["previous_target_object"] is None
    assert data["current_target_object"]["title"] == "By a view"
    assert delivery.headers["Authorization"] == "Bearer canary"

    invocation = Invocation.objects.get()
    assert (invocation.status, invocation.outcome) == ("succeeded", "success")
    assert invocation.request_body.encode() == delivery.body
    assert invocation.request_headers["Authorization"] == "***"
    assert invocation.validation_results[0]["passed"] is True
    assert invocation.event.payload["event_id"].replace("-", "") in delivery.headers["webhook-id"]


def test_a_rollback_sends_nothing__django_webhook_23(inbox: Inbox) -> None:
    make_webhook(url=inbox.url)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Article.objects.create(title="Never")
        raise ZeroDivisionError
    deliver()

    assert inbox.deliveries == []


def test_large_events_arrive_and_their_bodies_are_kept(inbox: Inbox) -> None:
    """Together they are more than a packet of MariaDB."""
    make_webhook(url=inbox.url, event_types=["testapp.article.*"])
    for letter in "abc":
        Article.objects.create(title=letter, text=letter * 6_000_000)
    deliver()

    kept = Invocation.objects.filter(status="succeeded").values_list("request_body", flat=True)
    texts = {json.loads(body)["data"]["current_target_object"]["text"][0] for body in kept}
    assert texts == set("abc")
    assert len(inbox.deliveries) == 3
    assert sorted(map(len, kept)) == sorted(len(one.body) for one in inbox.deliveries)


def test_hostile_values_arrive_as_valid_json(inbox: Inbox) -> None:
    make_webhook(
        url=inbox.url, body_template='{"text": "It is {{data.target_name}}!", "{{event_type}}": 1}'
    )
    title = 'a "quote"\n\\ {{data.actor_id}} 🦊 </script>'
    Article.objects.create(title=title)
    deliver()

    [delivery] = inbox.deliveries
    assert json.loads(delivery.body) == {
        "text": f"It is {title}!",
        "testapp.article.created": 1,
    }


def test_a_project_without_time_zones_is_served_too(inbox: Inbox, settings: Any) -> None:
    settings.USE_TZ = False
    inbox.answers = [
        Answer(status=503, headers={"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}),
    ]
    webhook = make_webhook(url=inbox.url)
    Article.objects.create(title="Hello", published_at=datetime(2026, 5, 1, 12))
    deliver()

    first, second = Invocation.objects.order_by("attempt")
    assert (first.outcome, second.status) == ("http_status", "pending")
    assert timedelta(hours=23) < second.due_at - datetime.now() <= timedelta(hours=24)
    assert Webhook.objects.get(pk=webhook.pk).paused_until is not None
    payload = json.loads(inbox.deliveries[0].body)
    assert abs(float(payload["event_time"]) - time.time()) < 60
    published = payload["data"]["current_target_object"]["published_at"]
    assert published == "2026-05-01T12:00:00"

"""Data for the tests, by plain functions."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Permission, User
from django.utils import timezone
from rest_framework.test import APIClient

from auditwebhooks import signing
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.payload import sample

_numbers = itertools.count(1)

SECRET = signing.new_secret()


def make_webhook(**overrides: Any) -> Webhook:
    """A saved webhook that collects what comes after it, but not the event of its own making."""
    values = {
        "name": f"Webhook {next(_numbers)}",
        "url": "https://hooks.example.com/in",
        "event_types": ["testapp.*", "auth.*", "own.*"],
        **overrides,
    }
    webhook = Webhook(**values)
    webhook.full_clean()
    webhook.save()
    return webhook


def make_event(**overrides: Any) -> Event:
    """A recorded event, about a target of its own, that waits for its fan-out."""
    now: datetime = overrides.pop("created_at", timezone.now())
    payload = sample(int(now.timestamp() * 1_000_000) * 1000 + next(_numbers))
    values = {
        "event_id": payload.event_id,
        "event_type": "testapp.article.updated",
        "created_at": now,
        "action": payload.action,
        "actor_id": payload.actor_id,
        "actor_name": payload.actor_name,
        "actor_type": payload.actor_type,
        "source": payload.source,
        "target_type": payload.target_type,
        "target_id": str(next(_numbers)),
        "target_name": payload.target_name,
        "payload_text": payload.as_text(),
        **overrides,
    }
    event = Event(**values)
    event.save()
    return event


def make_invocation(webhook: Webhook, **overrides: Any) -> Invocation:
    """A pending first attempt that is due."""
    now = timezone.now()
    values = {
        "webhook": webhook,
        "webhook_name": webhook.name,
        "trigger": "event",
        "created_at": now,
        "due_at": now,
        **overrides,
    }
    if "event" not in values:
        values["event"] = make_event(fanned_out_at=now)
    return Invocation.objects.create(**values)


def someone(*permissions: str) -> APIClient:
    """A client of the API whose user has these permissions."""
    user = User.objects.create_user("-".join(permissions) or "nobody")
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = APIClient()
    client.force_authenticate(user)
    return client

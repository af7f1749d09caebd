"""The first attempt of a chain that somebody asked for: by hand, or by a replay."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable
from datetime import datetime

from django.db import connections
from django.utils.translation import gettext_noop

from auditwebhooks.enums import Trigger
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.rows import locked

RESTING = gettext_noop("The webhook is switched off: this waits until it is switched on.")


def first_attempt(
    webhook: Webhook,
    event_id: int,
    *,
    trigger: Trigger,
    now: datetime,
    replay_id: int | None = None,
    order_key: int | None = None,
) -> Invocation:
    """Pending, due now and not saved yet. It goes out under the ``webhook-id`` of every earlier
    delivery, which is made of event and webhook. ``order_key``: as ``line.order_key`` gives it,
    where it must not overtake others of its target."""
    return Invocation(
        webhook_id=webhook.pk,
        webhook_name=webhook.name,
        event_id=event_id,
        replay_id=replay_id,
        order_key=order_key,
        trigger=trigger,
        message="" if webhook.active else RESTING,
        created_at=now,
        due_at=now,
    )


def hold(event_ids: Iterable[int], using: str) -> set[int]:
    """Those of the events that are there, and stay until the transaction ends: else retention
    could take one away before its new attempt is committed."""
    rows = Event.objects.using(using).filter(pk__in=list(event_ids))
    return set(locked(rows, using).order_by("pk").values_list("pk", flat=True))


def hold_webhooks(ids: Collection[uuid.UUID], using: str) -> dict[uuid.UUID, Webhook]:
    """The same of webhooks, by key: a new row must not name one that is gone when it commits.

    Under the lock that the new row's key takes anyway, which Django knows no name of: that of an
    update would hold up who claims on PostgreSQL, and wait in a circle for a fan-out on MariaDB.
    """
    if not ids:
        return {}
    rows = Webhook.objects.using(using).filter(pk__in=ids)
    statement, params = rows.query.get_compiler(using).as_sql()
    lock = _KEY_LOCKS.get(connections[using].vendor, "")
    return {webhook.pk: webhook for webhook in rows.raw(f"{statement} {lock}", params)}


_KEY_LOCKS = {"postgresql": "FOR KEY SHARE", "mysql": "LOCK IN SHARE MODE"}

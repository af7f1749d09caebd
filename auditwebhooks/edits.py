"""Two people who edit one webhook: who of them was faster."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db import connections, router

from auditwebhooks.models import Event, Webhook
from auditwebhooks.rows import locked, take_write_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """A change that somebody else made. ``who``: empty where it was not recorded."""

    at: datetime
    who: str


def edit_since(pk: uuid.UUID, version: str) -> Edit | None:
    """The latest change of a webhook that was read with this version; None: there is none.

    Must run in the transaction that saves: the row stays locked until it ends.
    """
    using = router.db_for_write(Webhook)
    take_write_lock(connections[using], Webhook)
    rows = Webhook.objects.using(using).filter(pk=pk).only("updated_at")
    present: Webhook | None = locked(rows, using).first()
    if present is None or present.version == version:
        return None
    return Edit(at=present.updated_at, who=_editor(present))


def _editor(webhook: Webhook) -> str:
    changes = Event.objects.primary().filter(target_id=str(webhook.pk))
    # The event follows the change in its transaction.
    event = changes.filter(
        event_type="auditwebhooks.webhook.updated", created_at__gte=webhook.updated_at
    )
    latest = event.order_by("-id").only("actor_name", "actor_id").first()
    return "" if latest is None else latest.actor_name or latest.actor_id

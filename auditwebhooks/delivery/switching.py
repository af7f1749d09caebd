"""Webhooks that a person switches on and off."""

from __future__ import annotations

import uuid
from collections.abc import Collection

from django.db import connections, router, transaction

from auditwebhooks import wake
from auditwebhooks.models import Webhook
from auditwebhooks.rows import locked, take_write_lock


def switch(webhook_ids: Collection[uuid.UUID], *, active: bool) -> list[Webhook]:
    """Switch them on, or off; those that were not so already, by name.

    What the system had switched off and a person switches off collects no more.
    """
    using = router.db_for_write(Webhook)
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Webhook)
        # Always in the order of their keys: two people must not wait for each other.
        rows = Webhook.objects.using(using).filter(pk__in=webhook_ids).order_by("pk")
        switched = [one for one in locked(rows, using) if _switch(one, active, using)]
        if active and switched:
            wake.ring_after_commit(using)
    return sorted(switched, key=lambda webhook: webhook.name)


def _switch(webhook: Webhook, active: bool, using: str) -> bool:
    if webhook.active != active:
        webhook.active = active
        webhook.save(using=using, update_fields=["active"])
        return True
    if webhook.disabled_reason:
        webhook.switch_off_for_good()
        return True
    return False

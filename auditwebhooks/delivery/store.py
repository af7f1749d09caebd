"""Results become rows: one bulk statement for a batch, more where its bodies are large, and only
by those who still hold them."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from django.db import connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from auditwebhooks.delivery import health
from auditwebhooks.delivery.reschedule import Finished, settle
from auditwebhooks.enums import Status
from auditwebhooks.models import Invocation
from auditwebhooks.querysets import Among
from auditwebhooks.rows import locked, take_write_lock
from auditwebhooks.signals import invocation_finished
from auditwebhooks.statements import room_for_text, update_rows

# Of a row that waits for its webhook to be mended.
_WAITING = ("status", "outcome", "message", "started_at", "claim_token", "lease_until", "claims")
_ENDED = (
    *_WAITING,
    "request_method",
    "request_url",
    "request_headers",
    "request_body",
    "response_status",
    "response_headers",
    "response_body",
    "response_truncated",
    "validation_results",
    "duration_ms",
    "timings",
    "finished_at",
)


def store(finished: Sequence[Finished], token: str) -> set[uuid.UUID]:
    """Store what was claimed with this token; returns the webhooks that must not be called now.

    A row that was taken over meanwhile, or whose webhook is gone, is left to its new owner.
    """
    using = router.db_for_write(Invocation)
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Invocation)
        owned = _owned(finished, token, using)
        retries = []
        of_webhook: dict[uuid.UUID, list[Finished]] = defaultdict(list)
        for one in owned:
            following = settle(one)
            # Of a webhook that was deleted meanwhile only the row is left.
            if one.invocation.webhook_id is not None:
                of_webhook[one.webhook.pk].append(one)
                if following is not None:
                    retries.append(following)
        ended = [one.invocation for one in owned if one.invocation.status != Status.PENDING]
        for invocation in ended:
            _fit(invocation, connections[using])
        for some in _statements(ended):
            update_rows(some, _ENDED, using)
        waiting = [one.invocation for one in owned if one.invocation.status == Status.PENDING]
        update_rows(waiting, _WAITING, using)
        Invocation.objects.using(using).bulk_create(retries)
        verdicts = health.note(of_webhook, using)
    for one in owned:
        if one.invocation.status != Status.PENDING:
            invocation_finished.send_robust(sender=Invocation, invocation=one.invocation)
    off = {pk for pk, why in verdicts.hopeless.items() if health.switch_off(pk, why)}
    return verdicts.held | off


# Any database has room for this much.
_SMALL = 256 * 1024


def _fit(invocation: Invocation, connection: BaseDatabaseWrapper) -> None:
    """Of a body that is too long for a statement, since its template has a long value of the event
    several times, the beginning is stored. Else the attempt would be made again for ever."""
    if len(invocation.request_body) <= _SMALL:
        return
    room = room_for_text(connection)
    if room is not None:
        left = max(room - len(invocation.response_body.encode()), 0)
        invocation.request_body = invocation.request_body.encode()[:left].decode(errors="ignore")


# Of the bodies that go into one statement: MariaDB takes each as one packet, by default of 16 MB.
_MOST = 1024 * 1024


def _statements(invocations: Iterable[Invocation]) -> Iterator[list[Invocation]]:
    """All of them, in lists that a database takes with one statement."""
    some: list[Invocation] = []
    room = _MOST
    for one in invocations:
        length = len(one.request_body or "") + len(one.response_body or "")
        if some and length > room:
            yield some
            some, room = [], _MOST
        some.append(one)
        room -= length
    if some:
        yield some


def _owned(finished: Sequence[Finished], token: str, using: str) -> list[Finished]:
    """Those whose rows still carry the token, locked."""
    ids = [one.invocation.pk for one in finished]
    rows = Invocation.objects.using(using).filter(
        Among("pk", ids), claim_token=token, status=Status.SENDING
    )
    webhooks = dict(locked(rows, using).order_by("pk").values_list("pk", "webhook_id"))
    owned = [one for one in finished if one.invocation.pk in webhooks]
    for one in owned:
        one.invocation.webhook_id = webhooks[one.invocation.pk]
    return owned

"""A circuit breaker for each webhook: a receiver that fails is left alone, then tried with one
delivery at a time; what waits meanwhile spends no attempts. Reads no database.

Closed until enough failures without a success came over some time; then open, with pauses that
double. After each pause one row is the probe (``claim.begin_probe``): an answer closes the
breaker, another failure opens it for longer.
"""

from __future__ import annotations

from datetime import timedelta

from auditwebhooks.delivery.reschedule import Finished, Pause
from auditwebhooks.delivery.send import Result
from auditwebhooks.enums import Outcome, PauseReason, Status
from auditwebhooks.models import WebhookHealth
from auditwebhooks.retry import is_outage

# Opens after so many failures, the last of them so long after the first.
FAILURES = 5
OVER = timedelta(seconds=10)

# The first pause, and the longest: each is twice the one before.
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)

# What shows that the receiver is there.
_ANSWERS = frozenset({Outcome.SUCCESS, Outcome.HTTP_STATUS, Outcome.VALIDATION})


def note(health: WebhookHealth, finished: Finished) -> Pause | None:
    """Count a result; the pause that follows from it, if one does."""
    result = finished.result
    is_probe = health.probe_id == finished.invocation.pk
    if result.status == Status.SUCCEEDED:
        close(health)
    elif is_outage(result.outcome, result.response_status):
        health.outages += 1
        health.outage_since = health.outage_since or result.finished_at
        if is_probe or (not health.openings and _is_enough(health, result)):
            return _open(health, finished)
    elif is_probe and result.outcome in _ANSWERS:
        close(health)
    elif is_probe:
        # It was not sent, so another may be tried at once.
        health.probe_id = None
        health.paused_until = result.finished_at
    return None


def close(health: WebhookHealth) -> None:
    health.outages = health.openings = 0
    health.outage_since = health.probe_id = None
    if health.pause_reason == PauseReason.BREAKER:
        health.paused_until = None


def _is_enough(health: WebhookHealth, result: Result) -> bool:
    since = health.outage_since
    return health.outages >= FAILURES and since is not None and result.finished_at - since >= OVER


def _open(health: WebhookHealth, finished: Finished) -> Pause:
    pause = min(FIRST_PAUSE * 2 ** min(health.openings, 20), LONGEST_PAUSE)
    health.openings += 1
    health.probe_id = None
    if health.pause_reason == PauseReason.BREAKER:
        # The probe's own, which was longer.
        health.paused_until = None
    return Pause(
        until=finished.result.finished_at + pause,
        reason=PauseReason.BREAKER,
        configuration=finished.webhook.updated_at,
    )

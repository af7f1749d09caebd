"""What follows from a result: the row's end, the next attempt, and the state of the webhook.
Reads no database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from auditwebhooks.conf import conf
from auditwebhooks.delivery.send import Result
from auditwebhooks.enums import Outcome, PauseReason, Status, Trigger
from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.retry import GONE, NEEDS_MENDING, attempts_allowed, delay_before

# A webhook whose configuration must be mended is looked at again after this time: what DNS
# answers can change by itself.
_LOOK_AGAIN = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """An attempt that was made: its row, the configuration it used, and what it came to."""

    invocation: Invocation
    webhook: Webhook
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    until: datetime
    reason: PauseReason
    # ``updated_at`` of the configuration that was used.
    configuration: datetime


def settle(finished: Finished) -> Invocation | None:
    """Write the result into the row; the next attempt's row where there is one."""
    invocation, result = finished.invocation, finished.result
    invocation.claim_token = ""
    invocation.lease_until = None
    if result.outcome in NEEDS_MENDING:
        _wait_for_mending(invocation, result)
        return None
    repeated = invocation.claims > 1
    result.write_to(invocation)
    if repeated:
        invocation.message += " A worker stopped during an earlier try of this attempt."
    return _next_attempt(finished) if result.status == Status.FAILED else None


def _wait_for_mending(invocation: Invocation, result: Result) -> None:
    """Stays pending under its attempt number, and says why."""
    invocation.status = Status.PENDING
    invocation.outcome = result.outcome
    invocation.message = result.message
    invocation.started_at = None
    invocation.claims = 0


def _next_attempt(finished: Finished) -> Invocation | None:
    invocation, webhook, result = finished.invocation, finished.webhook, finished.result
    delays = conf.retry_delays
    allowed = attempts_allowed(
        result.outcome,
        result.response_status,
        delays=delays,
        max_attempts=webhook.max_attempts,
        retry_on_validation=webhook.retry_on_validation,
    )
    attempt = invocation.attempt + 1
    if attempt > allowed:
        return None
    wait = max(delay_before(attempt, delays), result.retry_after or timedelta(0))
    return Invocation(
        webhook_id=invocation.webhook_id,
        webhook_name=invocation.webhook_name,
        event_id=invocation.event_id,
        replay_id=invocation.replay_id,
        trigger=Trigger.RETRY,
        attempt=attempt,
        created_at=result.finished_at,
        due_at=result.finished_at + wait,
    )


def pause_of(finished: Finished) -> Pause | None:
    """Whether this result holds the whole webhook."""
    result, version = finished.result, finished.webhook.updated_at
    if result.outcome in NEEDS_MENDING:
        return Pause(
            until=result.finished_at + _LOOK_AGAIN,
            reason=PauseReason.CONFIGURATION,
            configuration=version,
        )
    if result.retry_after:
        return Pause(
            until=result.finished_at + result.retry_after,
            reason=PauseReason.RETRY_AFTER,
            configuration=version,
        )
    return None


def stops(result: Result) -> bool:
    """Whether the webhook must not be called again once the result is stored."""
    return bool(result.retry_after) or result.outcome in NEEDS_MENDING or disables(result)


def disables(result: Result) -> bool:
    """410 Gone: the receiver will not have this webhook any more."""
    return result.outcome == Outcome.HTTP_STATUS and result.response_status == GONE

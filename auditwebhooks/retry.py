"""When, if ever, a failed attempt is tried again. Pure: no database, no clock."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from auditwebhooks.enums import Outcome

# Added to every delay at random, so that a thousand failures do not come back at once.
JITTER = 0.1

# Attempts for an answer that another try will hardly change (other 4xx, and 3xx).
HOPELESS_ATTEMPTS = 3

# The longest Retry-After that is honoured.
MAX_RETRY_AFTER = timedelta(hours=24)

# Statuses that mean "later": 408 Request Timeout, 409 Conflict, 425 Too Early, 429 Too Many
# Requests (RFC 9110, RFC 8470, RFC 6585); with 5xx.
TOO_MANY_REQUESTS = 429
_LATER = frozenset({408, 409, 425, TOO_MANY_REQUESTS})
_ASKS_TO_WAIT = frozenset({TOO_MANY_REQUESTS, 503})
GONE = 410

_OUTAGES = frozenset({Outcome.TIMEOUT, Outcome.CONNECTION, Outcome.TLS, Outcome.DNS})
_RETRIED = _OUTAGES | {Outcome.ERROR}

# Nothing can be sent before a person mends the webhook: no attempt is counted.
NEEDS_MENDING = frozenset({Outcome.CONFIG, Outcome.INVALID_URL, Outcome.BLOCKED_ADDRESS})


def attempts_allowed(
    outcome: str,
    status: int | None,
    *,
    delays: Sequence[float],
    max_attempts: int | None = None,
    retry_on_validation: bool = False,
) -> int:
    """How many attempts a chain may have after one that ended so (at least 1)."""
    most = len(delays) + 1
    if max_attempts is not None:
        most = min(most, max_attempts)
    if outcome in _RETRIED:
        return most
    if outcome == Outcome.VALIDATION:
        return most if retry_on_validation else 1
    if outcome == Outcome.HTTP_STATUS and status is not None and status != GONE:
        later = status in _LATER or status >= 500
        return most if later else min(most, HOPELESS_ATTEMPTS)
    return 1


def is_outage(outcome: str, status: int | None) -> bool:
    """Whether the receiver, or the way to it, fails: what the circuit breaker counts."""
    if outcome == Outcome.HTTP_STATUS:
        return status is not None and (status == TOO_MANY_REQUESTS or status >= 500)
    return outcome in _OUTAGES


def delay_before(
    attempt: int, delays: Sequence[float], rng: random.Random | None = None
) -> timedelta:
    """The wait before attempt 2, 3, ... (``delays[attempt - 2]`` seconds) with its jitter."""
    jitter = (rng or random).random() * JITTER
    return timedelta(seconds=delays[attempt - 2] * (1 + jitter))


def retry_after(value: str | None, status: int | None, now: datetime) -> timedelta | None:
    """What a Retry-After field of a 429 or 503 asks for (RFC 9110, 10.2.3).

    Seconds or an HTTP date; at most 24 hours, never negative. None where it asks nothing.
    """
    if value is None or status not in _ASKS_TO_WAIT:
        return None
    wait = _seconds_or_date(value.strip(), now)
    if wait is None:
        return None
    return min(max(wait, timedelta(0)), MAX_RETRY_AFTER)


def _seconds_or_date(value: str, now: datetime) -> timedelta | None:
    if value.isascii() and value.isdigit():
        # Longer numbers than a timedelta holds are as good as the limit.
        return timedelta(seconds=int(value.lstrip("0")[:9] or 0))
    try:
        moment = parsedate_to_datetime(value)
    except (OverflowError, TypeError, ValueError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment - now

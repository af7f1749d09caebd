"""Counts of time that is over, kept in the host's default cache: the million rows of a busy day
are not counted anew at each look.

Kept are hours and, where an hour is not over, five minutes. They still get rows when they are
over: a transaction commits later than its events were made, a call ends later than it began, a
worker's clock is behind. So they are kept only some minutes after their end, and only for as long
as they were over by then: a row that came an hour late is missed for an hour at most. A cache that
fails or keeps nothing costs time, and nothing else.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from typing import NamedTuple

from django.core.cache import cache
from django.db import connections

HOUR = timedelta(hours=1)

# What of an hour is kept before it is over; it begins with the hour in every zone.
PART = timedelta(minutes=5)

# What ended less than so long ago is counted at each look.
UNSETTLED = timedelta(minutes=5)

# Seconds; nobody asks for older counts.
_TIMEOUT = 24 * 60 * 60

logger = logging.getLogger(__name__)

# Numbers of one span; those of two are added.
Count = tuple[int, ...]


class Span(NamedTuple):
    """From ``start`` until before ``end``."""

    start: datetime
    end: datetime

    def may_be_kept(self, now: datetime) -> bool:
        return self.end - self.start in (HOUR, PART) and now - self.end >= UNSETTLED


class _Kept(NamedTuple):
    numbers: Count
    # Seconds since the epoch.
    until: float


def counts(
    question: str,
    using: str,
    spans: Sequence[Span],
    now: datetime,
    ask: Callable[[Sequence[Span]], Sequence[Count]],
) -> list[Count]:
    """The numbers of each span. ``ask`` tells those of other spans, which make these up: of what
    is not kept.

    ``question``: names what is counted, with all that it depends on. ``using``: the alias of the
    database that is asked.
    """
    parts = [list(_parts(span, now)) for span in spans]
    key = _key(question, using)
    kept = {part: one for part, one in _read(key).items() if one.until > now.timestamp()}
    missing = [part for part in chain.from_iterable(parts) if part not in kept]
    asked = dict(zip(missing, ask(missing) if missing else (), strict=True))
    settled = {
        part: _Kept(numbers, (now + (now - part.end)).timestamp())
        for part, numbers in asked.items()
        if part.may_be_kept(now)
    }
    if settled:
        _write(key, kept | settled)
    return [
        _sum(asked[part] if part in asked else kept[part].numbers for part in some)
        for some in parts
    ]


def _parts(span: Span, now: datetime) -> Iterator[Span]:
    """An hour that may be kept stays whole; else what may be is cut off by the clock."""
    start, end = span
    if not (end - start == HOUR and span.may_be_kept(now)):
        cut = start + PART - timedelta(seconds=start.timestamp() % PART.total_seconds())
        while cut < end and now - cut >= UNSETTLED:
            yield Span(start, cut)
            start, cut = cut, cut + PART
    yield Span(start, end)


def _sum(some: Iterable[Count]) -> Count:
    return tuple(map(sum, zip(*some, strict=True)))


def _key(question: str, using: str) -> str:
    """Short and plain, as every cache takes it."""
    connection = connections[using]
    place = (connection.settings_dict[name] for name in ("HOST", "PORT", "NAME"))
    # Hosts with a schema for each tenant (django-tenants) say it there: the alias is the same.
    schema = getattr(connection, "schema_name", "")
    told = ":".join(map(str, (using, *place, schema, question)))
    return f"auditwebhooks-counts-{hashlib.sha256(told.encode()).hexdigest()}"


def _read(key: str) -> Mapping[Span, _Kept]:
    try:
        return cache.get(key) or {}
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        _warn(error)
        return {}


def _write(key: str, kept: Mapping[Span, _Kept]) -> None:
    try:
        cache.set(key, kept, _TIMEOUT)
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own
        _warn(error)


def _warn(error: Exception) -> None:
    # Not its text, which may hold an address with its password.
    logger.warning("Rows are counted anew, the cache failed (%s).", type(error).__name__)

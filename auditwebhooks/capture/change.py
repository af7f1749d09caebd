"""A change of one row: what it is recorded as, how the row stood before it, and its event, in the
transaction of the change.

A failure of ours is logged and the host's write goes on, unless the host asked for strictness.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from django.db import DatabaseError, models

from auditwebhooks.capture.recording import Draft
from auditwebhooks.capture.subject import Subject, nameless, write
from auditwebhooks.conf import conf
from auditwebhooks.context import current
from auditwebhooks.enums import Action
from auditwebhooks.registry import ModelClass
from auditwebhooks.rows import Fetched, read_row

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


def is_recording() -> bool:
    return conf.enabled and not current().paused


def harmless(function: Callable[P, T | None]) -> Callable[P, T | None]:
    """A failure of ours is logged and the host's write goes on, unless the host asked for
    strictness. A database error has broken the host's transaction already, so it is raised."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return function(*args, **kwargs)
        except DatabaseError:
            raise
        except Exception:
            if conf.strict:
                raise
            logger.exception("A change could not be recorded.")
            return None

    return guarded


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingChange:
    """A row that is about to be written: what it is recorded as, and how it stands now."""

    subject: Subject
    # As ``Subject.snapshot`` gives it; None: there is no row yet.
    before: Mapping[str, Any] | None = field(repr=False)
    # The write itself will tell ``before``.
    is_unread: bool = False
    # Its row was read together with others, and its event waits for theirs.
    is_batched: bool = False


@harmless
def with_before(change: PendingChange, row: Fetched | None) -> PendingChange | None:
    """``row``: how it stood; None: there was none."""
    before = None if row is None else change.subject.snapshot(row.values())
    return replace(change, before=before, is_unread=False)


def stored(subject: Subject, pk: Any, using: str) -> dict[str, Any] | None:
    row = read_row(subject.model, subject.attnames, pk, using)
    return None if row is None else subject.snapshot(row)


@dataclass(slots=True)
class Batch:
    """A delete of many rows: they were read together, and their events are written together."""

    # (recorded model, key) -> the row as ``Subject.snapshot`` gives it.
    stored: dict[tuple[ModelClass, Any], dict[str, Any]]
    drafts: list[Draft] = field(default_factory=list)
    # The delete whose receiver makes this one.
    outer: Batch | None = None


_batch: ContextVar[Batch | None] = ContextVar("auditwebhooks_batch", default=None)


def read_in_batch(model: ModelClass, pk: Any) -> dict[str, Any] | None:
    """How the row stood, as ``Subject.snapshot`` gives it, where it was read together with others:
    told once."""
    batch = _batch.get()
    return None if batch is None else batch.stored.pop((model, pk), None)


def forget(model: ModelClass, pk: Any) -> None:
    """A receiver of the host's wrote the row: what was read of it before is true no more."""
    batch = _batch.get()
    while batch is not None:
        batch.stored.pop((model, pk), None)
        batch = batch.outer


@contextmanager
def batched(batch: Batch) -> Iterator[None]:
    batch.outer = _batch.get()
    token = _batch.set(batch)
    try:
        yield
    finally:
        _batch.reset(token)


def write_change(
    tell: Callable[[], Draft | None],
    subject: Subject,
    action: Action,
    instance: models.Model,
    using: str,
    *,
    is_batched: bool = False,
) -> None:
    """Write what ``tell`` gives. Where that fails the event says what is known all the same."""
    try:
        drafted = tell()
    except DatabaseError:
        raise
    except Exception as error:
        if conf.strict:
            raise
        logger.exception("A change could not be recorded in full.")
        drafted = subject.draft(
            action.value,
            subject.key_of(instance),
            nameless(instance),
            metadata={"incomplete": type(error).__name__},
        )
    if drafted is None:
        return
    forget(subject.model, subject.key_of(instance))
    batch = _batch.get()
    if batch is not None and is_batched:
        batch.drafts.append(drafted)
        return
    write([drafted], using)

"""An Event row from what happened, who did it and where from; written in the transaction that it
belongs to, and a worker is woken after its commit."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from operator import attrgetter
from typing import Any, TypeVar

from django.conf import settings
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from auditwebhooks import wake
from auditwebhooks.capture import cuts
from auditwebhooks.capture.cause import Cause, cause_of
from auditwebhooks.capture.conversion import plain
from auditwebhooks.conf import conf
from auditwebhooks.context import Actor, actor_of, current, metadata_of, source_of
from auditwebhooks.enums import ActorType, Source
from auditwebhooks.masking import mask_tree
from auditwebhooks.models import Event
from auditwebhooks.models.event import COLUMN_LENGTH
from auditwebhooks.payload import JSONObject, Mould, Payload, new_event_id, time_text
from auditwebhooks.signals import event_recorded
from auditwebhooks.statements import Row, insert_rows, room_for_text
from auditwebhooks.storable import storable

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The object of an event, in words."""

    # None: the rows of a bulk write that cannot be told apart.
    id: str | None
    type: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event that is not written yet."""

    payload: Payload
    created_at: datetime
    # False: recorded only.
    is_sent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Who acts and where from, as events tell it."""

    actor: Actor
    source: str
    metadata: JSONObject
    # A call of this app that the change follows from.
    cause: Cause | None


def surroundings() -> Surroundings:
    """Of the present context. For many events at once it is asked for once."""
    here = current()
    missing: list[str] = []
    actor = _known("actor", lambda: actor_of(here), _UNKNOWN, missing)
    source = _known("source", lambda: source_of(here), Source.SHELL.value, missing)
    nothing: JSONObject = {}
    metadata = _known("metadata", lambda: _tidy(metadata_of(here, actor)), nothing, missing)
    cause = _known("caused_by", lambda: cause_of(here.request), None, missing)
    if cause is not None:
        caused = {"caused_by": cause.message_id, "caused_by_depth": cause.depth}
        metadata = {**metadata, **caused}
    if missing:
        metadata = {**metadata, "incomplete": missing}
    return Surroundings(actor=actor, source=source, metadata=metadata, cause=cause)


# Where the host's user object cannot tell who it is.
_UNKNOWN = Actor(id="unknown", name="unknown", type=ActorType.ANONYMOUS.value)


def _known(what: str, ask: Callable[[], T], otherwise: T, missing: list[str]) -> T:
    """A failure to find out costs this part of the event, not the event, unless the host asked
    for strictness. A database error has broken the host's transaction already."""
    try:
        return ask()
    except DatabaseError:
        raise
    except Exception:
        if conf.strict:
            raise
        logger.exception("The %s of a change could not be told.", what)
        missing.append(what)
        return otherwise


def draft(
    action: str,
    event_type: str,
    *,
    target: Target | None = None,
    current_object: JSONObject | None = None,
    previous_object: JSONObject | None = None,
    changed: Sequence[str] | None = None,
    metadata: Mapping[str, Any] | None = None,
    around: Surroundings | None = None,
) -> Draft:
    """What happened, with the actor, source and metadata of the present context.

    The objects must be masked already; ``metadata`` is masked here. ``changed``: the names of the
    fields that differ. ``around``: the context, where it was asked for before.
    """
    around = around or surroundings()
    now = time.time_ns()
    payload = Payload(
        event_id=new_event_id(now),
        event_type=event_type,
        event_time=time_text(now),
        action=action,
        actor_id=around.actor.id,
        actor_name=around.actor.name,
        actor_type=around.actor.type,
        source=around.source,
        target_id=target.id if target else None,
        target_type=target.type if target else None,
        target_name=target.name if target else None,
        metadata=_together(around.metadata, changed, metadata),
        current_target_object=current_object,
        previous_target_object=previous_object,
    )
    is_sent = around.cause is None or not around.cause.is_too_deep
    return Draft(payload=payload, created_at=_moment(now), is_sent=is_sent)


def _together(
    around: JSONObject, changed: Sequence[str] | None, metadata: Mapping[str, Any] | None
) -> JSONObject:
    if changed is not None:
        around = {**around, "changed_fields": changed}
    return {**around, **_tidy(metadata)} if metadata else around


def _tidy(metadata: Mapping[str, Any]) -> JSONObject:
    tidy: JSONObject = mask_tree(plain(metadata))
    return tidy


def _moment(nanoseconds: int) -> datetime:
    """As ``timezone.now()`` gives it: naive in the default zone where the host has USE_TZ off."""
    moment = datetime.fromtimestamp(nanoseconds // 1000 / 1e6, UTC)
    return moment if settings.USE_TZ else timezone.make_naive(moment)


def insert(drafted: Draft, using: str) -> Event:
    """Write one event, and ring when its transaction commits."""
    event = Event(**_values(drafted, connections[using]))
    event.save(using=using, force_insert=True)
    event_recorded.send_robust(sender=Event, event=event)
    wake.ring_after_commit(using)
    return event


def insert_all(drafts: Iterable[Draft], using: str) -> None:
    """Write events, and ring once when their transaction commits.

    The last of ``drafts`` may be made while the database stores the first: making one must not
    query, and must not fail.
    """
    if event_recorded.has_listeners(Event):
        # They are told of rows with their keys.
        for drafted in drafts:
            insert(drafted, using)
    elif insert_rows(Event, (_row(one, connections[using]) for one in drafts), using):
        wake.ring_after_commit(using)


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """What one event of many tells."""

    target_id: str
    target_name: str
    # Masked already.
    current: JSONObject


def insert_alike(common: Draft, objects: Iterable[Object], using: str) -> None:
    """``insert_all`` of events that are as ``common`` but for their object."""
    if event_recorded.has_listeners(Event):
        insert_all((_alike(common, one) for one in objects), using)
    elif insert_rows(Event, _rows_alike(common, objects, using), using):
        wake.ring_after_commit(using)


def _alike(common: Draft, one: Object) -> Draft:
    now = time.time_ns()
    payload = replace(
        common.payload,
        event_id=new_event_id(now),
        event_time=time_text(now),
        target_id=one.target_id,
        target_name=one.target_name,
        current_target_object=one.current,
    )
    return replace(common, payload=payload, created_at=_moment(now))


def _rows_alike(common: Draft, objects: Iterable[Object], using: str) -> Iterator[Row]:
    connection = connections[using]
    adapt = connection.ops.adapt_datetimefield_value
    mould, values = Mould(common.payload), _values(common, connection)
    is_sent = values["fanned_out_at"] is None
    for one in objects:
        now = time.time_ns()
        event_id, name = new_event_id(now), one.target_name
        text = mould.text(event_id, time_text(now), one.target_id, name, one.current)
        if not _all_fit((one.target_id, name)) or cuts.may_be_needed(text):
            yield _row(_alike(common, one), connection)
            continue
        created_at = adapt(_moment(now))
        values["event_id"], values["created_at"] = event_id, created_at
        values["target_id"], values["target_name"] = one.target_id, name
        values["payload_text"] = text
        values["fanned_out_at"] = None if is_sent else created_at
        yield tuple(values.values())


def _row(drafted: Draft, connection: BaseDatabaseWrapper) -> Row:
    """The columns' values as the database driver takes them."""
    values = _values(drafted, connection)
    created_at = connection.ops.adapt_datetimefield_value(values["created_at"])
    values["created_at"] = created_at
    values["fanned_out_at"] = values["fanned_out_at"] and created_at
    return tuple(values.values())


# The texts of a payload that stand in columns too, in the order of the model's fields.
_TEXTS = (
    "event_type",
    "action",
    "actor_id",
    "actor_name",
    "actor_type",
    "source",
    "target_type",
    "target_id",
    "target_name",
)
_texts_of = attrgetter(*_TEXTS)


def _values(drafted: Draft, connection: BaseDatabaseWrapper) -> dict[str, Any]:
    """Column of an event -> its value, in the order of the model's fields. Texts are made to
    fit; the payload keeps them whole."""
    payload = drafted.payload
    texts: dict[str, str | None] = dict(zip(_TEXTS, _texts_of(payload), strict=True))
    cut = {} if _all_fit(texts.values()) else _fit(texts)
    return {
        "event_id": payload.event_id,
        "event_type": texts.pop("event_type"),
        "created_at": drafted.created_at,
        **texts,
        "payload_text": cuts.text_of(payload, cut, partial(_room, connection)),
        # What is recorded while sending is off is sent by a replay only.
        "fanned_out_at": None if conf.send and drafted.is_sent else drafted.created_at,
    }


def _all_fit(texts: Collection[str | None]) -> bool:
    """What most are: short, and plain to see."""
    if None in texts:
        return False
    together = "".join(texts)  # type: ignore[arg-type]
    return together.isascii() and "\x00" not in together and len(together) <= COLUMN_LENGTH


def _fit(texts: dict[str, str | None]) -> dict[str, str]:
    """Make the texts fit; those that do not stand there whole now."""
    cut = {}
    for name, text in texts.items():
        if text is None:
            # Null only where there is no target that could be told.
            texts[name] = None if name == "target_id" else ""
            continue
        texts[name] = kept = storable(text)[:COLUMN_LENGTH]
        if kept != text:
            cut[name] = kept
    return cut


def _room(connection: BaseDatabaseWrapper) -> int:
    """How long the text of a payload, which is ASCII, may be: so long is the body that is sent."""
    room = room_for_text(connection)
    return cuts.MAX_LENGTH if room is None else min(cuts.MAX_LENGTH, room)

"""The payload of an event: one shape for templates, the API and the stored log. Knows no model."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from auditwebhooks.enums import Action, ActorType, Source
from auditwebhooks.templating.placeholders import Variables

JSONObject = Mapping[str, Any]

# The text is stored as ASCII: it fits every database, NUL and lone surrogates included.
_ENCODER = json.JSONEncoder(
    ensure_ascii=True, separators=(",", ":"), allow_nan=False, check_circular=False
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    event_id: str
    event_type: str
    # "{seconds}.{nanos}" since 1970, nine decimals.
    event_time: str
    action: str
    actor_id: str
    actor_name: str
    actor_type: str
    source: str
    target_id: str | None
    target_type: str | None
    target_name: str | None
    metadata: JSONObject
    current_target_object: JSONObject | None
    previous_target_object: JSONObject | None

    def as_dict(self) -> dict[str, Any]:
        return {
            "event_id": self.event_id,
            "event_type": self.event_type,
            "event_time": self.event_time,
            "data": {
                "timestamp": self.event_time,
                "action": self.action,
                "actor_id": self.actor_id,
                "actor_name": self.actor_name,
                "actor_type": self.actor_type,
                "source": self.source,
                "target_id": self.target_id,
                "target_type": self.target_type,
                "target_name": self.target_name,
                "metadata": self.metadata,
                "current_target_object": self.current_target_object,
                "previous_target_object": self.previous_target_object,
            },
        }

    def as_text(self) -> str:
        """The JSON text that is stored. Raises ValueError for what JSON cannot hold."""
        return json_text(self.as_dict())


class Mould:
    """Makes the texts of payloads that differ in their object only: their common parts are
    encoded once."""

    # In the order of the text.
    _FIELDS = ("event_id", "event_time", "target_id", "target_name", "current_target_object")

    def __init__(self, common: Payload) -> None:
        marks = {name: uuid.uuid4().hex for name in self._FIELDS}
        text = replace(common, **marks).as_text()  # type: ignore[arg-type]
        # The time stands there twice.
        self._parts = re.split("|".join(f'"{mark}"' for mark in marks.values()), text)

    def text(
        self,
        event_id: str,
        event_time: str,
        target_id: str | None,
        target_name: str,
        current_target_object: JSONObject,
    ) -> str:
        """As ``Payload.as_text`` gives it."""
        start, after_id, after_time, after_timestamp, after_target, after_name, end = self._parts
        return (
            f'{start}"{event_id}"{after_id}"{event_time}"{after_time}"{event_time}"'
            f"{after_timestamp}{json_text(target_id)}{after_target}{json_text(target_name)}"
            f"{after_name}{json_text(current_target_object)}{end}"
        )


def json_text(value: Any) -> str:
    """Compact and ASCII. Raises ValueError for what JSON cannot hold."""
    return _ENCODER.encode(value)


def new_event_id(nanoseconds: int) -> str:
    """A UUID version 7 (RFC 9562, 5.7) for a time in nanoseconds since 1970."""
    millis = f"{nanoseconds // 1_000_000 & 0xFFFF_FFFF_FFFF:012x}"
    random = _random.take()
    variant, digits = "89ab"[random[9] & 3], random.hex()
    return f"{millis[:8]}-{millis[8:]}-7{digits[:3]}-{variant}{digits[3:6]}-{digits[6:18]}"


class _Random:
    """Random bytes of the system, fetched for many ids at once: the call takes longer than all
    the rest of an id. A forked process must not give the same ones."""

    EACH = 10
    MANY = 100

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._parts.clear)

    def take(self) -> bytes:
        try:
            # One step, so that no two threads take the same.
            return self._parts.pop()
        except IndexError:
            fetched = os.urandom(self.EACH * self.MANY)
            parts = [fetched[at : at + self.EACH] for at in range(0, len(fetched), self.EACH)]
            self._parts.extend(parts[1:])
            return parts[0]


_random = _Random()


def time_text(nanoseconds: int) -> str:
    seconds, nanos = divmod(nanoseconds, 1_000_000_000)
    return f"{seconds}.{nanos:09d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadField:
    """One documented field: what the schema page, the API and the templates know of it."""

    path: str
    type: str
    meaning: Promise
    values: tuple[str, ...] = ()
    # Whatever is below it may be named in a template.
    open: bool = False
    # Of a text, in the words of JSON Schema.
    format: str = ""
    pattern: str = ""


_TIME = r"^\d+\.\d{9}$"


FIELDS: tuple[PayloadField, ...] = (
    PayloadField(
        path="event_id",
        type="string",
        meaning=_("UUID (version 7) of the event; never repeated"),
        format="uuid",
    ),
    PayloadField(
        path="event_type",
        type="string",
        meaning=_("app_label.model.created, .updated or .deleted, or the caller's own"),
    ),
    PayloadField(
        path="event_time",
        type="string",
        meaning=_("when it was recorded: seconds since 1970 with nine decimals"),
        pattern=_TIME,
    ),
    PayloadField(path="data", type="object", meaning=_("everything about the change")),
    PayloadField(
        path="data.timestamp", type="string", meaning=_("the same as event_time"), pattern=_TIME
    ),
    PayloadField(
        path="data.action",
        type="string",
        meaning=_("what was done, or the caller's own word"),
        values=tuple(Action.values),
    ),
    PayloadField(
        path="data.actor_id",
        type="string",
        meaning=_("e-mail address of the user, else user name, else primary key; system: nobody"),
    ),
    PayloadField(path="data.actor_name", type="string", meaning=_("full name of the actor")),
    PayloadField(
        path="data.actor_type",
        type="string",
        meaning=_("what kind of actor"),
        values=tuple(ActorType.values),
    ),
    PayloadField(
        path="data.source",
        type="string",
        meaning=_("where the change came from, or the host's own word"),
        values=tuple(Source.values),
    ),
    PayloadField(
        path="data.target_id",
        type="string or null",
        meaning=_("primary key of the object, as text"),
    ),
    PayloadField(
        path="data.target_type",
        type="string or null",
        meaning=_("what kind of object, in words"),
    ),
    PayloadField(path="data.target_name", type="string or null", meaning=_("the object in words")),
    PayloadField(
        path="data.metadata",
        type="object",
        meaning=_(
            "request_id, ip, user_agent, method and path of the request, actor_pk, "
            "impersonating: the user in whose place the actor acts, the changed_fields of an "
            "update, caused_by: the webhook-id of the call that it follows from, cut: the names "
            "of what is not whole, and what the host added"
        ),
        open=True,
    ),
    PayloadField(
        path="data.current_target_object",
        type="object or null",
        meaning=_("the fields of the object after the change; null after a delete"),
        open=True,
    ),
    PayloadField(
        path="data.previous_target_object",
        type="object or null",
        meaning=_("the fields of the object before the change; null for a create"),
        open=True,
    ),
)

# What a body template may name.
VARIABLES: Variables = tuple(
    name
    for field in FIELDS
    for name in ((field.path, f"{field.path}.*") if field.open else (field.path,))
)

# The example of the seed page.
DEFAULT_TEMPLATE = """{
    "event_type": "{{event_type}}",
    "event_time": "{{event_time}}",
    "data": {
        "timestamp": "{{data.timestamp}}",
        "action": "{{data.action}}",
        "actor_id": "{{data.actor_id}}",
        "actor_name": "{{data.actor_name}}",
        "actor_type": "{{data.actor_type}}",
        "source": "{{data.source}}",
        "target_id": "{{data.target_id}}",
        "target_type": "{{data.target_type}}",
        "target_name": "{{data.target_name}}",
        "metadata": "{{data.metadata}}",
        "current_target_object": "{{data.current_target_object}}",
        "previous_target_object": "{{data.previous_target_object}}"
    }
}"""


def sample(nanoseconds: int) -> Payload:
    """The mock event that Test sends."""
    return Payload(
        event_id=new_event_id(nanoseconds),
        event_type="access.accessflow.updated",
        event_time=time_text(nanoseconds),
        action=Action.UPDATE.value,
        actor_id="ada@example.com",
        actor_name="Ada Lovelace",
        actor_type=ActorType.USER.value,
        source=Source.WEB_APPLICATION.value,
        target_id="42",
        target_type="access flow",
        target_name="Prod DB read",
        metadata={
            "request_id": "4f8c2d0e9a7b4f6d8e1c3b5a7d9f0e2c",
            "ip": "203.0.113.7",
            "user_agent": "Mozilla/5.0",
            "method": "POST",
            "path": "/admin/access/accessflow/42/change/",
            "actor_pk": "1",
            "changed_fields": ["name"],
        },
        current_target_object={"id": 42, "name": "Prod DB read", "active": True},
        previous_target_object={"id": 42, "name": "Prod DB", "active": True},
    )

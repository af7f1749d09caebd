"""Takes a person out of a payload, and tells whether a stored text holds them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from auditwebhooks.delivery.scrub import SHORTEST, Scrubber
from auditwebhooks.masking import MASK
from auditwebhooks.storable import storable

# What tells of the actor wherever they were; ``metadata`` of their own events.
_OF_ACTOR = ("ip", "user_agent", "actor_pk")
# Who acted in another's name: hosts add it under keys such as "impersonator" or "hijacked_by".
_IMPERSONATION = ("imperson", "hijack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    # ``actor_id`` as it was recorded.
    id: str
    # The id, every recorded name, and what else is to be taken out.
    texts: frozenset[str]

    def acted_in(self, payload: Mapping[str, Any]) -> bool:
        return bool(payload["data"]["actor_id"] == self.id)


def erased(payload: Mapping[str, Any], person: Person) -> dict[str, Any]:
    """The payload with every string that is one of the person's texts as ``***``; where they
    acted, also what tells of them otherwise. Field names and keys of rows stay."""
    data = dict(payload["data"])
    texts = person.texts
    if person.acted_in(payload):
        texts |= {data["actor_name"]}
        data["actor_id"] = data["actor_name"] = MASK
        data["metadata"] = _without_traces(data["metadata"])
    for name in ("target_id", "target_name"):
        data[name] = _erased(data[name], texts)
    for name in ("metadata", "current_target_object", "previous_target_object"):
        data[name] = _erased_values(data[name], texts)
    return {**payload, "data": data}


@dataclass(frozen=True, slots=True, kw_only=True)
class Traces:
    """What tells of the actor beside id and name."""

    # Address, browser, whom they acted for: looked for inside of texts.
    texts: frozenset[str]
    # Keys of their record, which are short: they count as a whole only.
    keys: frozenset[str]


def traces(payload: Mapping[str, Any]) -> Traces:
    metadata = payload["data"]["metadata"]
    found = [metadata.get("ip"), metadata.get("user_agent")]
    found += [value for name, value in metadata.items() if _is_impersonation(name)]
    return Traces(
        texts=frozenset(one for one in _texts(found) if len(one) >= SHORTEST),
        keys=frozenset(_texts([metadata.get("actor_pk")])),
    )


def _without_traces(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: MASK
        if value is not None and (name in _OF_ACTOR or _is_impersonation(name))
        else value
        for name, value in metadata.items()
    }


def _is_impersonation(name: str) -> bool:
    return any(part in name.lower() for part in _IMPERSONATION)


def _erased_values(found: Mapping[str, Any] | None, texts: frozenset[str]) -> Any:
    """The first level has names of fields; only what is below it can have keys of a person."""
    if found is None:
        return None
    return {
        name: value if name == "changed_fields" else _erased(value, texts)
        for name, value in found.items()
    }


def _erased(value: Any, texts: frozenset[str]) -> Any:
    if isinstance(value, str):
        return MASK if value in texts else value
    if isinstance(value, list):
        return [_erased(item, texts) for item in value]
    if isinstance(value, dict):
        return {_erased(key, texts): _erased(item, texts) for key, item in value.items()}
    return value


class Finder:
    """Tells whether a stored text holds one of the texts, however JSON, HTML or URLs spell it,
    or, where it is JSON, a value that is one of the keys."""

    def __init__(self, texts: Iterable[str], keys: Iterable[str] = ()) -> None:
        # As they were recorded, and as they were sent and stored.
        known = {spelled for text in texts for spelled in (text, storable(text))} - {"", MASK}
        self._scrub = Scrubber(known)
        # The scrubber leaves these out; here too much is better than too little.
        self._short = [text for text in known if len(text) < SHORTEST]
        self._keys = frozenset(keys)

    def __call__(self, text: str, *, is_cut: bool = False) -> bool:
        return (
            self._scrub(text, is_cut=is_cut) != text
            or any(short in text for short in self._short)
            or self._has_key(text)
        )

    def without(self, value: Any) -> Any:
        """JSON data with each string that holds one as ``***``."""
        if isinstance(value, str):
            return MASK if self(value) else value
        if isinstance(value, list):
            return [self.without(item) for item in value]
        if isinstance(value, dict):
            return {name: self.without(item) for name, item in value.items()}
        return value

    def _has_key(self, text: str) -> bool:
        if not any(key in text for key in self._keys):
            return False
        try:
            return not self._keys.isdisjoint(_texts(json.loads(text)))
        except ValueError:
            return False
        except RecursionError:
            # Nested deeper than can be read: a receiver answers what it likes.
            return True


def _texts(value: Any) -> Iterator[str]:
    """Texts and numbers at any depth, as text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str | int) and not isinstance(value, bool) and value not in ("", MASK):
        yield str(value)


def as_json_text(text: str) -> str:
    """A text as it stands inside the stored payload."""
    return json.dumps(text)[1:-1]

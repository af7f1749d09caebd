"""What an event could not hold whole, and its ``metadata.cut``, which says so. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from auditwebhooks.capture.conversion import TOO_DEEP, TooDeep
from auditwebhooks.payload import JSONObject, Payload, json_text

# The longest stored text of a payload: workers hold many at once, and receivers refuse more.
MAX_LENGTH = 8 * 1024 * 1024

# Any database has room for this much.
_SMALL = 256 * 1024

_NAME_LENGTH = 255

# In the order in which they keep their values where there is no room for all.
_OBJECTS = ("metadata", "current_target_object", "previous_target_object")


def may_be_needed(text: str) -> bool:
    """Whether a payload of this text may have to be cut."""
    return TOO_DEEP in text or len(text) > _SMALL


def text_of(payload: Payload, names: Mapping[str, str], room: Callable[[], int]) -> str:
    """The JSON text to store, with ``metadata.cut`` where something is not whole.

    ``names``: texts of the payload that its columns do not hold whole -> what they hold.
    ``room``: how long the text may be; asked for only where it is long.
    """
    text = payload.as_text()
    cut = list(names)
    if TOO_DEEP in text:
        cut += _too_deep(payload)
    if len(text) > _SMALL and len(text) > (most := room()):
        payload, more = _shortened(replace(payload, **names), most)  # type: ignore[arg-type]
        cut += more
    return _telling(payload, cut).as_text() if cut else text


def _telling(payload: Payload, cut: list[str]) -> Payload:
    # A request's long texts are cut where they are read.
    known = payload.metadata.get("cut")
    paths = dict.fromkeys([*(known if isinstance(known, list) else []), *cut])
    return replace(payload, metadata={**payload.metadata, "cut": list(paths)})


def _values(payload: Payload) -> Iterator[tuple[str, str, Any]]:
    """Object, name and value."""
    for place in _OBJECTS:
        for name, value in (getattr(payload, place) or {}).items():
            yield place, name, value


def _too_deep(payload: Payload) -> list[str]:
    return [f"{place}.{name}" for place, name, value in _values(payload) if _is_too_deep(value)]


def _is_too_deep(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_too_deep, value.values()))
    if isinstance(value, list):
        return any(map(_is_too_deep, value))
    return isinstance(value, TooDeep)


def _shortened(payload: Payload, most: int) -> tuple[Payload, list[str]]:
    """The largest values by their length and digest, until the rest has room."""
    objects: dict[str, dict[str, Any]] = {
        place: dict(value) for place in _OBJECTS if (value := getattr(payload, place)) is not None
    }
    excess = len(payload.as_text()) - most
    cut = []
    for size, place, name in _largest(payload):
        if excess <= 0:
            break
        # A key is as long as a stranger's JSON makes it.
        short = name[:_NAME_LENGTH]
        objects[place][short] = _summary(objects[place][name])
        if short != name:
            del objects[place][name]
        cut.append(f"{place}.{short}")
        excess -= size - len(json_text({short: objects[place][short]})) - len(json_text(cut[-1]))
    if excess > 0:
        # More names than there is room for, which no model has.
        objects["metadata"] = {}
        cut = [*(one for one in cut if not one.startswith("metadata.")), "metadata"]
    return replace(payload, **objects), cut  # type: ignore[arg-type]


def _largest(payload: Payload) -> list[tuple[int, str, str]]:
    """Length, object and name of what is longer than the summary that would stand for it."""
    sizes = [
        (len(json_text({name: value})), place, name) for place, name, value in _values(payload)
    ]
    return sorted(
        (one for one in sizes if one[0] > _NAME_LENGTH + 512),
        key=lambda one: (-one[0], -_OBJECTS.index(one[1])),
    )


def _summary(value: Any) -> JSONObject:
    """Of a text itself, else of its compact JSON text, which is masked already."""
    text = value if isinstance(value, str) else json_text(value)
    content = text.encode("utf-8", "surrogatepass")
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}

"""A model's values as JSON data: typed, comparable, and masked before they are stored.

Takes values and fields as arguments; reads no database and no registry.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any

from django.db import models

from auditwebhooks.capture.conversion import (
    MAX_DEPTH,
    SAFE_INTEGER,
    AnyField,
    JSONValue,
    to_json,
)
from auditwebhooks.masking import MASK, mask_tree


def snapshot(fields: Iterable[AnyField], values: Mapping[str, Any]) -> dict[str, JSONValue]:
    """Field name -> JSON value, from raw values by attname. Not masked yet."""
    taken = {}
    for field in fields:
        value = values.get(field.attname)
        if value is not None and not (type(value) is str and type(field) in _TEXTS):
            quick = _quick(field, value)
            value = to_json(field, value) if quick is _UNUSUAL else quick
        taken[field.name] = value
    return taken


# What Django's own fields mostly hold takes a tenth of the time of ``to_json``, and is the same.
_UNUSUAL: Any = object()


def _quick(field: AnyField, value: Any) -> Any:
    # A host's own field, also one that inherits from Django's, may read values in its own way.
    convert = _QUICK.get(type(field))
    return _UNUSUAL if convert is None else convert(field, value)


def _quick_text(field: AnyField, value: Any) -> Any:
    return value if type(value) is str else _UNUSUAL


def _quick_flag(field: AnyField, value: Any) -> Any:
    return value if type(value) is bool else _UNUSUAL


def _quick_integer(field: AnyField, value: Any) -> Any:
    if type(value) is int and -SAFE_INTEGER < value < SAFE_INTEGER:
        return value
    return _UNUSUAL


def _quick_decimal(field: models.DecimalField[Any, Any], value: Any) -> Any:
    places: int | None = field.decimal_places
    if places is None:
        return _UNUSUAL
    if type(value) is int and -SAFE_INTEGER < value < SAFE_INTEGER:
        return f"{value}.{'0' * places}" if places else str(value)
    if type(value) is Decimal:
        exponent = value.as_tuple().exponent
        # A zero may be -0.
        if exponent == -places and (value or not value.is_signed()):
            return format(value, "f")
    return _UNUSUAL


def _quick_time(field: AnyField, value: Any) -> Any:
    if type(value) is datetime.datetime and value.tzinfo is datetime.UTC:
        return f"{value.isoformat()[:-6]}Z"
    return _UNUSUAL


def _quick_uuid(field: AnyField, value: Any) -> Any:
    return str(value) if type(value) is uuid.UUID else _UNUSUAL


def _quick_key(field: models.ForeignKey[Any, Any], value: Any) -> Any:
    return _quick(field.target_field, value)


def _quick_json(field: models.JSONField[Any, Any], value: Any) -> Any:
    return _UNUSUAL if field.encoder else _json_copy(value, 0)


def _json_copy(value: Any, depth: int) -> Any:
    """A copy of what is JSON data to begin with."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        return value if -SAFE_INTEGER < value < SAFE_INTEGER else _UNUSUAL
    if depth >= MAX_DEPTH:
        return _UNUSUAL
    if kind is list:
        items = []
        for item in value:
            copy = _json_copy(item, depth + 1)
            if copy is _UNUSUAL:
                # At once: a list that holds itself twice would be read for ever.
                return _UNUSUAL
            items.append(copy)
        return items
    if kind is dict:
        copied = {}
        for key, item in value.items():
            copy = _json_copy(item, depth + 1)
            if copy is _UNUSUAL or type(key) is not str:
                return _UNUSUAL
            copied[key] = copy
        return copied
    return _UNUSUAL


_TEXTS = frozenset(
    {models.CharField, models.EmailField, models.SlugField, models.TextField, models.URLField}
)
_QUICK: dict[type[AnyField], Callable[[Any, Any], Any]] = {
    **dict.fromkeys(_TEXTS, _quick_text),
    **dict.fromkeys(
        (models.AutoField, models.BigAutoField, models.BigIntegerField, models.IntegerField),
        _quick_integer,
    ),
    models.BooleanField: _quick_flag,
    models.DateTimeField: _quick_time,
    models.DecimalField: _quick_decimal,
    models.ForeignKey: _quick_key,
    models.JSONField: _quick_json,
    models.OneToOneField: _quick_key,
    models.UUIDField: _quick_uuid,
}


def changed_fields(
    fields: Iterable[AnyField],
    before: Mapping[str, JSONValue],
    after: Mapping[str, JSONValue],
) -> list[str]:
    """The names whose values differ; auto_now fields alone are no change."""
    changed = []
    for field in fields:
        name = field.name
        was, now = before[name], after[name]
        # None, and most texts: one that was not assigned is often the same object.
        if was is now or _same(was, now) or getattr(field, "auto_now", False):
            continue
        changed.append(name)
    return changed


def _same(one: JSONValue, other: JSONValue) -> bool:
    """Equal in value and JSON type: Python takes 1 and True for equal."""
    kind = type(one)
    if kind is not type(other):
        return isinstance(one, bool) == isinstance(other, bool) and one == other
    if kind is dict:
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if kind is list:
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def masked(values: Mapping[str, JSONValue], secret: Collection[str]) -> dict[str, JSONValue]:
    """The copy that may be stored: secrets are ``***`` at every depth.

    ``secret``: the fields whose whole value is one.
    """
    return {
        name: MASK
        if name in secret
        else mask_tree(value)
        if value.__class__ in _CONTAINERS
        else value
        for name, value in values.items()
    }


_CONTAINERS = frozenset({dict, list})

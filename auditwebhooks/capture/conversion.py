"""One value of a model's field as JSON data that every database and every reader accepts. Pure."""

from __future__ import annotations

import contextlib
import datetime
import enum
import hashlib
import json
import math
import uuid
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.files.base import File
from django.db import models
from django.utils import timezone
from django.utils.duration import duration_iso_string

from auditwebhooks.encryption import ProtectedText

if TYPE_CHECKING:
    AnyField = models.Field[Any, Any]
else:
    AnyField = models.Field
JSONValue = Any

# Larger integers are text: JavaScript and many JSON readers would round them.
SAFE_INTEGER = 2**53

# No database has decimals of more digits.
_WIDE = Context(prec=1000)

# Deeper data is cut: what reads it, the database included, would fail on it.
MAX_DEPTH = 60
TOO_DEEP = "(nested too deeply)"


class TooDeep(str):
    """Stands for data that is nested too deeply; still compared by what it stands for."""

    digest: str

    def __eq__(self, other: object) -> bool:
        if isinstance(other, TooDeep):
            return self.digest == other.digest
        return str(self) == other

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def to_json(field: AnyField, value: Any) -> JSONValue:
    """One concrete field's value, as it stands on an instance or came from the database."""
    if value is None:
        return None
    if isinstance(field, models.ForeignKey):
        return to_json(field.target_field, value)
    if isinstance(field, models.JSONField):
        return _json_field(field, value)
    if isinstance(field, models.BinaryField):
        return plain(bytes(value))
    return plain(_as_stored(field, _normal(field, value)))


def _as_stored(field: AnyField, value: Any) -> Any:
    """An object of the host's own as its field stores it. Its text may be anything: wagtail's
    streams would render the page."""
    if isinstance(value, _KNOWN):
        return value
    try:
        return field.get_prep_value(value)
    except Exception:  # noqa: BLE001 - a host's field may raise anything; the text serves
        return value


def _normal(field: AnyField, value: Any) -> Any:
    """The value as the field reads it, so that "5" and 5 are the same number."""
    try:
        value = field.to_python(value)
    except Exception:  # noqa: BLE001 - a host's field may raise anything; the raw value serves
        return value
    if isinstance(value, datetime.datetime) and isinstance(field, models.DateTimeField):
        if settings.USE_TZ and timezone.is_naive(value):
            # Django stores it so.
            value = timezone.make_aware(value, timezone.get_default_timezone())
        return value
    if isinstance(field, models.DecimalField) and isinstance(value, Decimal):
        return _quantized(value, field.decimal_places)
    return value


def _quantized(value: Decimal, places: int | None) -> Decimal:
    """0 and 0.00 are one value where the column has two decimal places."""
    if not value.is_finite() or places is None:
        return value
    exponent = Decimal(1).scaleb(-places)
    try:
        # Room for more digits than the default context has; "+ 0" makes -0 of it 0.
        return value.quantize(exponent, context=_WIDE) or abs(exponent * 0)
    except ArithmeticError:
        return value


def _json_field(field: models.JSONField[Any, Any], value: Any) -> JSONValue:
    """What the database will hold: tuples are lists, keys are text, the encoder has its say."""
    # Else as it stands, so that secrets in it are still found by their names.
    with contextlib.suppress(TypeError, ValueError, RecursionError):
        value = json.loads(json.dumps(value, cls=field.encoder))
    return plain(value)


def plain(value: Any, above: tuple[int, ...] = ()) -> JSONValue:
    """A Python value as JSON data that every database and reader accepts. ``above``: the ids of
    what it is in."""
    if isinstance(value, _CONTAINER_KINDS):
        if len(above) >= MAX_DEPTH or id(value) in above:
            return _too_deep(value)
        return _container(value, (*above, id(value)))
    for kinds, convert in _CONVERSIONS:
        if isinstance(value, kinds):
            return convert(value)
    return _text(value)


def _too_deep(value: Any) -> TooDeep:
    cut = TooDeep(TOO_DEEP)
    text = ""
    # Deeper still than Python can write, or part of itself: then all are the same.
    with contextlib.suppress(Exception):
        text = json.dumps(value, sort_keys=True, default=_text)
    cut.digest = hashlib.sha256(text.encode()).hexdigest()
    return cut


def _container(value: Any, above: tuple[int, ...]) -> JSONValue:
    if isinstance(value, Mapping):
        return {_text(key): plain(item, above) for key, item in value.items()}
    items = [plain(item, above) for item in value]
    if isinstance(value, set | frozenset):
        items.sort(key=lambda item: (str(item), type(item).__name__))
    return items


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a host's __str__ may raise anything
        return f"{type(value).__name__} object"


def _integer(value: int) -> int | str:
    if abs(value) <= SAFE_INTEGER:
        return value
    try:
        return str(value)
    except ValueError:
        return hex(value)


def _decimal(value: Decimal) -> str:
    exponent = value.as_tuple().exponent
    short = not isinstance(exponent, int) or abs(exponent) < 500
    return format(value, "f") if short else str(value)


def _float(value: float) -> float | str:
    # JSON has no NaN and no infinities.
    return value if math.isfinite(value) else str(value)


def _datetime(value: datetime.datetime) -> str:
    if timezone.is_aware(value):
        # At the ends of time there may be no UTC form.
        with contextlib.suppress(OverflowError):
            value = value.astimezone(datetime.UTC)
    return value.isoformat().replace("+00:00", "Z")


def _binary(value: bytes) -> dict[str, JSONValue]:
    return {"bytes": len(value), "sha256": hashlib.sha256(value).hexdigest()}


# In this order: a bool is an int, a datetime is a date, an enum may be a str.
_CONVERSIONS: tuple[tuple[Any, Callable[[Any], JSONValue]], ...] = (
    ((bool, type(None)), lambda value: value),
    (enum.Enum, lambda value: plain(value.value)),
    # They are still compared by what they carry.
    ((ProtectedText, TooDeep), lambda value: value),
    (str, str),
    (int, _integer),
    (float, _float),
    (Decimal, _decimal),
    (datetime.datetime, _datetime),
    ((datetime.date, datetime.time), lambda value: value.isoformat()),
    (datetime.timedelta, duration_iso_string),
    (uuid.UUID, str),
    (File, lambda value: value.name or ""),
    ((bytes, bytearray, memoryview), lambda value: _binary(bytes(value))),
)
_CONTAINER_KINDS = (Mapping, list, tuple, set, frozenset)
_KNOWN = (_CONTAINER_KINDS, *(kinds for kinds, _convert in _CONVERSIONS))

"""Response validators: is a 2xx response really a success? Pure and total:
any bytes give a verdict with one sentence for the operator, nothing raises.

    validator = Validator(json_path="$.data.ok", expected_values=("true",))
    validate(b'{"data": {"ok": true}}', [validator]).passed  # True
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from jsonpath_ng import Child, Descendants, Fields, Index, JSONPath, Parent, Root
from jsonpath_ng.ext import parser
from jsonpath_ng.ext.arithmetic import Operation
from jsonpath_ng.ext.filter import Expression
from jsonpath_ng.ext.iterable import SortedThis
from jsonpath_ng.ext.string import Sub

from auditwebhooks.exceptions import JSONPathError
from auditwebhooks.storable import storable

MAX_PATH_LENGTH = 500

# In so many values a path with wildcards is looked for; each takes up to 50 us, in which the
# worker does nothing else.
MOST_VALUES = 20_000

# How much of what was found is kept for the panel.
_FOUND_VALUES = 10
_FOUND_LENGTH = 200

# How a path that starts with $.data was read.
AS_WRITTEN = gettext_noop("as written")
BODY_AS_DATA = gettext_noop("$.data stands for the body")


@dataclass(frozen=True, slots=True, kw_only=True)
class Validator:
    """Every match of ``json_path`` must be one of ``expected_values``, and one must match."""

    json_path: str
    expected_values: tuple[str, ...]

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Validator:
        return cls(
            json_path=stored["json_path"],
            expected_values=tuple(stored["expected_values"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatorResult:
    """One validator's part of the verdict; ``as_dict`` is what an invocation stores."""

    json_path: str
    expected_values: list[str]
    found: list[str]
    passed: bool
    reading: str
    message: str

    def as_dict(self) -> dict[str, Any]:
        # dataclasses.asdict copies deeply, in ten times the time.
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    passed: bool
    # Of the first validator that failed; empty when all passed.
    message: str = ""
    results: tuple[ValidatorResult, ...] = ()


Redact = Callable[[str], str]


def validate(
    body: bytes,
    validators: Sequence[Validator],
    *,
    too_long: bool = False,
    redact: Redact = str,
) -> Verdict:
    """Judge a response body. ``too_long``: it went on after what was read for judging.
    ``redact``: takes secrets out of the values that the verdict shows, before they are cut."""
    if not validators:
        return Verdict(passed=True)
    if too_long:
        return _all_failed(validators, "the response is longer than 1 MiB")
    try:
        document = _DECODER.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):
        return _all_failed(validators, "the response is not JSON that can be read")
    # Each value takes two bytes at least.
    is_vast = len(body) > 2 * MOST_VALUES and _has_more_values(document, MOST_VALUES)
    results = tuple(_result(one, document, redact, is_vast=is_vast) for one in validators)
    failed = next((result for result in results if not result.passed), None)
    return Verdict(
        passed=failed is None, message=failed.message if failed else "", results=results
    )


def _no_constant(name: str) -> None:
    raise ValueError(name)


# json.loads would make one for each body.
_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _all_failed(validators: Iterable[Validator], why: str) -> Verdict:
    results = tuple(_failed(validator, AS_WRITTEN, why) for validator in validators)
    return Verdict(passed=False, message=results[0].message, results=results)


def _has_more_values(document: Any, most: int) -> bool:
    count, waiting = 0, [document]
    while waiting and count <= most:
        value = waiting.pop()
        if isinstance(value, dict | list):
            count += len(value)
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return count > most


class TooManyValuesError(Exception):
    pass


def _result(
    validator: Validator, document: Any, redact: Redact, *, is_vast: bool
) -> ValidatorResult:
    try:
        path = compile_path(validator.json_path)
    except JSONPathError as error:
        return _failed(validator, AS_WRITTEN, str(error))
    reading = AS_WRITTEN
    if _starts_with_data(path) and not (isinstance(document, dict) and "data" in document):
        document, reading = {"data": document}, BODY_AS_DATA
    try:
        if is_vast and not _is_direct(path):
            raise TooManyValuesError
        found, unexpected = _compared(path.find(document), validator.expected_values)
    except Exception as error:  # noqa: BLE001 - jsonpath-ng raises what Python raises
        why = f"the path cannot be followed in this response ({type(error).__name__})"
        return _failed(validator, reading, why)
    shown = [storable(redact(value)[:_FOUND_LENGTH]) for value in unexpected or found]
    if unexpected or not found:
        why = "found " + (", ".join(f'"{value}"' for value in shown) or "nothing")
        return _failed(validator, reading, why, shown)
    return ValidatorResult(
        json_path=validator.json_path,
        expected_values=list(validator.expected_values),
        found=shown,
        passed=True,
        reading=reading,
        message="",
    )


def _compared(matches: Iterable[Any], expected: Collection[str]) -> tuple[list[str], list[str]]:
    """Of the values those that are expected and those that are not, as many as are shown: the
    text of one may be a megabyte, and stand in a hundred others."""
    found: list[str] = []
    unexpected: list[str] = []
    for match in matches:
        value = as_expected(match.value)
        if value not in expected:
            unexpected.append(value)
            if len(unexpected) == _FOUND_VALUES:
                break
        elif len(found) < _FOUND_VALUES:
            found.append(value)
    return found, unexpected


def _failed(
    validator: Validator, reading: str, why: str, found: Sequence[str] = ()
) -> ValidatorResult:
    expected = " or ".join(f'"{value[:_FOUND_LENGTH]}"' for value in validator.expected_values)
    return ValidatorResult(
        json_path=validator.json_path,
        expected_values=list(validator.expected_values),
        found=list(found),
        passed=False,
        reading=reading,
        message=f"{validator.json_path}: expected {expected}, but {why}.",
    )


def as_expected(value: Any) -> str:
    """The text an expected value is compared with: strings as they are, other values as compact
    JSON text (``200``, ``true``, ``null``)."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=1024)
def compile_path(text: str) -> JSONPath:
    """A parsed JSONPath, remembered by text: parsing costs milliseconds.

    Raises JSONPathError with a sentence for the field.
    """
    if not text.startswith("$"):
        raise JSONPathError(_('A JSONPath starts with "$", for example $.data.ok'))
    if len(text) > MAX_PATH_LENGTH:
        raise JSONPathError(_("A JSONPath has at most %d characters.") % MAX_PATH_LENGTH)
    try:
        path = parser.parse(text)
    except Exception as error:  # noqa: BLE001 - its parser raises many unrelated types
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise JSONPathError(_("This is not a JSONPath: %s") % reason) from None
    _refuse_dangerous(path)
    return path


def _refuse_dangerous(path: JSONPath) -> None:
    """What lets a stranger's response keep a worker busy for minutes is refused."""
    nodes = list(_nodes(path))
    if any(isinstance(node, Expression) and node.op == "=~" for node in nodes):
        raise JSONPathError(
            _(
                'The operator "=~" is not allowed: a regular expression can take for ever. '
                "Compare with == or list the expected values."
            )
        )
    if any(isinstance(node, Sub) for node in nodes):
        raise JSONPathError(
            _(
                'The function "sub" is not allowed: a regular expression can take for ever. '
                "List the expected values instead."
            )
        )
    if any(isinstance(node, Parent | Operation) for node in nodes):
        raise JSONPathError(_("Arithmetic and `parent` are not allowed: they can take for ever."))
    if any(isinstance(node, SortedThis) and node.expressions for node in nodes):
        raise JSONPathError(_("Sorting by a path is not allowed: it can take for ever."))
    if sum(isinstance(node, Root) for node in nodes) > 1:
        raise JSONPathError(_('A JSONPath may use "$" once; write @ in filters.'))
    if sum(isinstance(node, Descendants) for node in nodes) > 1:
        raise JSONPathError(
            _('A JSONPath may use ".." once: more take too long on big responses.')
        )


def _nodes(node: Any) -> Iterator[Any]:
    """The node and all below it; jsonpath-ng keeps children in attributes and lists."""
    yield node
    children = vars(node).values() if isinstance(node, JSONPath | Expression) else ()
    for child in children:
        for item in child if isinstance(child, list | tuple) else (child,):
            if isinstance(item, JSONPath | Expression):
                yield from _nodes(item)


def _is_direct(path: Any) -> bool:
    """Names and numbers only: what else the response holds is not looked at."""
    return all(
        isinstance(node, Root | Child | Index)
        or (isinstance(node, Fields) and "*" not in node.fields)
        for node in _nodes(path)
    )


def _starts_with_data(path: Any) -> bool:
    while isinstance(path, Child | Descendants):
        if isinstance(path.left, Root):
            first = path.right
            is_child = isinstance(path, Child) and isinstance(first, Fields)
            return is_child and getattr(first, "fields", None) == ("data",)
        path = path.left
    return False

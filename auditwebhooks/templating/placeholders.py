"""Placeholders of body templates (``{{path|filter:argument}}``): read, checked, filled. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, NoReturn

from django.utils.translation import gettext as _

from auditwebhooks.templating.filters import FILTERS, as_json, as_text

# The paths a template may name. "a.*" allows every path below a: null where there is nothing.
Variables = tuple[str, ...]

Value = Any

_SEGMENT = re.compile(r'\[([^\]]+)\]|([^\s.|\[\]{}":]+)')
# Each doubles the escapes of the one before: thirty of them would take all memory there is.
_MOST_ENCODINGS = 2

_FILTER_NAME = re.compile(r"[A-Za-z_]\w*")
_SCALAR = json.JSONDecoder(parse_constant=lambda name: _no_constant(name))


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


class PlaceholderError(Exception):
    """What is wrong, and at which character of the string's content."""

    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(reason)
        self.offset = offset
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A filter with its argument, as one placeholder uses it."""

    function: Callable[[Value], Value]
    gives_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    path: tuple[str, ...]
    # The text of {{"..."}}, which has no path.
    literal: str | None
    filters: tuple[Applied, ...]
    # The string is exactly this placeholder: the value keeps its JSON type.
    whole: bool = False

    @property
    def is_plain(self) -> bool:
        return self.whole and bool(self.path) and not self.filters

    def text(self, payload: Value) -> str:
        value = self.literal if self.literal is not None else find(payload, self.path)
        for applied in self.filters:
            value = applied.function(value)
        if not self.whole:
            return encode_basestring(as_text(value))[1:-1]
        if self.filters and self.filters[-1].gives_text:
            value = as_text(value)
        return as_json(value)


def find(value: Value, path: tuple[str, ...]) -> Value:
    """The value below ``value`` at the path; None where there is nothing."""
    for name in path:
        if value.__class__ is dict:
            value = value.get(name)
        elif value.__class__ is list and name.isascii() and name.isdigit():
            # No list is so long; Python converts no integers of more than 4,300 digits.
            index = int(name) if len(name) < 19 else len(value)
            value = value[index] if index < len(value) else None
        else:
            return None
    return value


def read_placeholder(content: str, position: int, variables: Variables) -> tuple[Placeholder, int]:
    """The placeholder whose braces open at ``position``, and where the text goes on behind it.

    Raises PlaceholderError.
    """
    parser = _Parser(content, position, variables)
    return parser.placeholder(), parser.position


class _Parser:
    """Reads one placeholder of a string: ``path | filter:argument | ... }}``."""

    def __init__(self, content: str, opened: int, variables: Variables) -> None:
        self.content = content
        self.opened = opened
        self.position = opened + 2
        self.variables = variables
        self.encodings = 0

    def placeholder(self) -> Placeholder:
        self._space()
        path: tuple[str, ...] = ()
        literal = None
        if self._at('"'):
            literal = self._scalar("")
        else:
            path = self._path()
        filters = []
        self._space()
        while self._at("|"):
            self.position += 1
            self._space()
            filters.append(self._filter())
            self._space()
        if not self.content.startswith("}}", self.position):
            self._refuse_here()
        self.position += 2
        return Placeholder(path=path, literal=literal, filters=tuple(filters))

    def _path(self) -> tuple[str, ...]:
        begin = self.position
        path: list[str] = []
        while match := _SEGMENT.match(self.content, self.position):
            path.append(match[1] or match[2])
            self.position = match.end()
            if self._at("."):
                self.position += 1
            elif not self._at("["):
                break
        if not path or self.content[self.position - 1] == ".":
            self._refuse_here()
        self._check_variable(begin, tuple(path))
        return tuple(path)

    def _filter(self) -> Applied:
        begin = self.position
        match = _FILTER_NAME.match(self.content, begin)
        if match is None:
            self._refuse_here()
        name = match.group()
        known = FILTERS.get(name)
        if known is None:
            names = ", ".join(sorted(FILTERS))
            told = _('There is no filter "%(name)s". Known: %(names)s.')
            raise PlaceholderError(begin, told % {"name": name, "names": names})
        self.encodings += name == "json"
        if self.encodings > _MOST_ENCODINGS:
            raise PlaceholderError(begin, _('The filter "%s" stands here too often.') % name)
        self.position = match.end()
        argument, has_argument = self._argument(name)
        try:
            function = known.bind(name, argument, has_argument)
        except ValueError as error:
            raise PlaceholderError(begin, str(error)) from None
        return Applied(function=function, gives_text=known.gives_text)

    def _argument(self, name: str) -> tuple[Value, bool]:
        self._space()
        if not self._at(":"):
            return None, False
        self.position += 1
        self._space()
        return self._scalar(name), True

    def _scalar(self, name: str) -> Value:
        """``name``: the filter's whose argument it is; empty for the text of {{"..."}}."""
        try:
            value, end = _SCALAR.raw_decode(self.content, self.position)
        except (ValueError, RecursionError):
            told = (
                _('Expected an argument for "%s", written as JSON, such as "x" or 3.') % name
                if name
                else _('Expected text in quotes, written as JSON, such as "x".')
            )
            raise PlaceholderError(self.position, told) from None
        if isinstance(value, dict | list):
            told = _('Expected an argument for "%s": text, a number or a word.') % name
            raise PlaceholderError(self.position, told)
        self.position = end
        return value

    def _space(self) -> None:
        while self.content[self.position : self.position + 1].isspace():
            self.position += 1

    def _at(self, character: str) -> bool:
        return self.content.startswith(character, self.position)

    def _refuse_here(self) -> NoReturn:
        if "}}" not in self.content[self.opened :]:
            raise PlaceholderError(
                self.opened,
                _(
                    'The placeholder has no end. Close it with }}, or write {{\\"{{\\"}} '
                    "for the two braces themselves."
                ),
            )
        raise PlaceholderError(
            self.position,
            _(
                "A placeholder is a path with optional filters, such as "
                "{{data.actor_id}} or {{data.timestamp|iso}}."
            ),
        )

    def _check_variable(self, offset: int, path: tuple[str, ...]) -> None:
        known = self.variables
        for depth in range(1, len(path) + 1):
            prefix = ".".join(path[:depth])
            # "[a.b]" is one name, not a path; of names only "*" itself would read as a pattern.
            is_name = not {".", "*"} & set(path[depth - 1])
            if is_name and prefix + ".*" in known:
                return
            if not is_name or prefix not in known:
                parent = ".".join(path[: depth - 1])
                raise PlaceholderError(offset, _no_variable(prefix, parent, known))


def _no_variable(name: str, parent: str, known: Variables) -> str:
    told = (
        _('There is no variable "%(name)s". Known below "%(parent)s": %(names)s.')
        if parent
        else _('There is no variable "%(name)s". Known: %(names)s.')
    )
    names = ", ".join(_children(known, parent)) or _("nothing")
    return told % {"name": name, "parent": parent, "names": names}


def _children(variables: Variables, parent: str) -> list[str]:
    prefix = parent + "." if parent else ""
    below = (name[len(prefix) :] for name in variables if name.startswith(prefix))
    return [name for name in below if "." not in name]

"""Body templates: JSON text with ``{{placeholders}}`` in its strings.

The text is parsed as JSON first and placeholders live inside its strings, so no value can ever
break the document. ``compile_template`` does all the work once; ``Template.render`` only joins
ready pieces with encoded values. Pure: no database.

    template = compile_template('{"who": "{{data.actor_id}}"}', ("data.actor_id",))
    template.render({"data": {"actor_id": "ada"}})  # '{"who":"ada"}'
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import groupby
from json.encoder import encode_basestring
from operator import itemgetter
from typing import NoReturn

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from auditwebhooks.exceptions import TemplateSyntaxError
from auditwebhooks.templating.filters import as_json
from auditwebhooks.templating.placeholders import (
    Placeholder,
    PlaceholderError,
    Value,
    Variables,
    find,
    read_placeholder,
)

# After json.loads has accepted the text, its strings and structure are exactly these.
_LEXEME = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
# One character of a string's content: a surrogate pair is one, too.
_ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\.|.",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A compiled body template. An empty text means a request without a body."""

    # The JSON text around the placeholders, with an empty text in the place of each.
    skeleton: tuple[str, ...]
    # In the order of the placeholders; each gives the texts of one or more of them.
    producers: tuple[Callable[[Value], list[str]], ...]

    def render(self, payload: Mapping[str, Value]) -> str:
        """The JSON text for one event's payload; empty for the empty template.

        Raises TemplateRenderError where a filter cannot do its work on a value.
        """
        texts: list[str] = []
        for produce in self.producers:
            texts += produce(payload)
        whole = list(self.skeleton)
        whole[1::2] = texts
        return "".join(whole)


@lru_cache(maxsize=1024)
def compile_template(text: str, variables: Variables) -> Template:
    """Compile and remember by text; raises TemplateSyntaxError with line and column."""
    if not text.strip():
        return Template(skeleton=(), producers=())
    literals = [""]
    placeholders = []
    for piece in _pieces(text, variables):
        if isinstance(piece, str):
            literals[-1] += piece
        else:
            placeholders.append(piece)
            literals += ["", ""]
    return Template(skeleton=tuple(literals), producers=tuple(_producers(placeholders)))


def lexemes(text: str) -> list[re.Match[str]]:
    """The strings, words and signs of a JSON text. Raises TemplateSyntaxError for other text."""
    _check_json(text)
    return list(_LEXEME.finditer(text))


def _check_json(text: str) -> None:
    try:
        # Numbers stay text: they are sent as written, and Python converts no long ones.
        json.loads(text, parse_constant=_no_constant, parse_int=str, parse_float=str)
    except json.JSONDecodeError as error:
        unquoted = _first_unquoted(text, error.pos)
        if unquoted is not None:
            _refuse(text, unquoted, _("Put the placeholder in quotes; the type is kept."))
        _refuse(text, error.pos, _("This is not valid JSON: %s.") % _(error.msg))
    except _ConstantError as error:
        place = next(m.start() for m in _LEXEME.finditer(text) if m.group() == error.name)
        _refuse(text, place, _("%s is not JSON.") % error.name)
    except RecursionError:
        _refuse(text, 0, _("The template is nested too deeply."))


# What Python says is wrong with JSON; others of its words are shown as they are.
_JSON_ERRORS = (
    gettext_noop("Expecting value"),
    gettext_noop("Expecting property name enclosed in double quotes"),
    gettext_noop("Expecting ':' delimiter"),
    gettext_noop("Expecting ',' delimiter"),
    gettext_noop("Extra data"),
    gettext_noop("Illegal trailing comma before end of array"),
    gettext_noop("Illegal trailing comma before end of object"),
    gettext_noop("Invalid \\escape"),
    gettext_noop("Invalid \\uXXXX escape"),
    gettext_noop("Invalid control character at"),
    gettext_noop("Unterminated string starting at"),
)


class _ConstantError(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _no_constant(name: str) -> NoReturn:
    raise _ConstantError(name)


def _first_unquoted(text: str, error_at: int) -> int | None:
    """Where a placeholder outside a string begins, if that is what broke the JSON."""
    # The parser stops at the first brace or right behind it.
    for start in (error_at - 1, error_at):
        if start >= 0 and text.startswith("{{", start) and "}}" in text[start:]:
            return start
    return None


def _refuse(text: str, position: int, reason: str) -> NoReturn:
    before = text[: max(position, 0)]
    line = before.count("\n") + 1
    column = len(before) - (before.rfind("\n") + 1) + 1
    raise TemplateSyntaxError(reason, line, column)


def _pieces(text: str, variables: Variables) -> Iterator[str | Placeholder]:
    """Walk the lexemes; white space between them is not sent."""
    # The keys of each open object; None for an open list.
    keys: list[set[str] | None] = []
    found = lexemes(text)
    for number, match in enumerate(found):
        lexeme = match.group()
        if lexeme.startswith('"'):
            is_key = number + 1 < len(found) and found[number + 1].group() == ":"
            string = _String(text, match.start(), lexeme, variables)
            if is_key and (seen := keys[-1]) is not None:
                string.refuse_duplicate(seen)
            yield from string.pieces(is_key=is_key)
            continue
        if lexeme in "{[":
            keys.append(set() if lexeme == "{" else None)
        elif lexeme in "}]":
            keys.pop()
        yield lexeme


class _String:
    """One string of the template, taken apart into literals and placeholders."""

    def __init__(self, text: str, start: int, lexeme: str, variables: Variables) -> None:
        self.text = text
        self.start = start
        self.lexeme = lexeme
        self.content: str = json.loads(lexeme)
        self.variables = variables

    def refuse_duplicate(self, seen: set[str]) -> None:
        if self.content in seen:
            _refuse(self.text, self.start, _("The key %s stands here twice.") % self.lexeme)
        seen.add(self.content)

    def pieces(self, *, is_key: bool) -> Iterator[str | Placeholder]:
        parts = list(self._parts())
        if not is_key and len(parts) == 1 and isinstance(parts[0], Placeholder):
            yield replace(parts[0], whole=True)
            return
        yield '"'
        for part in parts:
            yield encode_basestring(part)[1:-1] if isinstance(part, str) else part
        yield '"'

    def _parts(self) -> Iterator[str | Placeholder]:
        position = 0
        while (opened := self.content.find("{{", position)) >= 0:
            if opened > position:
                yield self.content[position:opened]
            try:
                placeholder, position = read_placeholder(self.content, opened, self.variables)
            except PlaceholderError as error:
                self._refuse(error.offset, error.reason)
            yield placeholder
        if position < len(self.content):
            yield self.content[position:]

    def _refuse(self, offset: int, reason: str) -> NoReturn:
        """Refuse at a character of the decoded content, told as a place in the text."""
        raw = self.start + 1
        for count, match in enumerate(_ESCAPE.finditer(self.lexeme[1:-1])):
            if count == offset:
                break
            raw += len(match.group())
        _refuse(self.text, raw, reason)


def _producers(
    placeholders: Iterable[Placeholder],
) -> Iterator[Callable[[Value], list[str]]]:
    """Neighbours that are plain fields of one object are looked up together: on the seed's
    template that is twice as fast as one by one."""
    for (plain, parent), group in groupby(placeholders, lambda p: (p.is_plain, p.path[:-1])):
        if plain:
            yield _siblings(parent, [placeholder.path[-1] for placeholder in group])
        else:
            yield _each(tuple(group))


def _each(placeholders: tuple[Placeholder, ...]) -> Callable[[Value], list[str]]:
    return lambda payload: [placeholder.text(payload) for placeholder in placeholders]


def _siblings(parent: tuple[str, ...], names: list[str]) -> Callable[[Value], list[str]]:
    get = itemgetter(*names)
    get_all = get if len(names) > 1 else lambda above: (get(above),)

    def produce(payload: Value) -> list[str]:
        above = find(payload, parent)
        try:
            found = get_all(above)
        except (KeyError, TypeError):
            found = tuple(find(above, (name,)) for name in names)
        return [
            encode_basestring(value) if value.__class__ is str else as_json(value)
            for value in found
        ]

    return produce

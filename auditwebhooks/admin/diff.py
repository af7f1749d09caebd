"""Two JSON values, line by line: what went, what came, what stayed. Pure.

The lines are JSON without its commas; a text of several lines stands between triple quotes, as it
is. Whoever takes the lines of one side and puts the commas back has that side again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Sign(StrEnum):
    SAME = " "
    GONE = "-"
    NEW = "+"


class Kind(StrEnum):
    OPEN = "open"
    CLOSE = "close"
    VALUE = "value"
    # A line of a text.
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    sign: Sign
    kind: Kind
    depth: int
    text: str
    # Where it differs from its counterpart, [from, to); None: it has none.
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Lines that are shown, or folded away because nothing changed in them."""

    lines: tuple[Line, ...]
    is_folded: bool


# Of unchanged lines: so many stay beside a change, and fewer than those are not folded.
CONTEXT = 2
_FEWEST = 4

# Steps that may be spent on finding what two lists or texts have in common; what is left over
# then is told as gone and new.
BUDGET = 1_000_000

TEXT_QUOTES = '"""'

_BRACKETS = {dict: ("{", "}"), list: ("[", "]")}


def compare(previous: Any, current: Any) -> list[Line]:
    """Every line of both, in order."""
    return list(_Comparison().values("", previous, current, 0))


def whole(value: Any, sign: Sign = Sign.SAME) -> list[Line]:
    """One value by itself: all of it came, went, or stayed."""
    return list(_lines("", value, sign, 0))


def fold(lines: Sequence[Line]) -> list[Block]:
    """Unchanged lines are folded, but for those around a change and those that it stands in.
    Where nothing changed, nothing is folded."""
    shown = _shown(lines)
    parts: list[tuple[bool, list[Line]]] = []
    for is_shown, start, end in _runs(shown):
        is_folded = not is_shown and len(lines) > end - start >= _FEWEST
        if not parts or is_folded or parts[-1][0]:
            parts.append((is_folded, []))
        parts[-1][1].extend(lines[start:end])
    return [Block(lines=tuple(part), is_folded=is_folded) for is_folded, part in parts]


def _shown(lines: Sequence[Line]) -> list[bool]:
    shown = [False] * len(lines)
    for number, line in enumerate(lines):
        if line.sign != Sign.SAME:
            for near in range(max(number - CONTEXT, 0), min(number + CONTEXT + 1, len(lines))):
                shown[near] = True
    for start, end in _pairs(lines):
        if any(shown[start:end]):
            shown[start] = shown[end] = True
    return shown


def _pairs(lines: Sequence[Line]) -> Iterator[tuple[int, int]]:
    """Opening and closing lines that did not change, the innermost first."""
    opened: list[int] = []
    for number, line in enumerate(lines):
        if line.kind == Kind.OPEN:
            opened.append(number)
        elif line.kind == Kind.CLOSE:
            start = opened.pop()
            if line.sign == Sign.SAME:
                yield start, number


def _runs(shown: Sequence[bool]) -> Iterator[tuple[bool, int, int]]:
    start = 0
    for number in range(1, len(shown) + 1):
        if number == len(shown) or shown[number] != shown[start]:
            yield shown[start], start, number
            start = number


@dataclass(slots=True)
class _Comparison:
    left: int = field(default=BUDGET)

    def values(self, label: str, old: Any, new: Any, depth: int) -> Iterator[Line]:
        if isinstance(old, dict) and isinstance(new, dict) and (old or new):
            yield from self._inside(
                label, _BRACKETS[dict], depth, self._members(old, new, depth + 1)
            )
        elif isinstance(old, list) and isinstance(new, list) and (old or new):
            yield from self._inside(
                label, _BRACKETS[list], depth, self._items(old, new, depth + 1)
            )
        elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
            inner = self._text(old.split("\n"), new.split("\n"), depth + 1)
            yield from self._inside(label, (TEXT_QUOTES, TEXT_QUOTES), depth, inner)
        elif _key(old) == _key(new):
            yield from _lines(label, old, Sign.SAME, depth)
        else:
            gone = list(_lines(label, old, Sign.GONE, depth))
            yield from _beside(gone, list(_lines(label, new, Sign.NEW, depth)))

    def _inside(
        self, label: str, brackets: tuple[str, str], depth: int, inner: Iterator[Line]
    ) -> Iterator[Line]:
        yield _line(Sign.SAME, Kind.OPEN, depth, label + brackets[0])
        yield from inner
        yield _line(Sign.SAME, Kind.CLOSE, depth, brackets[1])

    def _members(self, old: dict[str, Any], new: dict[str, Any], depth: int) -> Iterator[Line]:
        for name in {**old, **new}:
            label = _label(name)
            if name not in new:
                yield from _lines(label, old[name], Sign.GONE, depth)
            elif name not in old:
                yield from _lines(label, new[name], Sign.NEW, depth)
            else:
                yield from self.values(label, old[name], new[name], depth)

    def _items(self, old: list[Any], new: list[Any], depth: int) -> Iterator[Line]:
        for olds, news in self._matched(old, new, [*map(_key, old)], [*map(_key, new)]):
            if len(olds) == len(news):
                for one, other in zip(olds, news, strict=True):
                    yield from self.values("", one, other, depth)
                continue
            for one in olds:
                yield from _lines("", one, Sign.GONE, depth)
            for one in news:
                yield from _lines("", one, Sign.NEW, depth)

    def _text(self, old: list[str], new: list[str], depth: int) -> Iterator[Line]:
        for olds, news in self._matched(old, new, old, new):
            if olds == news:
                yield from (_line(Sign.SAME, Kind.TEXT, depth, one) for one in olds)
                continue
            yield from _beside(
                [_line(Sign.GONE, Kind.TEXT, depth, one) for one in olds],
                [_line(Sign.NEW, Kind.TEXT, depth, one) for one in news],
            )

    def _matched(
        self, old: list[Any], new: list[Any], old_keys: list[str], new_keys: list[str]
    ) -> Iterator[tuple[list[Any], list[Any]]]:
        """Both in parts: one item of each that are the same, or what stands in each other's
        place."""
        start = _shared(old_keys, new_keys)
        end = _shared(old_keys[start:][::-1], new_keys[start:][::-1])
        common = self._common(
            old_keys[start : len(old) - end], new_keys[start : len(new) - end], start
        )
        kept = [
            *((number, number) for number in range(start)),
            *common,
            *((len(old) - number, len(new) - number) for number in range(end, 0, -1)),
        ]
        done_old = done_new = 0
        for at_old, at_new in [*kept, (len(old), len(new))]:
            if done_old < at_old or done_new < at_new:
                yield old[done_old:at_old], new[done_new:at_new]
            yield old[at_old : at_old + 1], new[at_new : at_new + 1]
            done_old, done_new = at_old + 1, at_new + 1

    def _common(
        self, old: Sequence[str], new: Sequence[str], offset: int
    ) -> Iterator[tuple[int, int]]:
        """Where both have the same: a longest common subsequence, while the budget lasts."""
        cost = len(old) * len(new)
        if not cost or cost > self.left:
            return
        self.left -= cost
        lengths = _common_lengths(old, new)
        at_old = at_new = 0
        while at_old < len(old) and at_new < len(new):
            if old[at_old] == new[at_new]:
                yield at_old + offset, at_new + offset
                at_old, at_new = at_old + 1, at_new + 1
            elif lengths[at_old + 1][at_new] >= lengths[at_old][at_new + 1]:
                at_old += 1
            else:
                at_new += 1


def _common_lengths(old: Sequence[str], new: Sequence[str]) -> list[list[int]]:
    """How many each pair of tails has in common."""
    rows = [[0] * (len(new) + 1)]
    for one in reversed(old):
        below, row = rows[-1], [0]
        for number in range(len(new) - 1, -1, -1):
            same = one == new[number]
            row.append(below[number + 1] + 1 if same else max(below[number], row[-1]))
        rows.append(row[::-1])
    return rows[::-1]


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of what both begin with."""
    number = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        number += 1
    return number


def _beside(gone: list[Line], new: list[Line]) -> Iterator[Line]:
    """What went before what came; lines that are each other's counterpart say where they
    differ."""
    if len(gone) == len(new):
        spans = [_spans(one.text, other.text) for one, other in zip(gone, new, strict=True)]
        gone = [_marked(one, span) for one, (span, _new) in zip(gone, spans, strict=True)]
        new = [_marked(one, span) for one, (_gone, span) in zip(new, spans, strict=True)]
    yield from gone
    yield from new


def _spans(one: str, other: str) -> tuple[tuple[int, int], tuple[int, int]]:
    start = _shared(one, other)
    end = _shared(one[start:][::-1], other[start:][::-1])
    return (start, len(one) - end), (start, len(other) - end)


def _marked(line: Line, span: tuple[int, int]) -> Line:
    return Line(sign=line.sign, kind=line.kind, depth=line.depth, text=line.text, span=span)


def _lines(label: str, value: Any, sign: Sign, depth: int) -> Iterator[Line]:
    if isinstance(value, dict | list) and value:
        opening, closing = _BRACKETS[type(value)]
        yield _line(sign, Kind.OPEN, depth, label + opening)
        items = value.items() if isinstance(value, dict) else ((None, one) for one in value)
        for name, one in items:
            yield from _lines("" if name is None else _label(name), one, sign, depth + 1)
        yield _line(sign, Kind.CLOSE, depth, closing)
    elif isinstance(value, str) and "\n" in value:
        yield _line(sign, Kind.OPEN, depth, label + TEXT_QUOTES)
        yield from (_line(sign, Kind.TEXT, depth + 1, one) for one in value.split("\n"))
        yield _line(sign, Kind.CLOSE, depth, TEXT_QUOTES)
    else:
        yield _line(sign, Kind.VALUE, depth, label + json.dumps(value, ensure_ascii=False))


def _line(sign: Sign, kind: Kind, depth: int, text: str) -> Line:
    return Line(sign=sign, kind=kind, depth=depth, text=text)


def _label(name: str) -> str:
    return f"{json.dumps(name, ensure_ascii=False)}: "


def _key(value: Any) -> str:
    """Equal for the same JSON only: in Python ``1 == True``."""
    return json.dumps(value, sort_keys=True)


# What would not be seen, or would turn the text around it: controls, directions of writing, and
# what has no width. Joiners are left: scripts and emoji need them.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)


def visible(text: str) -> str:
    """Characters that could deceive a reader, as their escapes."""
    return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)

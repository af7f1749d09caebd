"""An event's change as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from auditwebhooks.admin.diff import Block, Line, Sign, compare, fold, visible, whole
from auditwebhooks.enums import Action

# What a browser still shows at once; the recorded JSON has all of it.
MOST_LINES = 4000
# Characters of a line: before what differs in it, of that, and behind it.
_BEFORE, _DIFFERENT, _BEHIND = 500, 5000, 500

_WORDS = {Sign.SAME: "same", Sign.GONE: "gone", Sign.NEW: "new"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownLine:
    sign: str
    # Of its look: same, gone, new.
    word: str
    indent: str
    # Its text in three parts; the middle one is what differs from its counterpart.
    before: str
    different: str
    behind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownBlock:
    lines: list[ShownLine]
    is_folded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    blocks: list[ShownBlock]
    # Lines that are not shown.
    left_out: int


def changes_of(data: dict[str, Any]) -> Changes:
    """``data``: the payload's. An event of the host's own tells an object that did not change."""
    previous, current = data["previous_target_object"], data["current_target_object"]
    if previous is None and current is None:
        return Changes(blocks=[], left_out=0)
    if previous is None:
        lines = whole(current, Sign.NEW if data["action"] == Action.CREATE else Sign.SAME)
    elif current is None:
        lines = whole(previous, Sign.GONE if data["action"] == Action.DELETE else Sign.SAME)
    else:
        lines = compare(previous, current)
    return _shown(fold(lines))


def _shown(blocks: list[Block]) -> Changes:
    left, left_out, shown = MOST_LINES, 0, []
    for block in blocks:
        lines = [_line(line) for line in block.lines[:left]]
        left -= len(lines)
        left_out += len(block.lines) - len(lines)
        if lines:
            shown.append(ShownBlock(lines=lines, is_folded=block.is_folded))
    return Changes(blocks=shown, left_out=left_out)


def _line(line: Line) -> ShownLine:
    start, end = line.span or (len(line.text), len(line.text))
    before, different, behind = line.text[:start], line.text[start:end], line.text[end:]
    if line.span is None:
        before = _beginning(before, _DIFFERENT)
    elif len(before) > _BEFORE:
        before = f"… {before[-_BEFORE:]}"
    return ShownLine(
        sign=line.sign.value,
        word=_WORDS[line.sign],
        indent="  " * line.depth,
        before=visible(before),
        different=visible(_beginning(different, _DIFFERENT)),
        behind=visible(_beginning(behind, _BEHIND)),
    )


def _beginning(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]} …"

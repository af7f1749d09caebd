"""The documents as the tests read them: pages, headings, code blocks, links, tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])

# A fence, indented where it stands in a list.
_BLOCK = re.compile(r"^( *)```(\S*)[^\n]*\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)\)")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"(`+)(?:.+?)\1", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    language: str
    text: str


def page(name: str) -> str:
    return (ROOT / name).read_text()


def blocks(text: str, language: str = "") -> list[Block]:
    """The code blocks, of one language or all."""
    found = [
        Block(language=kind, text=re.sub(f"^{indent}", "", body, flags=re.MULTILINE))
        for indent, kind, body in _BLOCK.findall(text)
    ]
    return [block for block in found if language in ("", block.language)]


def prose(text: str) -> str:
    """Without code blocks and comments."""
    return _COMMENT.sub("", _BLOCK.sub("", text))


def headings(text: str) -> list[str]:
    return [heading.strip() for heading in _HEADING.findall(prose(text))]


def anchor(heading: str) -> str:
    """As GitHub and MyST name a heading."""
    plain = re.sub(r"[^\w\- ]", "", heading.lower())
    return plain.replace(" ", "-")


def links(text: str) -> list[str]:
    return _LINK.findall(_CODE.sub("", prose(text)))


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one of its level or above."""
    lines = iter(text.splitlines(keepends=True))
    level = next(
        len(line) - len(line.lstrip("#"))
        for line in lines
        if line.startswith("#") and line.lstrip("#").strip() == heading
    )
    return "".join(_until_heading(lines, level))


def _until_heading(lines: Iterator[str], level: int) -> Iterator[str]:
    is_code = False
    for line in lines:
        is_code ^= line.lstrip().startswith("```")
        if not is_code and re.match(f"#{{1,{level}}} ", line):
            return
        yield line


def rows(text: str) -> list[list[str]]:
    """The cells of its tables, but for their heads."""
    found = []
    for line in prose(text).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.lstrip().startswith("|") and not set("".join(cells)) <= set("-|: "):
            found.append(cells)
    return found


def words(text: str) -> set[str]:
    """What stands in backquotes."""
    return {word for _quote, word in re.findall(r"(`+)(.+?)\1", prose(text))}

"""JSON text set out for reading: one member on a line. What stands in it stays as it is written,
placeholders, escapes and long numbers included. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from auditwebhooks.templating.template import lexemes

# Of the seed page's example.
_STEP = "    "


def laid_out(text: str) -> str:
    """Raises TemplateSyntaxError where the text is no JSON; a text of white space is empty."""
    return "".join(_pieces(text)) if text.strip() else ""


def _pieces(text: str) -> Iterator[str]:
    depth = 0
    before = ""
    for match in lexemes(text):
        sign = match.group()
        if sign in ("}", "]"):
            depth -= 1
            if before not in ("{", "["):
                yield _line(depth)
        elif before in ("{", "["):
            yield _line(depth)
        yield {",": f",{_line(depth)}", ":": ": "}.get(sign, sign)
        depth += sign in ("{", "[")
        before = sign


def _line(depth: int) -> str:
    return "\n" + _STEP * depth

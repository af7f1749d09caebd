"""An HTML form as a browser would send it back unchanged. Pure."""

from __future__ import annotations

from html.parser import HTMLParser

_BUTTONS = frozenset({"button", "file", "image", "reset", "submit"})

Pairs = list[tuple[str, str]]


def form_fields(html: str, form_id: str) -> Pairs:
    """The names and values of the form's fields, in order; ValueError when it is not there."""
    parser = _Parser(form_id)
    parser.feed(html)
    parser.close()
    if not parser.found:
        raise ValueError(f"The page has no form {form_id!r}.")
    return parser.pairs


class _Parser(HTMLParser):
    def __init__(self, form_id: str) -> None:
        super().__init__()
        self.found = False
        self.pairs: Pairs = []
        self._form_id = form_id
        self._inside = False
        self._select: str | None = None
        self._textarea: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._inside = given.get("id") == self._form_id
            self.found = self.found or self._inside
        if not self._inside:
            return
        name = given.get("name", "")
        if tag == "input" and name and "disabled" not in given:
            self._input(name, given)
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self.pairs.append((self._select, given.get("value", "")))
        elif tag == "textarea":
            self._textarea, self._text = name, ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._inside = False
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._textarea:
            # The first line break belongs to the HTML, not to the value.
            self.pairs.append((self._textarea, self._text.removeprefix("\n")))
            self._textarea = None

    def _input(self, name: str, given: dict[str, str]) -> None:
        kind = given.get("type", "text")
        if kind in _BUTTONS or (kind in ("checkbox", "radio") and "checked" not in given):
            return
        default = "on" if kind in ("checkbox", "radio") else ""
        self.pairs.append((name, given.get("value", default)))

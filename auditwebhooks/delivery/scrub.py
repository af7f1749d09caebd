"""Takes secrets out of what a receiver sent back: many repeat the request, or quote it in an
error. Pure."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

from auditwebhooks.masking import MASK

# Shorter ones would take words and numbers out of every answer.
SHORTEST = 4


class Scrubber:
    """Replaces the exact secrets, and the ways in which JSON, HTML and URLs spell them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spelled = {
            spelling
            for secret in secrets
            if len(secret) >= SHORTEST
            for spelling in _spellings(secret)
        }
        # A secret may stand in a longer one.
        self._spelled = sorted(spelled, key=len, reverse=True)

    def __call__(self, text: str, *, is_cut: bool = False) -> str:
        """The text without the secrets; ``is_cut``: nor the beginning of one at its end."""
        for spelling in self._spelled:
            if spelling in text:
                text = text.replace(spelling, MASK)
        return self._without_beginning(text) if is_cut else text

    def _without_beginning(self, text: str) -> str:
        longest = max((_overlap(text, spelling) for spelling in self._spelled), default=0)
        return text[:-longest] + MASK if longest else text


def _overlap(text: str, spelling: str) -> int:
    """How many characters at the end of the text begin the spelling; 0 for too few to tell."""
    lengths = range(min(len(spelling), len(text)), SHORTEST - 1, -1)
    return next((length for length in lengths if text.endswith(spelling[:length])), 0)


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    escaped = json.dumps(secret)[1:-1]
    yield escaped
    # PHP escapes slashes, too.
    yield escaped.replace("/", "\\/")
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    # Go escapes what HTML would read.
    yield escaped.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
    yield "".join(map(_in_dotnet, secret))
    yield "".join(map(_in_gson, secret))
    yield html.escape(secret)
    # Go again.
    yield _in_go_html(secret)
    # Sent as latin-1, read as UTF-8.
    yield secret.encode("latin-1", "replace").decode("utf-8", "replace")
    # The last is what JavaScript leaves as it is.
    for safe in ("/", "", "!'()*"):
        yield from _in_url(quote(secret, safe, errors="replace"))
    yield from _in_url(quote_plus(secret, errors="replace"))


_PERCENT = re.compile("%[0-9A-F]{2}")


def _in_url(quoted: str) -> tuple[str, str]:
    """Also with the lower-case digits of .NET."""
    return quoted, _PERCENT.sub(lambda found: found[0].lower(), quoted)


def _in_go_html(text: str) -> str:
    escaped = html.escape(text).replace("+", "&#43;")
    return escaped.replace("&#x27;", "&#39;").replace("&quot;", "&#34;")


def _in_dotnet(character: str) -> str:
    """As System.Text.Json escapes it: among others the + of base64."""
    if character in "\"&'+<>`":
        return f"\\u{ord(character):04X}"
    escaped = json.dumps(character)[1:-1]
    return escaped if character <= "~" else escaped.upper().replace("U", "u")


def _in_gson(character: str) -> str:
    """As Gson does, the = of base64 among others."""
    if character in "<>&='":
        return f"\\u{ord(character):04x}"
    return json.dumps(character, ensure_ascii=False)[1:-1]

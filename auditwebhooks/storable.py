"""Texts that every supported database stores. Pure.

PostgreSQL takes no NUL character, and neither a lone surrogate, which has no UTF-8 form.
"""

from __future__ import annotations

_REPLACEMENT = "\ufffd"


def storable(text: str) -> str:
    """The text with a replacement for what cannot be stored."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", _REPLACEMENT).encode("utf-8", "replace").decode()


def is_storable(text: str) -> bool:
    return "\x00" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)

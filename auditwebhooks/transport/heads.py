"""What is ordinary about the heads of HTTP messages, read and written at one look. Pure.

``http.client`` gives every head to the parser of e-mails, which knows far more than HTTP and takes
a tenth of a whole call. What is not ordinary is left to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.client import HTTPMessage

# RFC 9112, without what is only allowed or was once: no other version, no interim response, no
# folded line, no space before the colon, ASCII alone. As many lines as http.client takes.
_LINE = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t -~]*"
_ORDINARY = re.compile(
    rf"HTTP/1\.1 ([2-5][0-9]{{2}}) ([\t -~]*)\r\n((?:{_LINE}\r\n){{1,99}})\r\n".encode()
)
_ORDINARY_LINE = re.compile(_LINE)
_FRAMING = ("transfer-encoding", "content-length")
_DIGITS = re.compile(r"[0-9]{1,18}")


def is_ordinary_line(line: str) -> bool:
    """A name, a colon and a value that can be sent as they are, and end no line."""
    return _ORDINARY_LINE.fullmatch(line) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    status: int
    reason: str
    headers: HTTPMessage
    # Of the body, in bytes.
    length: int
    # The connection is not kept.
    will_close: bool
    # In bytes, with the empty line.
    size: int


def ordinary_head(received: bytes) -> Head | None:
    """The head at the beginning of what was received; None: it is not whole yet, or something
    about it or the length of its body is not ordinary."""
    found = _ORDINARY.match(received)
    if found is None:
        return None
    status, reason, lines = found.groups()
    headers = HTTPMessage()
    framing: list[str] = []
    for line in lines.decode("ascii").split("\r\n")[:-1]:
        name, _, value = line.partition(":")
        value = value.lstrip(" \t")
        headers[name] = value
        if name.lower() in _FRAMING:
            framing.append(name.lower())
            length = value
    # Answers of these have no body, whatever their length says.
    if status in (b"204", b"304"):
        return None
    if framing != ["content-length"] or not _DIGITS.fullmatch(length):
        return None
    return Head(
        status=int(status),
        reason=reason.decode("ascii").strip(),
        headers=headers,
        length=int(length),
        will_close="close" in (headers["Connection"] or "").lower(),
        size=found.end(),
    )

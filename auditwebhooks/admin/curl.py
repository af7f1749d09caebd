"""A recorded request as a command that makes it again, once its secrets are filled in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from auditwebhooks.models import Invocation

# curl sets these itself, as they fit what is sent.
_BY_CURL = frozenset({"host", "content-length", "connection", "accept-encoding"})

_NEXT = " \\\n  "


def as_curl(method: str, url: str, headers: Mapping[str, str], body: str) -> str:
    """For a POSIX shell. What is masked stays masked. Headers by name: not every database keeps
    the order in which they were sent."""
    words = [["curl", "--globoff", "--request", method, url]]
    words += [
        ["--header", _header(name, value)]
        for name, value in sorted(headers.items(), key=lambda header: header[0].lower())
        if name.lower() not in _BY_CURL
    ]
    if body:
        # --data would read a file where the body begins with @, and drop line breaks.
        words.append(["--data-raw", body])
    return _NEXT.join(shlex.join(group) for group in words)


def curl_of(invocation: Invocation) -> str:
    """Empty where nothing was sent."""
    if not invocation.request_headers:
        return ""
    return as_curl(
        invocation.request_method,
        invocation.request_url,
        invocation.request_headers,
        invocation.request_body,
    )


def _header(name: str, value: str) -> str:
    """curl takes a header out where its value is empty, unless a semicolon stands there."""
    return f"{name}: {value}" if value else f"{name};"

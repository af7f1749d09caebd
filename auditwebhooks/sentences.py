"""Sentences that are stored: in English, whoever caused them, and shown in the reader's language.

What is stored is read by many, and by programs. A page asks ``shown()``, which knows the sentences
by their English form.
"""

from __future__ import annotations

import re
from functools import reduce

from django.utils.translation import gettext, gettext_noop

# Those that hold something; the first that fits. Names of parts that are sentences or words of
# ours themselves stand in _TRANSLATED.
TEMPLATES = (
    gettext_noop(
        "The receiver answered %(status)s. Redirects are not followed: enter the final URL."
    ),
    gettext_noop("The receiver answered %(status)s. The webhook was switched off."),
    gettext_noop("The receiver answered %(status)s."),
    gettext_noop("%(path)s: expected %(expected)s, but the response is longer than 1 MiB."),
    gettext_noop(
        "%(path)s: expected %(expected)s, but the response is not JSON that can be read."
    ),
    gettext_noop(
        "%(path)s: expected %(expected)s, but the path cannot be followed in this response "
        "(%(error)s)."
    ),
    gettext_noop("%(path)s: expected %(expected)s, but found nothing."),
    gettext_noop("%(path)s: expected %(expected)s, but found %(found)s."),
    gettext_noop("No full response within %(seconds)s seconds: its name was not resolved."),
    gettext_noop("No full response within %(seconds)s seconds: no connection was made."),
    gettext_noop("No full response within %(seconds)s seconds: the TLS handshake did not end."),
    gettext_noop("No full response within %(seconds)s seconds: the receiver did not answer."),
    gettext_noop("No full response within %(seconds)s seconds: the answer did not end."),
    gettext_noop(
        "TLS failed: the certificate is not trusted (%(error)s). An authority of your own is "
        "named in AUDITWEBHOOKS['CA_FILE']."
    ),
    gettext_noop("TLS failed: %(error)s."),
    gettext_noop("The connection failed: %(reason)s."),
    gettext_noop("The connection failed at the proxy: %(reason)s."),
    gettext_noop("The URL or a header cannot be sent (%(error)s)."),
    gettext_noop("The call failed unexpectedly (%(error)s)."),
    gettext_noop("The attempt failed unexpectedly (%(error)s); see the worker's log."),
    gettext_noop(
        "%(host)s was not looked up: %(number)s other look-ups are waiting for the name server."
    ),
    gettext_noop("%(host)s could not be resolved in time."),
    gettext_noop("The host %(host)s could not be resolved: no such name, or no DNS."),
    gettext_noop(
        "%(host)s leads to %(address)s, which is an address of cloud metadata. It is never "
        "called: use a public host."
    ),
    gettext_noop(
        "%(host)s is an address of cloud metadata. It is never called: use a public host."
    ),
    gettext_noop(
        "%(host)s leads to %(address)s, which is not a public address. Use a public host, or add "
        "its network to AUDITWEBHOOKS['ALLOWED_NETWORKS']."
    ),
    gettext_noop(
        "%(host)s is not a public address. Use a public host, or add its network to "
        "AUDITWEBHOOKS['ALLOWED_NETWORKS']."
    ),
    gettext_noop(
        "%(number)s deliveries failed since %(time)s UTC, and none succeeded. The last: "
        "%(message)s"
    ),
    gettext_noop("Discarded what waited: %(number)s"),
    gettext_noop("Tested: %(result)s"),
)

# What ``The connection failed`` says: these, else the system's own words.
REASONS = (
    gettext_noop("the headers of the answer are longer than 64 KiB"),
    gettext_noop("the receiver closed it without an answer"),
    gettext_noop("the answer cannot be decompressed"),
    gettext_noop("the answer ended early, or is not valid HTTP"),
    gettext_noop("the answer is not valid HTTP"),
    gettext_noop("connection refused"),
    gettext_noop("connection reset by peer"),
    gettext_noop("network is unreachable"),
    gettext_noop("no route to host"),
)

# Errors of webhooks that were stored before a rule or a setting changed: their own modules say so.
_ERRORS = (
    '"%s" is no time: a filter iso or epoch stands on the wrong field.',
    "The URL must start with %s.",
    "Take the port %(port)d out: only %(allowed)s is allowed (AUDITWEBHOOKS['ALLOWED_PORTS']).",
    "This URL cannot be called (%s): check its host name.",
)

_TRANSLATED = ("reason", "message", "result")

# Of values in quotes, what validation puts between them.
_OR = re.compile('(?<=") or (?=")')

_PART = re.compile(r"%(?:\((\w+)\))?[sd]")


def _pattern(template: str) -> re.Pattern[str]:
    literals = _PART.split(template)[::2]
    return re.compile("(.*?)".join(map(re.escape, literals)), re.DOTALL)


_PATTERNS = [(template, _pattern(template)) for template in (*TEMPLATES, *_ERRORS)]


def shown(text: str) -> str:
    """A stored sentence in the active language; in English where it is none that is known."""
    for template, pattern in _PATTERNS:
        match = pattern.fullmatch(text)
        if match is not None:
            return _filled(gettext(template), _values(template, match))
    # gettext writes line breaks in its own way.
    return text if "\r" in text else gettext(text)


def _values(template: str, match: re.Match[str]) -> dict[str, str]:
    names = [part[1] or "" for part in _PART.finditer(template)]
    return {name: _value(name, value) for name, value in zip(names, match.groups(), strict=True)}


def _value(name: str, value: str) -> str:
    if name == "expected":
        return reduce(_either, _OR.split(value))
    return shown(value) if name in _TRANSLATED else value


def _either(one: str, other: str) -> str:
    return gettext("%(one)s or %(other)s") % {"one": one, "other": other}


def _filled(translated: str, values: dict[str, str]) -> str:
    """Not by ``%``: what was a number is a text here."""
    return _PART.sub(lambda part: values[part[1] or ""], translated)

"""What one attempt sends: the request for a webhook and an event, and its storable form."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from urllib.parse import parse_qsl, urlsplit

from auditwebhooks import __version__, signing
from auditwebhooks.masking import MASK
from auditwebhooks.models import Webhook
from auditwebhooks.payload import VARIABLES
from auditwebhooks.templating.template import compile_template
from auditwebhooks.transport.messages import Request

USER_AGENT = f"django-auditwebhooks/{__version__}"

# Shorter parts of a URL, such as "/hook", are words that stand in many answers.
_WORD = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One event for one webhook, at one attempt."""

    # The same for every attempt, so that receivers can drop what they have seen.
    id: str
    attempt: int
    # The event's payload as JSON text.
    payload_text: str


class Composer:
    """Makes the requests of one webhook. What they have in common is read once, secrets revealed.

    Raises InvalidURLError, TemplateSyntaxError and EncryptionError: the outcomes invalid_url,
    template and config.
    """

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._url = webhook.address().url
        self._timeout = webhook.timeout
        self._template = compile_template(webhook.body_template, VARIABLES)
        typed = webhook.revealed_headers()
        names = {name.lower() for name in typed}
        self._headers = {
            **_others({"Accept-Encoding": "identity", "User-Agent": USER_AGENT}, names),
            **typed,
        }
        self._body_headers = _others({"Content-Type": "application/json"}, names)
        self._masked = dict.fromkeys(typed, MASK)
        found = [*map(_secrets_of_header, typed.values()), _secrets_of_url(self._url)]
        self._secrets = tuple(chain.from_iterable(found))

    def compose(self, message: Message, now: datetime) -> Request:
        """The request of one attempt, as it is sent.

        Raises EncryptionError and TemplateRenderError: the outcomes config and template.
        """
        text = self._template.render(json.loads(message.payload_text))
        # A lone surrogate has no UTF-8 form.
        body = text.encode("utf-8", "replace") if text else None
        headers = {**self._headers, **self._standard_headers(message, now, body or b"")}
        if body:
            headers.update(self._body_headers)
        return Request(
            method=self._webhook.method,
            url=self._url,
            headers=headers,
            body=body,
            timeout=self._timeout,
        )

    def _standard_headers(self, message: Message, now: datetime, body: bytes) -> dict[str, str]:
        """Standard Webhooks: a fresh timestamp for each attempt, signed bytes = sent bytes."""
        timestamp = int(now.timestamp())
        headers = {
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-attempt": str(message.attempt),
        }
        secrets = [secret.reveal() for secret in self._webhook.revealed_signing_secrets(now)]
        if secrets:
            headers["webhook-signature"] = signing.signature_header(
                secrets, message.id, timestamp, body
            )
        return headers

    def storable_headers(self, request: Request) -> dict[str, str]:
        """The headers of a request without the values that were typed for this webhook."""
        return {**request.headers, **self._masked}

    def secrets(self, now: datetime) -> tuple[str, ...]:
        """The exact texts that must not be stored, should a response repeat them."""
        signing_secrets = self._webhook.revealed_signing_secrets(now)
        if not signing_secrets:
            return self._secrets
        texts = [secret.reveal() for secret in signing_secrets]
        return (*self._secrets, *texts, *(text.removeprefix(signing.PREFIX) for text in texts))


def _others(headers: Mapping[str, str], names: Container[str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in names}


def _secrets_of_url(url: str) -> Iterator[str]:
    """The URL, and its parts that are no words. Receivers repeat the path, or name the parameter
    that they refuse."""
    yield url
    parts = urlsplit(url)
    rest = url.split("://", 1)[1].partition("/")[2]
    values = [value for _name, value in parse_qsl(parts.query)]
    for part in (f"/{rest}", rest, parts.path, parts.query, *values):
        if len(part) >= _WORD:
            yield part
    last = parts.path.rpartition("/")[2]
    if len(last) >= 2 * _WORD:
        yield last


def _secrets_of_header(value: str) -> Iterator[str]:
    """The value, and what is a secret by itself: the token of "Bearer abc", the name and the
    password of "Basic ..."."""
    yield value
    scheme, _, rest = value.partition(" ")
    yield from rest.split(" ")
    if scheme.lower() == "basic":
        with contextlib.suppress(ValueError):
            credentials = base64.b64decode(rest).decode()
            yield credentials
            yield credentials.partition(":")[2]

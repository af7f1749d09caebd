"""What one attempt sends: the request for a webhook and an event, and its storable form."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
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


def compose(webhook: Webhook, message: Message, now: datetime) -> Request:
    """The request as it is sent, secrets revealed.

    Raises InvalidURLError, EncryptionError and TemplateRenderError: the outcomes invalid_url,
    config and template.
    """
    address = webhook.address()
    text = compile_template(webhook.body_template, VARIABLES).render(
        json.loads(message.payload_text)
    )
    # A lone surrogate has no UTF-8 form.
    body = text.encode("utf-8", "replace") if text else None
    headers = {
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        **({"Content-Type": "application/json"} if body else {}),
    }
    own = {name.lower() for name in webhook.headers}
    headers = {name: value for name, value in headers.items() if name.lower() not in own}
    headers.update(webhook.revealed_headers())
    headers.update(_standard_headers(webhook, message, now, body or b""))
    return Request(
        method=webhook.method,
        url=address.url,
        headers=headers,
        body=body,
        timeout=webhook.timeout,
    )


def _standard_headers(
    webhook: Webhook, message: Message, now: datetime, body: bytes
) -> dict[str, str]:
    """Standard Webhooks: a fresh timestamp for each attempt, signed bytes = sent bytes."""
    timestamp = int(now.timestamp())
    headers = {
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-attempt": str(message.attempt),
    }
    secrets = [secret.reveal() for secret in webhook.revealed_signing_secrets(now)]
    if secrets:
        headers["webhook-signature"] = signing.signature_header(
            secrets, message.id, timestamp, body
        )
    return headers


def storable_headers(webhook: Webhook, request: Request) -> dict[str, str]:
    """The headers without the values that were typed for this webhook."""
    typed = {name.lower() for name in webhook.headers}
    return {
        name: MASK if name.lower() in typed else value for name, value in request.headers.items()
    }


def secrets_of(webhook: Webhook, request: Request, now: datetime) -> Iterator[str]:
    """The exact texts that must not be stored, should a response repeat them."""
    for name in webhook.headers:
        yield from _secrets_of_header(request.headers.get(name, ""))
    for secret in webhook.revealed_signing_secrets(now):
        yield secret.reveal()
        yield secret.reveal().removeprefix(signing.PREFIX)
    yield from _secrets_of_url(request.url)


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

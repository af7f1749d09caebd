"""Standard Webhooks signatures (https://www.standardwebhooks.com, v1, symmetric). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

from django.utils.translation import gettext as _

PREFIX = "whsec_"
VERSION = "v1"

# The specification asks for 24 to 64 random bytes.
_MIN_BYTES, _MAX_BYTES = 24, 64

# How old or how early a timestamp may be when it is verified, in seconds (the specification's
# own libraries use the same).
TOLERANCE = 300


def new_secret() -> str:
    """A fresh signing secret of 32 random bytes: ``whsec_`` and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key bytes of ``whsec_...``; ValueError with a sentence when it is none."""
    if not secret.startswith(PREFIX):
        raise ValueError(_('A signing secret starts with "%s".') % PREFIX)
    try:
        key = base64.b64decode(secret[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(_('After "%s" a signing secret is base64 text.') % PREFIX) from None
    if not _MIN_BYTES <= len(key) <= _MAX_BYTES:
        raise ValueError(
            _("A signing secret holds %(least)d to %(most)d bytes, this one %(present)d.")
            % {"least": _MIN_BYTES, "most": _MAX_BYTES, "present": len(key)}
        )
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """``v1,`` and base64 of HMAC-SHA256 over ``id.timestamp.body``."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    digest = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return f"{VERSION},{base64.b64encode(digest).decode()}"


def signature_header(
    signing_secrets: Iterable[str], message_id: str, timestamp: int, body: bytes
) -> str:
    """The ``webhook-signature`` value: one signature for each valid secret."""
    return " ".join(sign(secret, message_id, timestamp, body) for secret in signing_secrets)


def verify(
    secret: str, message_id: str, timestamp: str, body: bytes, header: str, now: float
) -> bool:
    """Whether one of the header's signatures fits and the timestamp is fresh."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 20:
        return False
    if abs(now - int(timestamp)) > TOLERANCE:
        return False
    expected = sign(secret, message_id, int(timestamp), body)
    return any(
        hmac.compare_digest(expected.encode(), candidate.encode("utf-8", "replace"))
        for candidate in header.split(" ")
    )

"""What looks like a secret is stored as ``***``. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache
from typing import Any

MASK = "***"

# A name is taken apart into words: user_password, userPassword, API-Key.
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")

_SECRET_WORDS = frozenset(
    {
        "apikey",
        "authorization",
        "cookie",
        "cookies",
        "credential",
        "credentials",
        "creds",
        "csrf",
        "cvc",
        "cvv",
        "hotp",
        "jwt",
        "otp",
        "passcode",
        "passphrase",
        "passwd",
        "password",
        "passwords",
        "privatekey",
        "pwd",
        "secret",
        "secrets",
        "sessionid",
        "token",
        "tokens",
        "totp",
    }
)

# Two words that make a secret together: api_key, PrivateKey, session-id.
_SECRET_PAIRS = frozenset(
    {
        ("access", "key"),
        ("api", "key"),
        ("api", "keys"),
        ("auth", "key"),
        ("db", "pass"),
        ("encryption", "key"),
        ("mfa", "code"),
        ("pass", "phrase"),
        ("private", "key"),
        ("recovery", "code"),
        ("recovery", "codes"),
        ("secret", "key"),
        ("session", "id"),
        ("session", "key"),
        ("signing", "key"),
    }
)

# Found anywhere in a name written without word breaks: dbpassword, clientsecret.
_SECRET_PARTS = (
    "password",
    "passwd",
    "passphrase",
    "secret",
    "signingkey",
    "encryptionkey",
    "apikey",
    "privatekey",
    "accesskey",
)

# What a model that is called after a secret keeps it in: Token.key, RecoveryCode.code.
_SECRET_ITSELF = frozenset({"code", "data", "digest", "hash", "key", "value"})


@lru_cache(maxsize=4096)
def looks_secret(name: str) -> bool:
    """Whether a field, key or argument of this name is taken for a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not _SECRET_WORDS.isdisjoint(words):
        return True
    if any(pair in _SECRET_PAIRS for pair in zip(words, words[1:], strict=False)):
        return True
    joined = "".join(words)
    return joined.endswith(("token", "tokens")) or any(part in joined for part in _SECRET_PARTS)


def holds_secret(model: str, field: str) -> bool:
    """Whether a field of this name is taken for a secret in a model of this name."""
    last = _WORD.findall(field)[-1:]
    is_itself = bool(last) and last[0].lower() in _SECRET_ITSELF
    return looks_secret(field) or (is_itself and looks_secret(model))


def mask_tree(value: Any, names: Collection[str] = ()) -> Any:
    """A copy of JSON-like data with the values of secret keys masked, at every depth.

    ``names``: further keys to mask beside those that look like a secret.
    """
    if isinstance(value, dict):
        return {
            key: MASK if key in names or looks_secret(key) else mask_tree(item, names)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [mask_tree(item, names) for item in value]
    return value

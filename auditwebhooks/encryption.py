"""Secrets at rest: authenticated encryption bound to the origin they are meant for.

A token holds the value together with the origin (scheme, host, port) it was typed for, so a
stored secret cannot be sent anywhere else, whoever changes the URL and by whatever way.
Everything fails closed: a token that cannot be read raises, it is never used as it stands.
"""

from __future__ import annotations

import base64
import json
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.utils.encoding import force_bytes
from django.utils.translation import gettext as _

from auditwebhooks.conf import conf
from auditwebhooks.exceptions import EncryptionError
from auditwebhooks.masking import MASK

_INFO = b"auditwebhooks.v1"


class Secret:
    """A secret in memory that does not show itself: repr, str, format and pickle are closed."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The plain value. Only the sending path and the rules for typed values ask for it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> tuple[type, tuple[str]]:
        raise TypeError("A secret cannot be pickled or copied out of this process.")

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Secret:
        return self


class ProtectedText(str):
    """A secret as a model holds it: it reads ``***`` and carries the value beside.

    Just typed, it carries a Secret; loaded from the database, a sealed token.
    """

    _carried: Secret | str

    def __new__(cls, carried: Secret | str) -> ProtectedText:
        text = super().__new__(cls, MASK)
        text._carried = carried
        return text

    @property
    def typed(self) -> Secret | None:
        """The value as it was typed in this process; None when it was loaded."""
        return self._carried if isinstance(self._carried, Secret) else None

    def token(self, origin: str) -> str:
        """What is stored: the loaded token, or the typed value sealed for the origin."""
        return seal(self._carried, origin) if isinstance(self._carried, Secret) else self._carried

    def reveal(self, origin: str) -> Secret:
        """The value, if it is meant for this origin. Raises EncryptionError."""
        return (
            self._carried if isinstance(self._carried, Secret) else unseal(self._carried, origin)
        )

    def __eq__(self, other: object) -> bool:
        """Two secrets are compared by what they carry, so that a change is seen."""
        if isinstance(other, ProtectedText):
            return self._carried == other._carried
        return str.__eq__(self, other) if isinstance(other, str) else NotImplemented

    def __ne__(self, other: object) -> bool:
        # str has its own, which would compare the stars.
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    __hash__ = str.__hash__

    def __reduce__(self) -> tuple[type, tuple[Secret | str]]:
        return (ProtectedText, (self._carried,))


def seal(value: Secret, origin: str) -> str:
    """A Fernet token (text) of the value, bound to ``origin``."""
    plain = json.dumps([origin, value.reveal()]).encode()
    return _fernet().encrypt(plain).decode()


def unseal(token: str, origin: str) -> Secret:
    """The value of a token made for this origin.

    Raises EncryptionError with a sentence that says what to do, and no part of the value.
    """
    try:
        sealed_for, value = json.loads(_fernet().decrypt(token.encode()))
        if not isinstance(value, str):
            raise ValueError
    except (InvalidToken, TypeError, ValueError):
        raise EncryptionError(
            _(
                "A stored secret cannot be read with the present keys. Put the old key back "
                "(SECRET_KEY_FALLBACKS or ENCRYPTION_KEYS), or type the secret again."
            )
        ) from None
    if sealed_for != origin:
        raise EncryptionError(
            _("The stored secrets were typed for another scheme, host or port. Type them again.")
        )
    return Secret(value)


def rotate(token: str) -> str:
    """The same secret under the first key. Raises EncryptionError as ``unseal`` does."""
    try:
        return _fernet().rotate(token.encode()).decode()
    except (InvalidToken, ValueError):
        raise EncryptionError(_("A stored secret cannot be read with the present keys.")) from None


def _fernet() -> MultiFernet:
    # No falling back to the default here: that would encrypt under a key nobody chose.
    if conf.problem_of("ENCRYPTION_KEYS"):
        raise EncryptionError(
            _("AUDITWEBHOOKS['ENCRYPTION_KEYS'] cannot be used: see manage.py check.")
        )
    secret_keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return _from_keys(conf.encryption_keys, secret_keys)


@lru_cache(maxsize=4)
def _from_keys(keys: tuple[str, ...], secret_keys: tuple[str | bytes, ...]) -> MultiFernet:
    """The first encrypts, all decrypt. Those of SECRET_KEY, the default, stand behind keys of the
    host's own: what was stored before these were set is read until it is rotated."""
    derived = [Fernet(_derive(key)) for key in secret_keys]
    return MultiFernet([*(Fernet(key) for key in keys), *derived])


def _derive(secret_key: str | bytes) -> bytes:
    kdf = HKDF(algorithm=SHA256(), length=32, salt=None, info=_INFO)
    return base64.urlsafe_b64encode(kdf.derive(force_bytes(secret_key)))

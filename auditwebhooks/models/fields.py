"""Model fields that do their work when a row is saved, ``bulk_create`` included.

Secrets: plain values go in, ``***`` comes out, ciphertext is stored. In memory a secret is a
ProtectedText; it is sealed for the webhook's origin when the row is saved.

Migrations see Django's own fields: they import nothing of this app.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from auditwebhooks import rules
from auditwebhooks.encryption import ProtectedText, Secret, rotate, seal, unseal
from auditwebhooks.exceptions import EncryptionError
from auditwebhooks.masking import MASK
from auditwebhooks.models.periods import StoredPeriod
from auditwebhooks.transport.address import mask_url

if TYPE_CHECKING:
    TextField = models.TextField[Any, Any]
else:
    TextField = models.TextField


class _Protecting:
    """Turns what is assigned into protected values, and keeps what reads ``***``."""

    def __init__(self, field: SealedField) -> None:
        self.field = field

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Any:
        if instance is None:
            return self
        name = self.field.attname
        if name not in instance.__dict__:
            instance.refresh_from_db(fields=[name])
        return instance.__dict__[name]

    def __set__(self, instance: models.Model, value: Any) -> None:
        name = self.field.attname
        instance.__dict__[name] = self.field.protect(value, instance.__dict__.get(name))


class SealedField(TextField):
    """Needs ``origin`` on its model: what the stored secrets are bound to."""

    descriptor_class = _Protecting

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def protect(self, value: Any, kept: Any) -> Any:
        """The in-memory form of an assigned value; ``kept`` is the present one."""
        raise NotImplementedError

    def sealed(self, value: Any, origin: str) -> str:
        """The text to store for an in-memory value."""
        raise NotImplementedError

    def loaded(self, text: str) -> Any:
        """The in-memory form of a stored text."""
        raise NotImplementedError

    def rotated(self, value: Any) -> Any:
        """The same loaded value under the first key. Raises EncryptionError."""
        raise NotImplementedError

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        # In-place changes of a headers dict have not been through the descriptor yet.
        value = self.protect(getattr(model_instance, self.attname), None)
        text = self.sealed(value, model_instance.origin)  # type: ignore[attr-defined]
        model_instance.__dict__[self.attname] = self.loaded(text)
        return _Sealed(text)

    def get_prep_value(self, value: Any) -> str:
        if isinstance(value, _Sealed) or value in self.empty_values:
            return str(value or "")
        if not _is_stored(value):
            raise TypeError(f"{self.name} is encrypted: assign it on an instance and call save().")
        # A fixture is saved as it stands, without pre_save.
        return self.sealed(value, "")

    def from_db_value(self, value: str, *args: Any) -> Any:
        return self.loaded(value)

    def value_to_string(self, obj: models.Model) -> str:
        """Fixtures hold ciphertext, never the mask and never the value."""
        value = self.protect(getattr(obj, self.attname), None)
        return self.sealed(value, obj.origin)  # type: ignore[attr-defined]


class _Sealed(str):
    """Ciphertext on its way to the database; nothing else may go there."""

    __slots__ = ()


def _is_stored(value: Any) -> bool:
    """Whether an in-memory value holds nothing but tokens."""
    values = value.values() if isinstance(value, Mapping) else (value,)
    return all(isinstance(item, ProtectedText) and item.typed is None for item in values)


def _protected(value: Any, kept: ProtectedText | None) -> Any:
    if isinstance(value, ProtectedText):
        return value
    if value == MASK:
        # Without a stored value it stays as typed, and the rules refuse it.
        return MASK if kept is None else kept
    return ProtectedText(Secret(value)) if isinstance(value, str) and value else value


def _token(value: Any, origin: str, name: str) -> str:
    if not isinstance(value, ProtectedText):
        raise ValidationError({name: _("There is no stored value to keep: type it.")})
    return value.token(origin)


class SecretField(SealedField):
    """One secret text; empty: none."""

    def protect(self, value: Any, kept: Any) -> Any:
        if value in self.empty_values:
            return ""
        return _protected(value, kept if isinstance(kept, ProtectedText) else None)

    def sealed(self, value: Any, origin: str) -> str:
        return _token(value, origin, self.name) if value else ""

    def loaded(self, text: str) -> Any:
        return ProtectedText(text) if text else ""

    def rotated(self, value: Any) -> Any:
        return ProtectedText(rotate(value.token(""))) if value else value

    def to_python(self, value: Any) -> Any:
        # Only fixtures come here with a text that is not protected: it is a token.
        if isinstance(value, ProtectedText) or value in (*self.empty_values, MASK):
            return value
        return ProtectedText(str(value))


class HeadersField(SealedField):
    """Header name -> secret value. Assign a dict; ``"***"`` keeps a stored value."""

    def get_default(self) -> dict[str, ProtectedText]:
        return {}

    def protect(self, value: Any, kept: Any) -> Any:
        if value in self.empty_values:
            return {}
        if not isinstance(value, Mapping):
            return value
        present = {
            str(name).lower(): secret
            for name, secret in (kept if isinstance(kept, Mapping) else {}).items()
            if isinstance(secret, ProtectedText)
        }
        return {
            name: _protected(secret, present.get(str(name).lower()))
            for name, secret in value.items()
        }

    def sealed(self, value: Any, origin: str) -> str:
        if not isinstance(value, Mapping):
            raise ValidationError({self.name: _("Enter headers as an object.")})
        if not value:
            return ""
        return json.dumps(
            {name: _token(secret, origin, self.name) for name, secret in value.items()}
        )

    def loaded(self, text: str) -> Any:
        return {name: ProtectedText(token) for name, token in json.loads(text or "{}").items()}

    def rotated(self, value: Any) -> Any:
        return {name: ProtectedText(rotate(secret.token(""))) for name, secret in value.items()}

    def to_python(self, value: Any) -> Any:
        # Only fixtures come here with a text: it is what ``sealed`` made.
        if not isinstance(value, str) or not value:
            return value
        try:
            return self.loaded(value)
        except (AttributeError, ValueError):
            raise ValidationError(
                _('Enter headers as an object: {"Authorization": "Bearer ..."}')
            ) from None


class StoredURL(str):
    """A URL as the database holds it, not read: the text shows its host only.

    What a row with lost keys loads, and what a fixture holds. It is stored again as it is, and
    refused where somebody types it, so that nobody has a stolen one read.
    """

    stored: str

    def __new__(cls, stored: str) -> StoredURL:
        text = super().__new__(cls, stored.partition(" ")[0])
        text.stored = stored
        return text

    def __reduce__(self) -> tuple[type, tuple[str]]:
        return (StoredURL, (self.stored,))


class SealedURLField(TextField):
    """A URL whose path and query may be secrets: plain in memory, in the database the masked
    form, a space, and a token of the whole."""

    # What its tokens are bound to, in place of an origin: no header's token can stand here.
    _PURPOSE = "url"

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def get_prep_value(self, value: Any) -> Any:
        if isinstance(value, StoredURL):
            return value.stored
        return f"{mask_url(value)} {seal(Secret(value), self._PURPOSE)}" if value else value

    def from_db_value(self, value: Any, *args: Any) -> Any:
        try:
            return unseal(value.partition(" ")[2], self._PURPOSE).reveal() if value else value
        except EncryptionError:
            return StoredURL(value)

    def rotated(self, value: Any) -> Any:
        """The same loaded value, to be stored under the first key. Raises EncryptionError."""
        if isinstance(value, StoredURL):
            raise EncryptionError(_("The stored URL cannot be read with the present keys."))
        return value

    def to_python(self, value: Any) -> Any:
        # No URL holds a space. It is not read here: a form's text comes this way too.
        return StoredURL(value) if isinstance(value, str) and " gAAAA" in value else value

    def value_to_string(self, obj: models.Model) -> str:
        return str(self.get_prep_value(self.value_from_object(obj)))

    def get_lookup(self, lookup_name: str) -> Any:
        """Ciphertext differs each time: no comparison would ever find a row."""
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None


class NameKeyField(models.CharField):  # type: ignore[type-arg]
    """A digest of ``rules.name_key(name)``, equal under any database's collation."""

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        digest = rules.name_digest(model_instance.name)  # type: ignore[attr-defined]
        setattr(model_instance, self.attname, digest)
        return digest


class ActivePeriodsField(models.JSONField):
    """Follows ``active`` at every save, ``bulk_create`` included."""

    def deconstruct(self) -> tuple[str, str, Sequence[Any], dict[str, Any]]:
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def pre_save(self, model_instance: models.Model, add: bool) -> list[StoredPeriod]:
        after_save = model_instance.periods_after_save  # type: ignore[attr-defined]
        periods: list[StoredPeriod] = after_save(timezone.now(), add)
        setattr(model_instance, self.attname, periods)
        return periods

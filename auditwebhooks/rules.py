"""Every rule of a webhook's fields, once: ``Webhook.full_clean()`` asks here, and form and API
ask ``full_clean()``. Each function raises ValidationError with a sentence that says what to do.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from auditwebhooks import signing
from auditwebhooks.conf import conf
from auditwebhooks.encryption import ProtectedText
from auditwebhooks.exceptions import (
    EncryptionError,
    InvalidURLError,
    JSONPathError,
    TemplateSyntaxError,
)
from auditwebhooks.masking import MASK
from auditwebhooks.payload import VARIABLES
from auditwebhooks.storable import is_storable
from auditwebhooks.templating.template import compile_template
from auditwebhooks.transport.address import Address, parse_address
from auditwebhooks.validation import as_expected, compile_path

NAME_LENGTH = 100
# It is stored with the webhook and again in the event of its change.
TEMPLATE_LENGTH = 65_536

# Letters with their marks, decimal digits.
_LETTERS_AND_DIGITS = ("L", "M", "Nd")

# RFC 9110, 5.6.2 (token) and 5.5 (field values); a value is sent as latin-1.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_FIELD_VALUE = re.compile(r"[\x21-\x7e\xa1-\xff](?:[\x20-\x7e\xa0-\xff]*[\x21-\x7e\xa0-\xff])?")
_VALUE_LENGTH = 8192

# Written by the transport itself, or able to change what a request means.
_OWN_HEADERS = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "cookie",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_OWN_PREFIXES = ("proxy-", "webhook-")

_EVENT_TYPE = re.compile(r"[\w.*-]{1,255}")


def check_name(name: Any) -> None:
    if not isinstance(name, str) or not 1 <= len(name) <= NAME_LENGTH:
        raise ValidationError(_("Enter a name of 1 to %d characters.") % NAME_LENGTH)
    for character in name:
        category = unicodedata.category(character)
        if not category.startswith(_LETTERS_AND_DIGITS) and character not in " -_":
            raise ValidationError(
                _("A name holds letters, digits, spaces, - and _ only. Take out: %s")
                % repr(character)
            )
    if not any(character.isalnum() for character in name):
        raise ValidationError(_("A name holds at least one letter or digit."))


def name_key(name: str) -> str:
    """Names with the same key are the same name: NFKC and case do not count."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def name_digest(name: str) -> str:
    """The key in 64 ASCII characters: collations fold accents or case differently."""
    return hashlib.sha256(name_key(name).encode("utf-8", "surrogatepass")).hexdigest()


def check_url(url: Any) -> Address:
    try:
        address = parse_address(url if isinstance(url, str) else "")
    except InvalidURLError as error:
        raise ValidationError(str(error)) from None
    if urlsplit(address.url).path == f"/{MASK}":
        # As lists and logs tell it.
        raise ValidationError(
            _("Type the whole URL: *** stands for a path that is not shown here.")
        )
    return address


def check_body_template(text: Any) -> None:
    if not isinstance(text, str):
        raise ValidationError(_("The template is text. Leave it empty for no body."))
    if len(text) > TEMPLATE_LENGTH:
        raise ValidationError(_("Shorten it to at most %d characters.") % TEMPLATE_LENGTH)
    if not is_storable(text):
        raise ValidationError(_("The template holds a character that cannot be stored."))
    try:
        compile_template(text, VARIABLES)
    except TemplateSyntaxError as error:
        raise ValidationError(str(error)) from None


def check_headers(headers: Any) -> None:
    """Names and typed values. Values that are kept were checked when they were typed."""
    if not isinstance(headers, Mapping):
        raise ValidationError(_('Enter headers as an object: {"Authorization": "Bearer ..."}'))
    seen: set[str] = set()
    for name, value in headers.items():
        check_header_name(name)
        if name.lower() in seen:
            raise ValidationError(_('The header "%s" stands here twice.') % name)
        seen.add(name.lower())
        check_header_value(name, value)


def check_header_name(name: Any) -> None:
    if not isinstance(name, str) or not _TOKEN.fullmatch(name):
        raise ValidationError(
            _("%s is no header name: use letters, digits and - without spaces.") % repr(name)
        )
    lower = name.lower()
    if lower in _OWN_HEADERS or lower.startswith(_OWN_PREFIXES):
        raise ValidationError(_('The header "%s" is set by the delivery itself.') % name)


def check_header_value(name: str, value: Any) -> None:
    if isinstance(value, ProtectedText):
        if value.typed is None:
            return
        value = value.typed.reveal()
    if value == MASK:
        raise ValidationError(
            _('There is no stored value of the header "%s" to keep: type it.') % name
        )
    if not isinstance(value, str) or not value:
        raise ValidationError(_('Type a value for the header "%s".') % name)
    if len(value) > _VALUE_LENGTH or not _FIELD_VALUE.fullmatch(value):
        raise ValidationError(
            _(
                'The value of the header "%(name)s" must be 1 to %(length)d printable '
                "characters (latin-1) without a line break or outer spaces."
            )
            % {"name": name, "length": _VALUE_LENGTH}
        )


def check_kept(values: Iterable[Any], origin: str) -> None:
    """Kept secrets belong to the scheme, host and port they were typed for."""
    for value in values:
        if isinstance(value, ProtectedText) and value.typed is None:
            try:
                value.reveal(origin)
            except EncryptionError as error:
                raise ValidationError(str(error)) from None


def check_signing_secret(value: Any) -> None:
    if isinstance(value, ProtectedText):
        if value.typed is None:
            return
        value = value.typed.reveal()
    if value == MASK:
        raise ValidationError(_("There is no stored signing secret to keep: type it."))
    try:
        signing.key_of(str(value))
    except ValueError as error:
        raise ValidationError(
            _('%s Leave it empty, or enter "whsec_" and 24 to 64 bytes in base64.') % error
        ) from None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def check_timeout(seconds: Any) -> None:
    most = conf.max_timeout
    if not _is_whole(seconds) or not 1 <= seconds <= most:
        raise ValidationError(_("Enter 1 to %d seconds, or nothing.") % most)


def check_max_attempts(attempts: Any) -> None:
    most = len(conf.retry_delays) + 1
    if not _is_whole(attempts) or not 1 <= attempts <= most:
        raise ValidationError(_("Enter 1 to %d attempts, or nothing.") % most)


def check_max_per_minute(limit: Any) -> None:
    if not _is_whole(limit) or limit < 1:
        raise ValidationError(_("Enter 1 or more calls a minute, or nothing."))


def check_response_validators(validators: Any) -> None:
    if not isinstance(validators, list):
        raise ValidationError(
            _('Enter a list: [{"json_path": "$.data.ok", "expected_values": ["true"]}]')
        )
    for number, validator in enumerate(validators, 1):
        try:
            _check_response_validator(validator)
        except ValidationError as error:
            raise ValidationError(
                _("Validator %(number)d: %(reason)s")
                % {"number": number, "reason": " ".join(error.messages)}
            ) from None


def _check_response_validator(validator: Any) -> None:
    if not isinstance(validator, dict) or set(validator) != {
        "json_path",
        "expected_values",
    }:
        raise ValidationError(_('it has exactly the keys "json_path" and "expected_values".'))
    path, values = validator["json_path"], validator["expected_values"]
    if not isinstance(path, str):
        raise ValidationError(_("the JSONPath is text, for example $.data.ok"))
    if not is_storable(path):
        raise ValidationError(_("the JSONPath holds a character that cannot be stored."))
    try:
        compile_path(path)
    except JSONPathError as error:
        raise ValidationError(str(error)) from None
    if not isinstance(values, list) or not values:
        raise ValidationError(_("enter at least one expected value."))
    for value in values:
        _check_expected_value(value)


def _check_expected_value(value: Any) -> None:
    if not isinstance(value, str):
        raise ValidationError(
            _('expected values are text: write "%s" in quotes.') % as_expected(value)
        )
    if not is_storable(value):
        raise ValidationError(_("an expected value holds a character that cannot be stored."))


def check_event_types(patterns: Any) -> None:
    if not isinstance(patterns, list):
        raise ValidationError(_('Enter a list of event types: ["access.*", "*.deleted"]'))
    for pattern in patterns:
        if not isinstance(pattern, str) or not _EVENT_TYPE.fullmatch(pattern):
            raise ValidationError(
                _("%s is no event type: use letters, digits, . _ - and * as a wildcard.")
                % repr(pattern)
            )

"""The surprises of this package. Expected failures are values: see ``enums.Outcome``."""

from __future__ import annotations

from django.utils.translation import gettext as _


class AuditWebhooksError(Exception):
    """Base class of every exception raised by auditwebhooks."""


class TemplateSyntaxError(AuditWebhooksError):
    """A body template that cannot be compiled.

    ``line`` and ``column`` are 1-based and count characters of the template's text.
    """

    def __init__(self, reason: str, line: int, column: int) -> None:
        place = {"line": line, "column": column, "reason": reason}
        super().__init__(_("Line %(line)d, column %(column)d: %(reason)s") % place)
        self.reason = reason
        self.line = line
        self.column = column


class TemplateRenderError(AuditWebhooksError):
    """A value that a filter of the template cannot turn into what it promises."""


class JSONPathError(AuditWebhooksError):
    """A JSONPath that cannot be used in a response validator."""


class EncryptionError(AuditWebhooksError):
    """A stored secret that cannot be used: wrong key, damaged, or meant for another origin."""


class InvalidURLError(AuditWebhooksError):
    """A URL that no webhook may have; its text says what to do."""


class BlockedAddressError(AuditWebhooksError):
    """The URL leads to an address that must not be called. No OSError: libraries retry those."""


class UnknownHostError(AuditWebhooksError):
    """The name of a webhook's host could not be resolved."""


class RegistrationError(AuditWebhooksError):
    """Options that ``auditwebhooks.register`` does not know or cannot use."""


class AppendOnlyError(AuditWebhooksError):
    """An attempt to change or delete a recorded event."""


class LongHeadError(AuditWebhooksError):
    """Status line and headers of a response do not end. No OSError, as above."""


class UnsendableError(AuditWebhooksError):
    """A request that HTTP has no form for; its text is the name of the error. No OSError, as
    above."""

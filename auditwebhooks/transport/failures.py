"""From the libraries' errors to outcomes, each with one sentence for the operator.

No sentence repeats any part of URL, headers or response: they may be secrets.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator, Sequence

import requests
from urllib3 import exceptions as urllib3_errors

from auditwebhooks.enums import Outcome, Phase
from auditwebhooks.exceptions import (
    BlockedAddressError,
    LongHeadError,
    UnknownHostError,
    UnsendableError,
)
from auditwebhooks.transport.call import HEAD_LIMIT, Call

# What did not happen in time. A name that is not resolved in time is a failure of DNS.
_TOO_LATE = {
    Phase.RESOLVE: "its name was not resolved",
    Phase.CONNECT: "no connection was made",
    Phase.TLS: "the TLS handshake did not end",
    Phase.WAIT: "the receiver did not answer",
    Phase.READ: "the answer did not end",
}

_UNSENDABLE = (
    UnsendableError,
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
)

# The first that fits; subclasses stand before their bases.
_CONNECTION: Sequence[tuple[type[BaseException], str]] = (
    (LongHeadError, f"the headers of the answer are longer than {HEAD_LIMIT // 1024} KiB"),
    (http.client.RemoteDisconnected, "the receiver closed it without an answer"),
    (urllib3_errors.DecodeError, "the answer cannot be decompressed"),
    # http.client reads chunks, and says the same of those that are none.
    (http.client.IncompleteRead, "the answer ended early, or is not valid HTTP"),
    (http.client.HTTPException, "the answer is not valid HTTP"),
    (urllib3_errors.InvalidHeader, "the answer is not valid HTTP"),
)


def explain(error: Exception, call: Call) -> tuple[Outcome, str]:
    """The outcome of a call that raised, and a sentence."""
    wrapped = list(_unwrap(error))
    reason = wrapped[-1]
    if isinstance(reason, BlockedAddressError):
        return Outcome.BLOCKED_ADDRESS, str(reason)
    if isinstance(reason, UnknownHostError):
        return Outcome.DNS, str(reason)
    if _is_timeout(error) or _is_timeout(reason):
        return (
            Outcome.TIMEOUT,
            f"No full response within {call.seconds:g} seconds: {_TOO_LATE[call.phase]}.",
        )
    if isinstance(error, urllib3_errors.SSLError) or isinstance(reason, ssl.SSLError):
        return Outcome.TLS, f"TLS failed: {_tls_reason(reason)}."
    if isinstance(error, _UNSENDABLE):
        name = str(error) if isinstance(error, UnsendableError) else _name(error)
        return Outcome.INVALID_URL, f"The URL or a header cannot be sent ({name})."
    if isinstance(error, _LOST):
        where = " at the proxy" if isinstance(error, urllib3_errors.ProxyError) else ""
        return Outcome.CONNECTION, f"The connection failed{where}: {_connection_reason(wrapped)}."
    return Outcome.ERROR, f"The call failed unexpectedly ({_name(error)})."


# requests raises where the proxy's address cannot be used.
_LOST = (
    LongHeadError,
    OSError,
    http.client.HTTPException,
    requests.RequestException,
    urllib3_errors.HTTPError,
)


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, TimeoutError | urllib3_errors.TimeoutError)


def _unwrap(error: BaseException) -> Iterator[BaseException]:
    """The error and what it wraps, down to the bottom: urllib3 wraps several times."""
    inner: object = error
    for _ in range(10):
        if not isinstance(inner, BaseException):
            break
        yield inner
        error, inner = inner, getattr(inner, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)


def _name(error: BaseException) -> str:
    return type(error).__name__


def _tls_reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate is not trusted ({error.verify_message}). An authority of your own "
            "is named in AUDITWEBHOOKS['CA_FILE']"
        )
    reason = getattr(error, "reason", None)
    return str(reason or _name(error)).replace("_", " ").lower()


def _connection_reason(wrapped: Sequence[BaseException]) -> str:
    for kind, words in _CONNECTION:
        if any(isinstance(error, kind) for error in wrapped):
            return words
    reason = wrapped[-1]
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return _name(reason)

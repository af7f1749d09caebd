"""What goes out and what comes back, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from auditwebhooks.enums import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP call. Headers and URL hold secrets: never log or store them as they are."""

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    # None: a request without a body.
    body: bytes | None = field(repr=False)
    # Seconds for the whole call, from resolving to the last byte of the response.
    timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What came back, or why nothing did."""

    # None while no response was received.
    status: int | None = None
    # Looked up without regard to case.
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    # Decoded, at most conf.READ_LIMIT bytes.
    body: bytes = field(default=b"", repr=False)
    # The body went on after what was read.
    too_long: bool = False
    # Of timeout, connection, tls, dns, blocked_address, invalid_url, error; None: a response
    # was received in full.
    failure: Outcome | None = None
    # One sentence for the operator; empty without a failure.
    message: str = ""
    duration_ms: int = 0
    # enums.Phase -> milliseconds.
    timings: Mapping[str, float] = field(default_factory=dict)

"""The HTTP client: requests with verified TLS, judged addresses, no environment, no redirects,
no cookies, a bounded body, and library errors mapped to outcomes at one place."""

from __future__ import annotations

import os
import socket
import ssl
import time
from dataclasses import replace
from functools import lru_cache
from types import TracebackType
from typing import Any, ClassVar

import certifi
import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3 import exceptions as urllib3_errors
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse

from auditwebhooks.conf import READ_LIMIT, conf
from auditwebhooks.enums import Outcome
from auditwebhooks.exceptions import BlockedAddressError, UnknownHostError
from auditwebhooks.transport import guard
from auditwebhooks.transport.messages import Request, Response

_CHUNK = 65536


class _GuardedHTTPConnection(HTTPConnection):
    """``_new_conn`` is where urllib3 turns a name into a socket; the name stays in place."""

    def _new_conn(self) -> socket.socket:
        return guard.connect(self._dns_host, self.port, self._seconds())

    def _seconds(self) -> float | None:
        return self.timeout if isinstance(self.timeout, int | float) else None


class _GuardedHTTPSConnection(_GuardedHTTPConnection, HTTPSConnection):
    pass


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _GuardedHTTPConnection


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedHTTPSConnection


class _Adapter(HTTPAdapter):
    """requests' adapter over guarded connections and one shared TLS context."""

    _pools: ClassVar[dict[str, type[HTTPConnectionPool]]] = {
        "http": _HTTPPool,
        "https": _HTTPSPool,
    }

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=_tls_context(), **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=_tls_context(), **proxy_kwargs)

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        # The context verifies. requests would load its own bundle for each connection (21 ms),
        # and take one from the environment.
        conn.cert_reqs = "CERT_REQUIRED"
        conn.ca_certs = conn.ca_cert_dir = None


def _tls_context() -> ssl.SSLContext:
    path = conf.ca_file
    return _load_tls_context(path, os.stat(path).st_mtime_ns if path else 0)


@lru_cache(maxsize=4)
def _load_tls_context(ca_file: str | None, changed: int) -> ssl.SSLContext:
    """Loading the authorities takes 21 ms, so a context is shared until the file changes."""
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(ca_file)
    return context


class Client:
    """Calls one webhook. Connections are kept and reused, never shared with another webhook.

    Safe to use from several threads.
    """

    def __init__(self, connections: int = 1) -> None:
        self._adapter = _Adapter(connections)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._adapter.close()

    def send(self, request: Request) -> Response:
        """Make the call; whatever happens is a Response, nothing is raised."""
        started = time.monotonic()
        try:
            response = self._send(request, started + request.timeout)
        except Exception as error:  # noqa: BLE001 - every failure of a call is a value
            response = _failed(error, request)
        return _timed(response, started)

    def _send(self, request: Request, deadline: float) -> Response:
        prepared = requests.Request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=request.body,
        ).prepare()
        proxy = conf.proxy
        received = self._adapter.send(
            prepared,
            stream=True,
            timeout=request.timeout,
            proxies={"http": proxy, "https": proxy} if proxy else {},
        )
        try:
            body, too_long = _read(received.raw, deadline)
        finally:
            # A connection that was read to its end has gone back to the pool by itself.
            received.close()
        return Response(
            status=received.status_code,
            headers=received.headers,
            body=body,
            too_long=too_long,
        )


def _read(raw: BaseHTTPResponse, deadline: float) -> tuple[bytes, bool]:
    """At most READ_LIMIT decoded bytes, and whether there were more."""
    parts: list[bytes] = []
    size = 0
    while size <= READ_LIMIT:
        if time.monotonic() > deadline:
            raise TimeoutError
        part = raw.read1(_CHUNK, decode_content=True)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)[:READ_LIMIT], size > READ_LIMIT


def _timed(response: Response, started: float) -> Response:
    return replace(response, duration_ms=round((time.monotonic() - started) * 1000))


def _failed(error: Exception, request: Request) -> Response:
    outcome, message = _explain(error, request)
    return Response(failure=outcome, message=message)


def _explain(error: Exception, request: Request) -> tuple[Outcome, str]:
    """The outcome of a library's error, and one sentence without any part of URL or headers."""
    if isinstance(error, BlockedAddressError):
        return Outcome.BLOCKED_ADDRESS, str(error)
    if isinstance(error, UnknownHostError):
        return Outcome.DNS, str(error)
    reason = _innermost(error)
    if isinstance(error, requests.Timeout | TimeoutError | urllib3_errors.TimeoutError):
        return Outcome.TIMEOUT, f"No full response within {request.timeout:g} seconds."
    if isinstance(error, requests.exceptions.SSLError) or isinstance(reason, ssl.SSLError):
        return Outcome.TLS, f"TLS failed: {_tls_reason(reason)}."
    if isinstance(error, _BAD_URL):
        return (
            Outcome.INVALID_URL,
            f"The URL or a header cannot be sent ({_name(error)}).",
        )
    if isinstance(error, requests.RequestException | urllib3_errors.HTTPError | OSError):
        return (
            Outcome.CONNECTION,
            f"The connection failed: {_connection_reason(reason)}.",
        )
    return Outcome.ERROR, f"The call failed unexpectedly ({_name(error)})."


_BAD_URL = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    requests.exceptions.InvalidHeader,
)


def _name(error: BaseException) -> str:
    return type(error).__name__


def _innermost(error: BaseException) -> BaseException:
    """The error at the bottom of the wrappings of requests and urllib3."""
    for _ in range(10):
        inner = getattr(error, "reason", None)
        if not isinstance(inner, BaseException):
            inner = next((arg for arg in error.args if isinstance(arg, BaseException)), None)
        if inner is None:
            break
        error = inner
    return error


def _tls_reason(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not trusted ({error.verify_message})"
    reason = getattr(error, "reason", None)
    return str(reason or _name(error)).replace("_", " ").lower()


def _connection_reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return str(error.strerror).lower()
    return _name(error)

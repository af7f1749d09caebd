"""The HTTP client: requests with verified TLS, judged addresses, no environment, no redirects,
no cookies, one deadline, and bounds for what comes back."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import ssl
from dataclasses import replace
from functools import lru_cache
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import urlsplit

import certifi
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import BaseHTTPResponse, HTTPResponse

from auditwebhooks.conf import READ_LIMIT, conf
from auditwebhooks.enums import Phase
from auditwebhooks.transport import guard
from auditwebhooks.transport.call import Call, calling, is_calling, present
from auditwebhooks.transport.failures import explain
from auditwebhooks.transport.messages import Request, Response
from auditwebhooks.transport.resolver import resolve
from auditwebhooks.transport.sockets import BoundedSocket, BoundedTLSSocket

_CHUNK = 65536


class _Quiet(logging.Filter):
    """The libraries log URLs and parts of answers, which may be secrets: not for calls of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not is_calling()


for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_Quiet())


class _FinalResponse(http.client.HTTPResponse):
    """Passes over every interim response (RFC 9110, 15.2); http.client does so for 100 only."""

    def _read_status(self) -> tuple[str, int, str]:
        while True:
            found: tuple[str, int, str] = super()._read_status()  # type: ignore[misc]
            _version, status, _reason = found
            if not 100 <= status < 200 or status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return found
            http.client.parse_headers(self.fp)


class _GuardedHTTPConnection(HTTPConnection):
    response_class = _FinalResponse
    # Where somebody has set it on http.client's class, every header would be printed.
    debuglevel = 0

    def _new_conn(self) -> socket.socket:
        """Where urllib3 turns a name into a socket; the name stays in place for Host and TLS."""
        call = present()
        call.enter(Phase.RESOLVE)
        # The proxy is the operator's own choice, wherever it stands.
        find = resolve if self.proxy else guard.judged_addresses
        addresses = find(self._dns_host, self.port, call.left())
        call.enter(Phase.CONNECT)
        connection = guard.connect(addresses, self.port, call.left)
        if not self.proxy_is_tunneling:
            call.enter(Phase.WAIT)
        return BoundedSocket(fileno=connection.detach())

    def getresponse(self) -> HTTPResponse:  # type: ignore[override]
        response = super().getresponse()
        present().enter(Phase.READ)
        return response


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
        context = _tls_context()
        manager = super().proxy_manager_for(
            proxy, ssl_context=context, proxy_ssl_context=context, **proxy_kwargs
        )
        manager.pool_classes_by_scheme = self._pools
        return manager

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
    context.sslsocket_class = BoundedTLSSocket
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
        with calling(request.timeout) as call:
            try:
                response = self._send(request, call)
            except Exception as error:  # noqa: BLE001 - every failure of a call is a value
                outcome, message = explain(error, call)
                response = Response(failure=outcome, message=message)
            return replace(response, duration_ms=call.duration_ms, timings=call.timings())

    def _send(self, request: Request, call: Call) -> Response:
        prepared = _prepare(request)
        proxy = conf.proxy
        if proxy:
            guard.judge_spelled_out(urlsplit(prepared.url or "").hostname or "")
        received = self._adapter.send(
            prepared,
            stream=True,
            timeout=request.timeout,
            proxies={"http": proxy, "https": proxy} if proxy else {},
        )
        try:
            body, too_long = _read(received.raw, call)
        finally:
            # A connection that was read to its end has gone back to the pool by itself.
            received.close()
        return Response(
            status=received.status_code,
            headers=received.headers,
            body=body,
            too_long=too_long,
        )


def _prepare(request: Request) -> PreparedRequest:
    """What ``requests.Request.prepare`` makes where there are no cookies, no authentication and
    no hooks, in a third of the time."""
    prepared = PreparedRequest()
    prepared.method = request.method
    prepared.url = _as_sent(request.url)
    prepared.prepare_headers(dict(request.headers))
    prepared.prepare_body(request.body, None)
    return prepared


@lru_cache(maxsize=256)
def _as_sent(url: str) -> str:
    prepared = PreparedRequest()
    prepared.prepare_url(url, None)
    return str(prepared.url)


def _read(raw: BaseHTTPResponse, call: Call) -> tuple[bytes, bool]:
    """At most READ_LIMIT decoded bytes, and whether there were more."""
    body = bytearray()
    while len(body) <= READ_LIMIT:
        # What is in buffers already asks no socket.
        call.left()
        part = raw.read1(_CHUNK, decode_content=True)
        if not part:
            break
        body += part
    return bytes(body[:READ_LIMIT]), len(body) > READ_LIMIT

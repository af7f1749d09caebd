"""The HTTP client: requests with verified TLS, judged addresses, no environment, no redirects,
no cookies, one deadline, and bounds for what comes back."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import urlsplit

import certifi
from requests.adapters import HTTPAdapter
from requests.models import PreparedRequest
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Retry
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.response import HTTPResponse

from auditwebhooks.conf import READ_LIMIT, conf
from auditwebhooks.enums import Phase
from auditwebhooks.exceptions import UnsendableError
from auditwebhooks.transport import guard
from auditwebhooks.transport.call import Call, calling, is_calling, present
from auditwebhooks.transport.failures import explain
from auditwebhooks.transport.heads import is_ordinary_line, ordinary_head
from auditwebhooks.transport.messages import Request, Response
from auditwebhooks.transport.resolver import resolve
from auditwebhooks.transport.sockets import BoundedSocket, BoundedTLSSocket

_CHUNK = 65536
_NO_RETRIES = Retry(False, redirect=False)


class _Quiet(logging.Filter):
    """The libraries log URLs and parts of answers, which may be secrets: not for calls of ours."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not is_calling()


for _name in ("urllib3.connection", "urllib3.connectionpool"):
    logging.getLogger(_name).addFilter(_Quiet())


class _FinalResponse(http.client.HTTPResponse):
    """Passes over every interim response (RFC 9110, 15.2); http.client does so for 100 only."""

    def begin(self) -> None:
        head = ordinary_head(self.fp.peek())
        if head is None:
            super().begin()
            return
        self.fp.read(head.size)
        self.headers = self.msg = head.headers
        self.code = self.status = head.status
        self.reason, self.version = head.reason, 11
        self.chunked, self.length, self.will_close = False, head.length, head.will_close

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
    # Of the request that is being put together.
    _parts: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Head and body in one piece, unless they are large: a second one costs a system call and
        a TLS record here and a read over there, a fifth of the whole call."""
        parts: list[bytes] = []
        self._parts = parts
        try:
            super().request(*args, **kwargs)
        except ValueError as error:
            # Its text repeats the header. Nothing was sent.
            raise UnsendableError(type(error).__name__) from None
        finally:
            self._parts = None
        is_small = sum(map(len, parts)) <= _CHUNK
        for piece in [b"".join(parts)] if is_small else parts:
            self.send(piece)

    def putheader(self, header: str, *values: Any) -> None:  # type: ignore[override]
        """As a line at once, where nothing about it must be looked at twice. http.client's own
        Host is mostly bytes."""
        value = values[0]
        line = f"{header}: {value}" if isinstance(value, str) else ""
        if len(values) == 1 and is_ordinary_line(line):
            self._output(line.encode())  # type: ignore[attr-defined]
        else:
            super().putheader(header, *values)

    def send(self, data: Any) -> None:
        if self._parts is None:
            super().send(data)
        else:
            self._parts.append(data)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Route:
    """Where the calls to a URL go."""

    # As it is called: the name's ASCII form, the path quoted.
    url: str
    pool: HTTPConnectionPool
    # What the request line says.
    target: str


class Client:
    """Calls one webhook. Connections are kept and reused, never shared with another webhook.

    Safe to use from several threads.
    """

    def __init__(self, connections: int = 1) -> None:
        self._adapter = _Adapter(connections)
        self._routes: dict[tuple[str, str | None], _Route] = {}

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
                return self._send(request, call)
            except Exception as error:  # noqa: BLE001 - every failure of a call is a value
                outcome, message = explain(error, call)
                return Response(
                    failure=outcome,
                    message=message,
                    duration_ms=call.duration_ms,
                    timings=call.timings(),
                )

    def _send(self, request: Request, call: Call) -> Response:
        proxy = conf.proxy
        route = self._route(request.url, proxy)
        if proxy:
            guard.judge_spelled_out(urlsplit(route.url).hostname or "")
        # What the adapter's own ``send`` does besides is for sessions, and takes as long again.
        received: Any = route.pool.urlopen(
            request.method,
            route.target,
            request.body,
            request.headers,
            retries=_NO_RETRIES,
            redirect=False,
            assert_same_host=False,
            timeout=request.timeout,
            preload_content=False,
            decode_content=False,
        )
        try:
            body, too_long = _read(received, call)
        finally:
            # A connection that was read to its end has gone back to the pool by itself; of one
            # that was not only the place does.
            received.close()
            received.release_conn()
        return Response(
            status=received.status,
            headers=received.headers,
            body=body,
            too_long=too_long,
            duration_ms=call.duration_ms,
            timings=call.timings(),
        )

    def _route(self, url: str, proxy: str | None) -> _Route:
        """Made at the first call, since it takes longer than a call."""
        route = self._routes.get((url, proxy))
        if route is None:
            prepared = PreparedRequest()
            prepared.prepare_url(url, None)
            proxies = {"http": proxy, "https": proxy} if proxy else {}
            # The shared context verifies: the adapter's own ``send`` would have each connection
            # load a bundle (21 ms), and take one from the environment.
            pool: Any = self._adapter.get_connection_with_tls_context(prepared, True, proxies)
            target = self._adapter.request_url(prepared, proxies)
            route = _Route(url=str(prepared.url), pool=pool, target=target)
            self._routes[url, proxy] = route
        return route


def _read(raw: Any, call: Call) -> tuple[bytes, bool]:
    """At most READ_LIMIT decoded bytes, and whether there were more."""
    # http.client's: of "5, 5" urllib3 makes a number, and http.client would read without end.
    length = raw._original_response.length
    if length is not None and length <= READ_LIMIT and "Content-Encoding" not in raw.headers:
        # Piece by piece it would ask once more than there are pieces.
        return raw.read(), False
    body = bytearray()
    while len(body) <= READ_LIMIT:
        # What is in buffers already asks no socket.
        call.left()
        part = raw.read1(_CHUNK, decode_content=True)
        if not part:
            break
        body += part
    return bytes(body[:READ_LIMIT]), len(body) > READ_LIMIT

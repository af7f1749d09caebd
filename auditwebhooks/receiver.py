"""A local receiver for webhooks: for trying things out, for demonstrations and for tests.

    with Receiver(secret="whsec_...", on_delivery=print) as receiver:
        ...  # receiver.url

Not meant for production: it answers everybody and keeps nothing.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, cast

from auditwebhooks import signing

# What is told of a delivery's signature.
VERIFIED, WRONG, MISSING, UNCHECKED = "verified", "wrong", "missing", "not checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request as it arrived."""

    method: str
    path: str
    # As sent; looked up without regard to case.
    headers: Message
    body: bytes
    # One of VERIFIED, WRONG, MISSING and, without a secret, UNCHECKED.
    signature: str
    # Seconds since 1970.
    received_at: float

    @property
    def readable_body(self) -> str:
        """JSON with indentation, anything else as text."""
        try:
            return json.dumps(json.loads(self.body), indent=2, ensure_ascii=False)
        except (ValueError, RecursionError):
            return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    body: bytes = b'{"data": {"ok": true}}'
    headers: Mapping[str, str] = field(
        default_factory=lambda: {"Content-Type": "application/json"}
    )


def always_ok(delivery: Delivery) -> Answer:
    return Answer()


class Receiver:
    """A threaded HTTP server, with TLS where a certificate chain and key (PEM files) are given.

    ``secret``: signing secret to verify with. ``on_delivery`` is called in the request's thread
    before ``answer`` makes the response. ``port`` 0: a free one. Raises OSError when the port is
    taken.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        certificate: str | None = None,
        key: str | None = None,
        secret: str = "",
        on_delivery: Callable[[Delivery], object] = lambda delivery: None,
        answer: Callable[[Delivery], Answer] = always_ok,
    ) -> None:
        self.secret = secret
        self.on_delivery = on_delivery
        self.answer = answer
        self.scheme = "https" if certificate else "http"
        self._server = _Server((host, port), _Handler)
        self._server.receiver = self
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            # The handshake happens in the request's thread, so that nobody can hold up the door.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.host = host
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}/"

    def serve_forever(self) -> None:
        self._server.serve_forever(poll_interval=0.05)

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def receive(self, method: str, path: str, headers: Message, body: bytes) -> Answer:
        delivery = Delivery(
            method=method,
            path=path,
            headers=headers,
            body=body,
            signature=self._judge_signature(headers, body),
            received_at=time.time(),
        )
        self.on_delivery(delivery)
        return self.answer(delivery)

    def _judge_signature(self, headers: Message, body: bytes) -> str:
        if not self.secret:
            return UNCHECKED
        signature = headers.get("webhook-signature")
        if signature is None:
            return MISSING
        verified = signing.verify(
            self.secret,
            headers.get("webhook-id", ""),
            headers.get("webhook-timestamp", ""),
            body,
            signature,
            time.time(),
        )
        return VERIFIED if verified else WRONG


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    receiver: Receiver

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up or fails the handshake is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Header and body of a response leave in one packet.
    disable_nagle_algorithm = True
    wbufsize = -1

    def _handle(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        receiver = cast(_Server, self.server).receiver
        answer = receiver.receive(self.command, self.path, self.headers, body)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Quiet: ``on_delivery`` tells."""

"""The page that shows deliveries as they arrive, over plain HTTP on this machine."""

from __future__ import annotations

from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

from project.ports import HOST
from project.receiver.board import Board

_STATIC = Path(__file__).resolve().parent / "static"

# Path -> file and content type; nothing else is served.
_FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

# What was delivered is other people's text: only the page's own files may run.
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class PageServer(ThreadingHTTPServer):
    """``port`` 0: a free one. Raises OSError when the port is taken."""

    daemon_threads = True

    def __init__(self, port: int, board: Board) -> None:
        self.board = board
        super().__init__((HOST, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves is no news."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/stream":
            self._stream()
        elif self.path in _FILES:
            self._file(*_FILES[self.path])
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _file(self, name: str, content_type: str) -> None:
        content = (_STATIC / name).read_bytes()
        self._start(content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _stream(self) -> None:
        """Server-sent events, until the browser leaves."""
        self._start("text/event-stream")
        self.end_headers()
        for text in cast(PageServer, self.server).board.follow():
            self.wfile.write(b":\n\n" if text is None else f"data: {text}\n\n".encode())

    def _start(self, content_type: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Quiet: only deliveries are worth a line."""

"""The fastest HTTPS receiver that plain Python makes: one process, keep-alive, a fixed answer.

It notes when each request had arrived, and its webhook-id. Requests for ``/500``, ``/hang`` and
``/reset`` get what these names say.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme

ROOT = Path(__file__).parent.parent

# (time.monotonic() of the machine, webhook-id or nothing)
Arrival = tuple[float, str]

_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 22\r\n\r\n"
    b'{"data": {"ok": true}}'
)
_ERROR = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"


class Receiver:
    """A receiver in a process of its own, as others see it."""

    def __init__(self, url: str, process: subprocess.Popen[str]) -> None:
        self.url = url
        self._process = process

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def count(self) -> int:
        """How many requests arrived since the last ``take``."""
        return int(self._ask("count"))

    def take(self) -> list[Arrival]:
        """What arrived, and forget it."""
        return [(moment, message) for moment, message in self._ask("take")]

    def wait_for(self, count: int, patience: float = 60) -> list[Arrival]:
        """Take so many. The program ends where nothing arrives for ``patience`` seconds."""
        most, moved_at = 0, time.monotonic()
        while (found := self.count()) < count:
            if found > most:
                most, moved_at = found, time.monotonic()
            if time.monotonic() - moved_at > patience:
                raise SystemExit(f"Of {count} requests {found} arrived, then none.")
            time.sleep(0.2)
        return self.take()

    def _ask(self, question: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(question + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def receiver(folder: Path, delay: float = 0) -> Iterator[Receiver]:
    """A running receiver. Its authority is in ``folder``."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    server = str(folder / "server.pem")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.receiver", server, server, str(delay)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        yield Receiver(f"https://127.0.0.1:{int(process.stdout.readline())}/", process)
    finally:
        process.kill()
        process.communicate()


class _Connection(asyncio.Protocol):
    def __init__(self, delay: float, arrivals: list[Arrival]) -> None:
        self._delay = delay
        self._arrivals = arrivals
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            length = int(_header(head, b"content-length") or 0)
            if len(self._buffer) < end + 4 + length:
                return
            self._buffer = self._buffer[end + 4 + length :]
            self._arrivals.append((time.monotonic(), _header(head, b"webhook-id").decode()))
            answer = _ANSWERS.get(head.split(b" ", 2)[1], _Connection._succeed)
            if self._delay:
                asyncio.get_running_loop().call_later(self._delay, answer, self)
            else:
                answer(self)

    def _succeed(self) -> None:
        self._transport.write(_ANSWER)  # type: ignore[attr-defined]

    def _fail(self) -> None:
        self._transport.write(_ERROR)  # type: ignore[attr-defined]

    def _reset(self) -> None:
        self._transport.abort()  # type: ignore[attr-defined]

    def _hang(self) -> None:
        """The other side will give up."""


_ANSWERS: dict[bytes, Callable[[_Connection], None]] = {
    b"/500": _Connection._fail,
    b"/hang": _Connection._hang,
    b"/reset": _Connection._reset,
}


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n"):
        found, _, value = line.partition(b":")
        if found.lower() == name:
            return value.strip()
    return b""


async def serve(chain: str, key: str, delay: float) -> None:
    """Serve until killed; the port is printed first, then an answer to each line read."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    loop = asyncio.get_running_loop()
    arrivals: list[Arrival] = []
    server = await loop.create_server(
        lambda: _Connection(delay, arrivals), "127.0.0.1", 0, ssl=context
    )

    def answer() -> None:
        question = sys.stdin.readline().strip()
        if question == "count":
            print(len(arrivals), flush=True)
        elif question == "take":
            print(json.dumps(arrivals), flush=True)
            arrivals.clear()
        else:
            loop.remove_reader(sys.stdin)

    print(server.sockets[0].getsockname()[1], flush=True)
    loop.add_reader(sys.stdin, answer)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], float(sys.argv[3])))

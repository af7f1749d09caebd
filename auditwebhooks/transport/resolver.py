"""From a host name to addresses, within a time limit, which ``getaddrinfo`` has not."""

from __future__ import annotations

import socket
import threading
import time
from ipaddress import ip_address

from auditwebhooks.exceptions import UnknownHostError

# Look-ups that may hang at the same time in one process; each holds a thread until the system's
# own resolver gives up.
_MOST_WAITING = 64
_free = threading.BoundedSemaphore(_MOST_WAITING)


def resolve(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, as texts, in the resolver's order, each once.

    Raises UnknownHostError with a sentence when there are none, or none came in time.
    """
    if _is_address(host):
        return _look_up(host, port)
    until = time.monotonic() + seconds
    if not _free.acquire(timeout=seconds):
        raise UnknownHostError(
            f"{host} was not looked up: {_MOST_WAITING} other look-ups are waiting for the "
            "name server."
        )
    look_up = _LookUp(host, port)
    try:
        look_up.start()
    except RuntimeError:
        # The system has no thread left; else the place would never be free again.
        _free.release()
        raise
    look_up.join(max(until - time.monotonic(), 0))
    return look_up.result()


class _LookUp(threading.Thread):
    """A thread that can be left behind: it ends with the process at the latest."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(name="auditwebhooks-resolver", daemon=True)
        self._host, self._port = host, port
        self._found: list[str] | None = None
        self._failure: Exception | None = None

    def run(self) -> None:
        try:
            self._found = _look_up(self._host, self._port)
        except Exception as error:  # noqa: BLE001 - raised again in the caller
            self._failure = error
        finally:
            _free.release()

    def result(self) -> list[str]:
        if self._failure is not None:
            raise self._failure
        if self._found is None:
            raise UnknownHostError(f"{self._host} could not be resolved in time.")
        return self._found


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(host: str, port: int) -> list[str]:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        answers = []
    if not answers:
        raise UnknownHostError(f"The host {host} could not be resolved: no such name, or no DNS.")
    return list(dict.fromkeys(str(answer[4][0]) for answer in answers))

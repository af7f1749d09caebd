"""Names become addresses in time, or the call goes on without."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auditwebhooks.exceptions import UnknownHostError
from auditwebhooks.transport import resolver
from auditwebhooks.transport.resolver import resolve


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A name server that does not answer; the names it was asked for."""
    asked: list[str] = []
    answers = threading.Event()

    def getaddrinfo(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        answers.wait(20)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure")

    before = threading.active_count()
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield asked
    answers.set()
    while threading.active_count() > before:
        time.sleep(0.01)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    def fail(error: Exception) -> None:
        def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
            raise error

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return fail


@pytest.mark.parametrize("error", [socket.gaierror(-2, "x"), UnicodeError("label"), OSError(5)])
@pytest.mark.parametrize("host", ["nope.test", "192.0.2.1"])
def test_a_host_without_an_answer_is_unknown(
    failing: Callable[[Exception], None], error: Exception, host: str
) -> None:
    failing(error)
    with pytest.raises(UnknownHostError, match=f"^The host {host} could not be resolved: no such"):
        resolve(host, 443, 5.0)


def test_a_surprise_is_raised_in_the_caller(failing: Callable[[Exception], None]) -> None:
    failing(ZeroDivisionError("surprise"))
    with pytest.raises(ZeroDivisionError):
        resolve("nope.test", 443, 5.0)


def test_an_address_is_its_own_answer() -> None:
    assert resolve("192.0.2.1", 443, 5.0) == ["192.0.2.1"]
    assert resolve("2001:db8::1", 443, 5.0) == ["2001:db8::1"]


def test_a_name_server_that_does_not_answer_is_given_up(hung: list[str]) -> None:
    started = time.monotonic()
    with pytest.raises(UnknownHostError, match=r"^slow\.test could not be resolved in time\.$"):
        resolve("slow.test", 443, 0.2)
    assert time.monotonic() - started < 0.7


def test_look_ups_that_hang_are_not_piled_up(
    hung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolver, "_free", threading.BoundedSemaphore(2))
    for host in ("one.test", "two.test"):
        with pytest.raises(UnknownHostError, match="in time"):
            resolve(host, 443, 0.01)

    with pytest.raises(UnknownHostError, match=r"^three\.test was not looked up"):
        resolve("three.test", 443, 0.01)
    assert hung == ["one.test", "two.test"]


def test_a_look_up_waits_for_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """More calls begin at once than may be looked up: none of them has failed by that."""
    monkeypatch.setattr(resolver, "_free", threading.BoundedSemaphore(1))
    look_up = socket.getaddrinfo

    def getaddrinfo(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.05)
        return look_up(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: resolve("localhost", 443, 5.0), range(4)))

    assert all("127.0.0.1" in addresses for addresses in found)


def test_a_look_up_that_cannot_begin_takes_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "_free", threading.BoundedSemaphore(1))
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _no_thread)
        with pytest.raises(RuntimeError, match="can't start"):
            resolve("localhost", 443, 0.1)

    assert "127.0.0.1" in resolve("localhost", 443, 5.0)


def _no_thread(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_a_look_up_that_ended_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "_free", threading.BoundedSemaphore(1))
    for _ in range(3):
        assert "127.0.0.1" in resolve("localhost", 443, 5.0)

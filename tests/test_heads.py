"""What is ordinary about a head is read as http.client reads it, and all else is left to it."""

from __future__ import annotations

import http.client
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.transport.heads import is_ordinary_line, ordinary_head

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n"


class _Socket:
    def __init__(self, received: bytes) -> None:
        self._received = received

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._received)


def as_http_client_reads(received: bytes) -> http.client.HTTPResponse:
    response: Any = http.client.HTTPResponse(_Socket(received), method="POST")  # type: ignore[arg-type]
    response.begin()
    return response


def test_the_head_of_an_ordinary_answer() -> None:
    head = ordinary_head(OK + b"ok")

    assert head is not None
    assert (head.status, head.reason, head.length, head.will_close) == (200, "OK", 2, False)
    assert head.headers.items() == [("Content-Type", "text/plain"), ("Content-Length", "2")]
    assert head.size == len(OK)


def test_a_connection_that_is_to_be_closed() -> None:
    head = ordinary_head(OK.replace(b"Content-Type: text/plain", b"connection: Close"))

    assert head is not None
    assert head.will_close


@pytest.mark.parametrize(
    "received",
    [
        b"",
        OK[:-1],
        OK[:20],
        OK.replace(b"1.1", b"1.0"),
        OK.replace(b"HTTP/1.1 200", b"HTTP/1.1  200"),
        OK.replace(b"200 OK", b"100 Continue"),
        OK.replace(b"200 OK", b"101 Switching Protocols"),
        OK.replace(b"200 OK", b"204 No Content"),
        OK.replace(b"200 OK", b"304 Not Modified"),
        OK.replace(b"200 OK", b"200"),
        OK.replace(b"200 OK", b"600 Odd"),
        OK.replace(b"\r\n", b"\n"),
        OK.replace(b"Content-Length: 2", b"X: 2"),
        OK.replace(b"Content-Length: 2", b"Content-Length: -2"),
        OK.replace(b"Content-Length: 2", b"Content-Length: 2 "),
        OK.replace(b"Content-Length: 2", b"Content-Length: 2, 2"),
        OK.replace(b"Content-Length: 2", b"Content-Length: " + b"9" * 19),
        OK.replace(b"Content-Type: text/plain", b"content-length: 2"),
        OK.replace(b"Content-Type: text/plain", b"Transfer-Encoding: chunked"),
        OK.replace(b"text/plain", b"text/plain\r\n folded"),
        OK.replace(b"Content-Type:", b"Content-Type :"),
        OK.replace(b"Content-Type:", b"Content\xe4:"),
        OK.replace(b"text/plain", b"t\xe4xt"),
        OK.replace(b"text/plain", b"text\x00"),
        OK.replace(b"text/plain", b"text\rplain"),
        OK.replace(b"Content-Type: text/plain\r\n", b"X: 1\r\n" * 99),
    ],
)
def test_what_is_not_ordinary_is_left_to_http_client(received: bytes) -> None:
    assert ordinary_head(received) is None


def mostly(*ordinary: bytes, seldom: list[bytes]) -> st.SearchStrategy[bytes]:
    return st.sampled_from([*ordinary * 9, *seldom])


odd = [b"", b"\x00", b"\xff", b"\r", b"\n", b"\x85 a", b'"', b"a\r\n b"]
lines = st.tuples(
    mostly(b"Connection", b"X-A", b"x_1", seldom=[*odd, b"Transfer-Encoding"]),
    mostly(b":", b": ", seldom=[b" : ", b":\t"]),
    mostly(b"2", b" close", b" a: b ", b"\ttab\t", b"", seldom=[*odd, b"chunked"]),
).map(b"".join)
lengths = mostly(
    b"Content-Length: 2",
    b"content-length:0",
    b"CONTENT-LENGTH: 02",
    seldom=[b"Content-Length: +2", b"Content-Length: 2 ", b"X: 2"],
)


@given(
    mostly(b"HTTP/1.1", seldom=[b"HTTP/1.0", b"HTTP/2", b"http/1.1"]),
    mostly(b" 200", b" 302", b" 599", seldom=[b" 204", b" 0200", b" 100"]),
    mostly(b" ", b" OK", b"  O K ", seldom=odd),
    st.lists(lines, max_size=4),
    lengths,
)
def test_as_http_client_reads_it(
    version: bytes, status: bytes, reason: bytes, fields: list[bytes], length: bytes
) -> None:
    received = b"\r\n".join([version + status + reason, length, *fields, b"", b""])
    head = ordinary_head(received + b"ok")
    if head is None:
        return

    its: Any = as_http_client_reads(received + b"ok")
    assert head.headers.items() == its.headers.items()
    assert (head.status, head.reason, head.length) == (its.status, its.reason, its.length)
    assert (head.will_close, its.chunked, its.version) == (its.will_close, False, 11)
    assert its.fp.read() == received[head.size :] + b"ok"


@pytest.mark.parametrize("line", ["Host: a", "X-Ab_1: ", "Authorization: Bearer ~\ta:b"])
def test_an_ordinary_line(line: str) -> None:
    assert is_ordinary_line(line)


@pytest.mark.parametrize(
    "line", ["", "Host", ": a", "A b: c", "A: b\r\n", "A: b\nC: d", "A: ü", "Ä: b", "A: \x00"]
)
def test_a_line_that_ends_another_or_is_no_text_is_not_ordinary(line: str) -> None:
    assert not is_ordinary_line(line)

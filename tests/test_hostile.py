"""Receivers that nobody hopes for, over real TLS: every call ends in time, with the right outcome
and a sentence for the operator, takes little memory, and leaves a row that can be stored."""

from __future__ import annotations

import datetime
import gzip
import json
import logging
import socket
import ssl
import struct
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import trustme

from auditwebhooks.delivery.trial import send_test
from auditwebhooks.transport.call import present
from auditwebhooks.transport.client import Client
from auditwebhooks.transport.messages import Request, Response
from tests.factories import make_webhook
from tests.hostile import Behave, HostileServer, read_request, tls_context

TIMEOUT = 1.0
# How much later than its deadline a call may end, in seconds.
GRACE = 0.5
MEMORY = 5 * 1024 * 1024

OK = b"HTTP/1.1 200 OK\r\n"


def drip(connection: socket.socket, over: threading.Event, data: bytes) -> None:
    """A byte now and then, each well within any timeout for one operation."""
    for byte in data:
        connection.sendall(bytes([byte]))
        if over.wait(0.05):
            return


def send_for_ever(connection: socket.socket, over: threading.Event, data: bytes) -> None:
    while not over.is_set():
        connection.sendall(data)


def after_request(then: Behave) -> Behave:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        then(connection, over)

    return behave


def answer(data: bytes) -> Behave:
    """Send so much and close in good order."""
    return after_request(lambda connection, over: connection.sendall(data))


def dripped_headers(connection: socket.socket, over: threading.Event) -> None:
    drip(connection, over, OK + b"X-Slow: " + b"x" * 1000)


def dripped_body(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Content-Length: 1000\r\n\r\n")
    drip(connection, over, b"x" * 1000)


def dripped_interim_responses(connection: socket.socket, over: threading.Event) -> None:
    while not over.wait(0.05):
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def endless_interim_responses(connection: socket.socket, over: threading.Event) -> None:
    send_for_ever(connection, over, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 100)


def silence(connection: socket.socket, over: threading.Event) -> None:
    over.wait(30)


def dripped_trailers(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    drip(connection, over, b"X-Trailer: x\r\n" * 1000)


def dripped_chunks(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while not over.wait(0.05):
        connection.sendall(b"1\r\nx\r\n")


def endless_chunk_extension(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"Transfer-Encoding: chunked\r\n\r\n1;")
    send_for_ever(connection, over, b"x" * 65536)


def huge_headers(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK)
    for number in range(90):
        connection.sendall(b"X-%d: %s\r\n" % (number, b"x" * 60_000))
    connection.sendall(b"Content-Length: 2\r\n\r\n{}")


def endless_header_line(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(OK + b"X-Long: ")
    send_for_ever(connection, over, b"x" * 65536)


def endless_status_line(connection: socket.socket, over: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 ")
    send_for_ever(connection, over, b"x" * 65536)


def reset(connection: socket.socket, over: threading.Event) -> None:
    # No lingering: closing sends RST.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def deaf(connection: socket.socket, over: threading.Event) -> None:
    """Reads nothing of the request."""
    over.wait(30)


# Behaviour, outcome, and what the sentence says.
ATTACKS: dict[str, tuple[Behave, str, str]] = {
    "dripped headers": (after_request(dripped_headers), "timeout", "the receiver did not answer"),
    "dripped body": (after_request(dripped_body), "timeout", "the answer did not end"),
    "dripped interim responses": (
        after_request(dripped_interim_responses),
        "timeout",
        "the receiver did not answer",
    ),
    "endless interim responses": (
        after_request(endless_interim_responses),
        "connection",
        "headers of the answer are longer than 64 KiB",
    ),
    "silence": (after_request(silence), "timeout", "the receiver did not answer"),
    "dripped trailers": (after_request(dripped_trailers), "timeout", "the answer did not end"),
    "dripped chunks": (after_request(dripped_chunks), "timeout", "the answer did not end"),
    "endless chunk extension": (
        after_request(endless_chunk_extension),
        "connection",
        "the answer is not valid HTTP",
    ),
    "chunk garbage": (
        answer(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nwhat\r\n"),
        "connection",
        "the answer ended early, or is not valid HTTP",
    ),
    "negative chunk": (
        answer(OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nwhat\r\n"),
        "connection",
        "the answer ended early, or is not valid HTTP",
    ),
    "endless header line": (
        after_request(endless_header_line),
        "connection",
        "the answer",
    ),
    "endless status line": (after_request(endless_status_line), "connection", "the answer"),
    "huge headers": (
        after_request(huge_headers),
        "connection",
        "headers of the answer are longer than 64 KiB",
    ),
    "a thousand headers": (
        answer(OK + b"X: y\r\n" * 1000 + b"\r\n"),
        "connection",
        "the answer is not valid HTTP",
    ),
    "no HTTP": (answer(b"SSH-2.0-OpenSSH_9.6\r\n"), "connection", "the answer is not valid HTTP"),
    "binary": (answer(bytes(range(256)) * 10), "connection", "the answer is not valid HTTP"),
    "two lengths": (
        answer(OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}"),
        "connection",
        "the answer is not valid HTTP",
    ),
    "reset after the request": (after_request(reset), "connection", "The connection failed: "),
    "close after the request": (answer(b""), "connection", "closed it without an answer"),
    "early close in the headers": (answer(OK + b"X-Half"), "connection", "ended early"),
    "early close in the body": (
        answer(OK + b"Content-Length: 100\r\n\r\nhalf"),
        "connection",
        "the answer ended early",
    ),
    "early close in a chunk": (
        answer(OK + b"Transfer-Encoding: chunked\r\n\r\n64\r\nhalf"),
        "connection",
        "the answer",
    ),
    "broken gzip": (
        answer(OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nxxxx"),
        "connection",
        "cannot be decompressed",
    ),
    "redirect to a private address": (
        answer(
            b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/latest/\r\n"
            b"Content-Length: 0\r\n\r\n"
        ),
        "",
        "302",
    ),
    "switching protocols": (
        answer(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x00\xff"),
        "",
        "101",
    ),
}


@contextmanager
def hostile(
    behave: Behave, configure: Any, certificate: dict[str, str], **context: Any
) -> Iterator[HostileServer]:
    secured = context.get("context", tls_context(certificate["chain"], certificate["key"]))
    with HostileServer(behave, secured) as server:
        configure(
            ALLOWED_NETWORKS=["127.0.0.0/8"],
            ALLOWED_PORTS=[443, server.port],
            CA_FILE=certificate["ca"],
        )
        yield server


def call(url: str, *, body: bytes = b'{"a": 1}') -> Response:
    """One call, which must end in time and in little memory."""
    request = Request(method="POST", url=url, headers={}, body=body, timeout=TIMEOUT)
    with Client() as client:
        tracemalloc.start()
        started = time.monotonic()
        response = client.send(request)
        took = time.monotonic() - started
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert took < TIMEOUT + GRACE
    assert most < MEMORY
    return response


@pytest.mark.parametrize("attack", ATTACKS)
def test_every_call_ends_with_an_outcome_and_a_sentence(
    attack: str, configure: Any, certificate: dict[str, str]
) -> None:
    behave, outcome, sentence = ATTACKS[attack]
    with hostile(behave, configure, certificate) as server:
        response = call(server.url)

    assert (response.failure or "") == outcome
    assert sentence in (response.message or str(response.status))
    assert server.connections == 1


def test_an_endless_body_is_cut(configure: Any, certificate: dict[str, str]) -> None:
    def endless(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(OK + b"\r\n")
        send_for_ever(connection, over, b"x" * 65536)

    with hostile(after_request(endless), configure, certificate) as server:
        response = call(server.url)

    assert response.failure is None
    assert response.too_long
    assert len(response.body) == 1024 * 1024


def test_a_gigabyte_is_cut(configure: Any, certificate: dict[str, str]) -> None:
    def gigabyte(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(OK + b"Content-Length: 1073741824\r\n\r\n")
        send_for_ever(connection, over, b"x" * 65536)

    with hostile(after_request(gigabyte), configure, certificate) as server:
        response = call(server.url)

    assert response.too_long
    assert len(response.body) == 1024 * 1024


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("gzip, gzip", lambda data: gzip.compress(gzip.compress(data))),
    ],
)
def test_a_bomb_is_cut_though_nothing_compressed_was_asked_for(
    configure: Any,
    certificate: dict[str, str],
    encoding: str,
    compress: Callable[[bytes], bytes],
) -> None:
    bomb = compress(b"\x00" * 200_000_000)
    head = OK + f"Content-Encoding: {encoding}\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with hostile(answer(head + bomb), configure, certificate) as server:
        response = call(server.url)

    assert response.failure is None, response.message
    assert response.too_long
    assert response.body == b"\x00" * 1024 * 1024


def test_a_body_without_a_length_is_read_to_its_end(
    configure: Any, certificate: dict[str, str]
) -> None:
    with hostile(answer(OK + b"\r\n{}"), configure, certificate) as server:
        response = call(server.url)

    assert (response.failure, response.body) == (None, b"{}")


def test_interim_responses_are_passed_over(configure: Any, certificate: dict[str, str]) -> None:
    """RFC 9110, 15.2: a client must be able to, even if it does not expect one."""
    interim = b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    final = OK + b"Content-Length: 2\r\n\r\n{}"
    with hostile(answer(interim + final), configure, certificate) as server:
        response = call(server.url)

    assert (response.failure, response.status, response.body) == (None, 200, b"{}")


def test_a_receiver_that_does_not_read_is_given_up(
    configure: Any, certificate: dict[str, str]
) -> None:
    with hostile(deaf, configure, certificate) as server:
        response = call(server.url, body=b"x" * 20_000_000)

    assert response.failure == "timeout"
    assert "the receiver did not answer" in response.message


def test_a_handshake_that_never_comes_is_given_up(
    configure: Any, certificate: dict[str, str]
) -> None:
    with hostile(silence, configure, certificate, context=None) as server:
        response = call(server.url)

    assert response.failure == "timeout"
    assert "the TLS handshake did not end" in response.message


def test_a_dripped_handshake_is_given_up(configure: Any, certificate: dict[str, str]) -> None:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        # The head of a handshake record of 16 KiB, and its content byte by byte.
        drip(connection, over, b"\x16\x03\x03\x40\x00" + b"\x02" * 1000)

    with hostile(behave, configure, certificate, context=None) as server:
        response = call(server.url)

    assert response.failure == "timeout"
    assert "the TLS handshake did not end" in response.message


def test_what_is_left_over_of_an_answer_answers_nothing(
    configure: Any, certificate: dict[str, str]
) -> None:
    """A second answer in the same packet must not be taken for that of the next request."""
    served = 0

    def behave(connection: socket.socket, over: threading.Event) -> None:
        nonlocal served
        while read_request(connection):
            served += 1
            own = b"%d" % served
            smuggled = OK + b"Content-Length: 8\r\n\r\nsmuggled" if served == 1 else b""
            connection.sendall(OK + b"Content-Length: 1\r\n\r\n" + own + smuggled)

    with hostile(behave, configure, certificate) as server, Client() as client:
        request = Request(method="POST", url=server.url, headers={}, body=b"", timeout=TIMEOUT)
        bodies = [client.send(request).body for _ in range(3)]

    assert bodies == [b"1", b"2", b"3"]


def _server_files(folder: Path, issued: trustme.LeafCert) -> tuple[str, str]:
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    return str(chain), str(key)


@pytest.mark.parametrize("fault", ["self-signed", "expired", "not yet valid", "wrong name"])
def test_a_bad_certificate_is_refused_before_anything_is_sent(
    fault: str,
    configure: Any,
    certificate: dict[str, str],
    authority: trustme.CA,
    tmp_path: Path,
) -> None:
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    issued = {
        "self-signed": lambda: trustme.CA().issue_cert("127.0.0.1"),
        "expired": lambda: authority.issue_cert(
            "127.0.0.1", not_before=now - 3 * day, not_after=now - day
        ),
        "not yet valid": lambda: authority.issue_cert(
            "127.0.0.1", not_before=now + day, not_after=now + 3 * day
        ),
        "wrong name": lambda: authority.issue_cert("other.example.com"),
    }[fault]()
    seen: list[bytes] = []
    context = tls_context(*_server_files(tmp_path, issued))
    behave: Behave = lambda connection, over: seen.append(read_request(connection))  # noqa: E731
    with hostile(behave, configure, certificate, context=context) as server:
        response = call(server.url)

    assert response.failure == "tls"
    assert "the certificate is not trusted" in response.message
    assert seen in ([], [b""])


def test_old_tls_is_refused(configure: Any, certificate: dict[str, str]) -> None:
    context = tls_context(certificate["chain"], certificate["key"])
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        # Deprecated, which is the point.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with hostile(silence, configure, certificate, context=context) as server:
        response = call(server.url)

    assert response.failure == "tls"
    assert "TLS failed" in response.message


@pytest.mark.django_db
@pytest.mark.parametrize(
    "head",
    [
        b"X-Nul: a\x00b\r\nX-High: \xff\xfe\r\n",
        b"X-Fold: a\r\n b\r\n",
        b"\xff\xff: \x00\r\n",
        b"X-Same: 1\r\nX-Same: 2\r\n",
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        bytes(range(256)),
        b'{"nul": "\\u0000", "lone": "\\ud800"}',
        "\U0001f98a\u0000\ufffe".encode("utf-16-le"),
        b"",
    ],
)
def test_binary_answers_are_stored(
    head: bytes, body: bytes, configure: Any, certificate: dict[str, str]
) -> None:
    data = OK + head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with hostile(answer(data), configure, certificate) as server:
        webhook = make_webhook(
            url=server.url,
            response_validators=[{"json_path": "$.data.nul", "expected_values": ["x"]}],
        )
        invocation = send_test(webhook)

    invocation.refresh_from_db()
    assert invocation.outcome == "validation"
    assert "\x00" not in invocation.response_body + json.dumps(invocation.response_headers)


def test_phases_are_timed(configure: Any, certificate: dict[str, str]) -> None:
    """Where the time went; a kept connection resolves and connects nothing."""

    def behave(connection: socket.socket, over: threading.Event) -> None:
        while read_request(connection):
            time.sleep(0.1)
            connection.sendall(OK + b"Content-Length: 2\r\n\r\n{")
            time.sleep(0.2)
            connection.sendall(b"}")

    with hostile(behave, configure, certificate) as server, Client() as client:
        request = Request(method="POST", url=server.url, headers={}, body=b"", timeout=TIMEOUT)
        first, second = (client.send(request) for _ in range(2))

    assert set(first.timings) == {"resolve", "connect", "tls", "wait", "read"}
    assert set(second.timings) == {"wait", "read"}
    for response in (first, second):
        # Clocks of two threads differ by a little, and a busy machine comes late to the head.
        wait, read = response.timings["wait"], response.timings["read"]
        assert wait > 95
        assert read > 100
        assert wait + read > 290
        assert abs(sum(response.timings.values()) - response.duration_ms) < 5


def test_nothing_of_a_call_is_logged(
    configure: Any, certificate: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 logs the URL of every call, and of an answer what it cannot read."""
    caplog.set_level(logging.DEBUG)
    data = OK + b"X-Echo: canary-a\r\n canary \r\ncanary-b\r\nContent-Length: 0\r\n\r\n"
    with hostile(answer(data), configure, certificate) as server:
        response = call(server.url + "?token=canary-c")

    assert response.status == 200
    assert "canary" not in caplog.text
    # Other calls of the host are logged as ever.
    logging.getLogger("urllib3.connectionpool").debug("another's")
    assert "another's" in caplog.text


def test_the_present_call_is_forgotten(configure: Any, certificate: dict[str, str]) -> None:
    with hostile(answer(b""), configure, certificate) as server:
        call(server.url)
    with pytest.raises(LookupError):
        present()


def test_memory_does_not_grow_with_the_calls(configure: Any, certificate: dict[str, str]) -> None:
    with hostile(after_request(huge_headers), configure, certificate) as server:
        process = psutil.Process()
        for _ in range(5):
            call(server.url)
        before = process.memory_info().rss
        for _ in range(50):
            call(server.url)
        grown = process.memory_info().rss - before

    assert grown < MEMORY

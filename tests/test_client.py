"""The HTTP client against real servers: TLS, addresses, time, size, reuse."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from auditwebhooks.conf import READ_LIMIT, conf
from auditwebhooks.receiver import Answer, Delivery, Receiver
from auditwebhooks.transport import client, guard
from auditwebhooks.transport.client import Client
from auditwebhooks.transport.messages import Request, Response
from auditwebhooks.transport.sockets import BoundedTLSSocket
from tests.conftest import Inbox
from tests.hostile import HostileServer
from tests.proxy import Proxy


def request(url: str, **overrides: Any) -> Request:
    values = {"method": "POST", "url": url, "headers": {}, "body": b"{}", "timeout": 5.0}
    return Request(**{**values, **overrides})


def send(url: str, **overrides: Any) -> Response:
    with Client() as client:
        return client.send(request(url, **overrides))


@pytest.fixture
def raw_server(configure: Callable[..., None]) -> Iterator[Callable[[bytes], str]]:
    """A plain TCP server that answers any connection with the given bytes, then waits."""
    listener = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()
    configure(
        ALLOWED_SCHEMES=["http", "https"],
        ALLOWED_PORTS=[listener.getsockname()[1]],
        ALLOWED_NETWORKS=["127.0.0.0/8"],
    )

    def start(answer: bytes, *, hang: bool = False) -> str:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                if hang:
                    done.wait(20)

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/"

    yield start
    done.set()
    listener.close()


def test_a_response_is_returned_whole(inbox: Inbox) -> None:
    inbox.answers = [Answer(status=201, body=b"made", headers={"X-One": "1"})]

    response = send(inbox.url, headers={"X-Two": "2"}, body=b'{"a": 1}')

    assert response.failure is None
    assert response.status == 201
    assert response.body == b"made"
    assert response.headers["x-one"] == "1"
    assert inbox.deliveries[0].headers["X-Two"] == "2"
    assert inbox.deliveries[0].body == b'{"a": 1}'


def test_head_and_body_go_out_in_one_piece(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[bytes] = []
    send_piece = BoundedTLSSocket.send

    def note(self: BoundedTLSSocket, data: bytes, *args: Any) -> int:
        pieces.append(bytes(data))
        return send_piece(self, data, *args)

    monkeypatch.setattr(BoundedTLSSocket, "send", note)
    assert send(inbox.url, body=b'{"a": 1}').status == 200

    assert len(pieces) == 1
    assert pieces[0].startswith(b"POST /")
    assert pieces[0].endswith(b'\r\n\r\n{"a": 1}')


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
def test_each_method_is_sent_with_and_without_a_body(inbox: Inbox, method: str) -> None:
    for body in (b"{}", None):
        assert send(inbox.url, method=method, body=body).status == 200
    assert [(one.method, one.body) for one in inbox.deliveries] == [(method, b"{}"), (method, b"")]


def test_an_unknown_authority_is_a_tls_failure(inbox: Inbox, configure: Any) -> None:
    configure(CA_FILE=None)
    response = send(inbox.url)

    assert response.failure == "tls"
    assert "not trusted" in response.message
    assert inbox.deliveries == []


def test_the_name_of_the_certificate_is_checked(
    certificate: dict[str, str], authority: trustme.CA, tmp_path: Any, configure: Any
) -> None:
    wrong = authority.issue_cert("other.example.com")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    wrong.private_key_and_cert_chain_pem.write_to_path(chain)
    wrong.private_key_pem.write_to_path(key)
    with Receiver(certificate=str(chain), key=str(key)) as receiver:
        configure(
            ALLOWED_NETWORKS=["127.0.0.0/8"],
            ALLOWED_PORTS=[receiver.port],
            CA_FILE=certificate["ca"],
        )
        response = send(receiver.url)

    assert response.failure == "tls"
    assert "mismatch" in response.message or "not valid for" in response.message


def test_plain_http_on_the_https_port_is_a_tls_failure(
    raw_server: Callable[[bytes], str],
) -> None:
    url = raw_server(b"HTTP/1.1 400 Bad Request\r\n\r\n").replace("http:", "https:")

    assert send(url).failure == "tls"


def test_no_environment_is_used(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login canary password canary\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1/")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(netrc))

    response = send(inbox.url)

    assert response.failure is None, response.message
    assert "Authorization" not in inbox.deliveries[0].headers


def test_an_explicit_proxy_is_used_and_tls_goes_through_it(
    inbox: Inbox, configure: Callable[..., None]
) -> None:
    with Proxy() as proxy:
        configure(PROXY=proxy.url)
        response = send(inbox.url)

    assert response.failure is None, response.message
    assert proxy.asked == [inbox.url.removeprefix("https://").rstrip("/")]
    assert len(inbox.deliveries) == 1


@pytest.mark.parametrize("host", ["10.0.0.1", "127.1", "169.254.169.254", "[::1]"])
def test_a_private_address_does_not_go_through_a_proxy(
    host: str, configure: Callable[..., None]
) -> None:
    with Proxy() as proxy:
        configure(PROXY=proxy.url)
        response = send(f"https://{host}/canary")

    assert response.failure == "blocked_address"
    assert proxy.asked == []


def test_names_are_resolved_by_the_proxy_alone(
    configure: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind an egress proxy there is often no DNS for the world outside."""
    real, asked = socket.getaddrinfo, []

    def ask(host: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(host)
        return real(host, *args, **kwargs)

    with Proxy() as proxy:
        configure(PROXY=proxy.url)
        monkeypatch.setattr(socket, "getaddrinfo", ask)
        response = send("https://hooks.example.invalid/")

    assert response.failure == "connection"
    assert proxy.asked == ["hooks.example.invalid:443"]
    # The tunnel's end asked for the name, in this process too; the client did not.
    assert asked.count("hooks.example.invalid") == 1


@pytest.mark.parametrize(
    ("answer", "failure", "words"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "connection", "failed at the proxy"),
        (b"garbage\r\n\r\n", "connection", "failed"),
        (b"", "timeout", "no connection was made"),
    ],
)
def test_a_proxy_that_does_not_tunnel_is_told(
    answer: bytes, failure: str, words: str, configure: Callable[..., None]
) -> None:
    def behave(connection: socket.socket, over: threading.Event) -> None:
        connection.recv(65536)
        connection.sendall(answer)
        over.wait(0 if answer else 20)

    with HostileServer(behave) as server:
        configure(PROXY=f"http://127.0.0.1:{server.port}")
        response = send("https://hooks.example.com/canary", timeout=0.5)

    assert response.failure == failure
    assert words in response.message
    assert "canary" not in response.message


def test_a_slow_response_is_a_timeout(inbox: Inbox) -> None:
    release = threading.Event()

    def wait(delivery: Delivery) -> Answer:
        release.wait(20)
        return Answer()

    inbox.answer = wait
    started = time.monotonic()
    response = send(inbox.url, timeout=0.3)
    release.set()

    assert response.failure == "timeout"
    assert response.message == "No full response within 0.3 seconds: the receiver did not answer."
    assert time.monotonic() - started < 5
    assert response.duration_ms >= 300


def test_a_refused_connection_is_told(configure: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    configure(ALLOWED_NETWORKS=["127.0.0.0/8"], ALLOWED_PORTS=[port])

    response = send(f"https://127.0.0.1:{port}/canary")

    assert response.failure == "connection"
    assert response.message == "The connection failed: connection refused."


def test_an_early_end_is_a_connection_failure(raw_server: Callable[[bytes], str]) -> None:
    response = send(raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"))

    assert response.failure == "connection"


def test_garbage_is_a_connection_failure(raw_server: Callable[[bytes], str]) -> None:
    assert send(raw_server(b"\x00\xff garbage\r\n\r\n")).failure == "connection"


def test_an_unknown_name_is_a_dns_failure() -> None:
    response = send("https://no-such-host.invalid/")

    assert response.failure == "dns"
    assert "no-such-host.invalid" in response.message


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_a_private_address_is_refused(host: str) -> None:
    response = send(f"https://{host}/")

    assert response.failure == "blocked_address"
    assert "use a public host" in response.message.lower()


def test_metadata_is_refused_in_an_allowed_network(configure: Any) -> None:
    configure(ALLOWED_NETWORKS=["169.254.0.0/16"])

    assert send("https://169.254.169.254/").failure == "blocked_address"


def test_the_judged_address_is_called_not_a_second_answer(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resolver that flips: only the first look-up counts."""
    looked_up: list[str] = []
    real = socket.getaddrinfo

    def flip(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        looked_up.append(host)
        return real("127.0.0.1" if host == "localhost" else host, port, *args, **kwargs)

    monkeypatch.setattr(guard.socket, "getaddrinfo", flip)
    response = send(inbox.url.replace("127.0.0.1", "localhost"))

    assert response.failure is None, response.message
    assert looked_up.count("localhost") == 1
    # The name stays in place for Host (and for the certificate, or TLS would have failed).
    assert inbox.deliveries[0].headers["Host"].startswith("localhost:")


def test_the_default_port_is_not_told(
    inbox: Inbox, configure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """http.client has the name as bytes then, and else as text."""
    port, connect = urlsplit(inbox.url).port, guard.connect
    configure(ALLOWED_NETWORKS=["127.0.0.0/8"], CA_FILE=conf.ca_file)
    monkeypatch.setattr(
        guard, "connect", lambda addresses, _443, left: connect(addresses, port, left)
    )

    assert send("https://localhost/hook").failure is None
    assert inbox.deliveries[0].headers["Host"] == "localhost"


def test_a_header_that_is_no_text_is_sent_as_http_client_does() -> None:
    sent: list[bytes] = []
    connection = client._GuardedHTTPConnection("hooks.example.com", 80)
    connection.sock = SimpleNamespace(sendall=sent.append, settimeout=lambda seconds: None)
    connection.request("POST", "http://other.example.com/a", body=b"{}", headers={"A": "b"})

    assert b"\r\nHost: other.example.com\r\n" in sent[0]


def test_a_name_that_leads_elsewhere_later_is_judged_again(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: good for the first connection, cloud metadata for the next."""
    answers = iter(["127.0.0.1", "169.254.169.254"])
    real = socket.getaddrinfo

    def rebind(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        return real(next(answers) if host == "localhost" else host, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    inbox.answers = [Answer(headers={"Connection": "close"})]
    with Client() as client:
        first, second = (
            client.send(request(inbox.url.replace("127.0.0.1", "localhost"))) for _ in range(2)
        )

    assert first.failure is None, first.message
    assert second.failure == "blocked_address"
    assert len(inbox.deliveries) == 1


def test_a_name_with_one_bad_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def mixed(host: str, port: int, **kwargs: Any) -> list[Any]:
        stream = (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        return [(*stream, ("93.184.215.14", port)), (*stream, ("10.0.0.7", port))]

    monkeypatch.setattr(guard.socket, "getaddrinfo", mixed)
    response = send("https://mixed.example.com/")

    assert response.failure == "blocked_address"
    assert "10.0.0.7" in response.message


def test_connections_are_reused(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    real = guard.connect

    def connect(host: str, port: int, timeout: float | None) -> socket.socket:
        opened.append(host)
        return real(host, port, timeout)

    monkeypatch.setattr(guard, "connect", connect)
    with Client() as client:
        for _ in range(3):
            assert client.send(request(inbox.url)).status == 200
    assert len(opened) == 1

    with Client() as another:
        another.send(request(inbox.url))
    assert len(opened) == 2


def test_a_connection_that_the_server_closed_is_opened_again(inbox: Inbox) -> None:
    inbox.answers = [Answer(headers={"Connection": "close"}), Answer()]
    with Client() as client:
        assert [client.send(request(inbox.url)).status for _ in range(2)] == [200, 200]


def test_a_body_beyond_the_limit_is_cut_and_flagged(inbox: Inbox) -> None:
    inbox.answers = [Answer(body=b"x" * (1024 * 1024)), Answer(body=b"x" * (1024 * 1024 + 1))]

    whole, cut = send(inbox.url), send(inbox.url)

    assert (len(whole.body), whole.too_long) == (1024 * 1024, False)
    assert (len(cut.body), cut.too_long) == (1024 * 1024, True)


def test_a_length_that_is_told_twice_bounds_nothing(
    raw_server: Callable[[bytes], str],
) -> None:
    """http.client takes it for none and reads to the end; urllib3 knows it (RFC 9110, 8.6)."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n"
    response = send(raw_server(head + b"x" * (READ_LIMIT + 100_000)))

    assert response.too_long
    assert len(response.body) == READ_LIMIT


def test_a_header_that_comes_twice_is_one_with_both_values(
    raw_server: Callable[[bytes], str],
) -> None:
    url = raw_server(b"HTTP/1.1 204 No Content\r\nX-One: 1\r\nx-one: 2\r\n\r\n")

    headers = send(url).headers

    assert {name: headers[name] for name in headers} == {"X-One": "1, 2"}


def test_failures_show_no_part_of_url_or_headers(raw_server: Callable[[bytes], str]) -> None:
    url = raw_server(b"garbage\r\n\r\n") + "canary-path?canary=1"
    response = send(url, headers={"Authorization": "Bearer canary"})

    assert response.failure is not None
    assert "canary" not in repr(response)
    assert "canary" not in response.message


@pytest.mark.parametrize("value", ["line\nbreak canary", "canary \u20ac"])
def test_a_header_that_cannot_be_sent_is_told(inbox: Inbox, value: str) -> None:
    with Client() as client:
        response = client.send(request(inbox.url, headers={"A": value}))
        following = client.send(request(inbox.url))

    assert response.failure == "invalid_url"
    assert response.message.startswith("The URL or a header cannot be sent (")
    assert "canary" not in response.message
    assert (following.status, len(inbox.deliveries)) == (200, 1)

"""The local receiver."""

from __future__ import annotations

import json
import ssl
import urllib.request
from email.message import Message
from typing import Any

import pytest

from auditwebhooks.receiver import Answer, Delivery, Receiver
from tests.factories import SECRET


def post(url: str, body: bytes = b"{}", headers: Any = (), context: Any = None) -> bytes:
    request = urllib.request.Request(url, body, dict(headers))  # noqa: S310
    with urllib.request.urlopen(request, context=context) as answer:  # noqa: S310
        return bytes(answer.read())


def test_it_keeps_what_arrives_and_answers() -> None:
    got: list[Delivery] = []
    with Receiver(
        on_delivery=got.append, answer=lambda delivery: Answer(body=delivery.body.upper())
    ) as receiver:
        assert post(receiver.url + "in?a=1", b"hello", {"X-One": "1"}) == b"HELLO"

    [delivery] = got
    assert (delivery.method, delivery.path, delivery.body) == ("POST", "/in?a=1", b"hello")
    assert delivery.headers["x-one"] == "1"
    assert delivery.signature == "not checked"


def test_its_usual_answer_is_json_that_says_ok() -> None:
    with Receiver() as receiver:
        assert json.loads(post(receiver.url)) == {"data": {"ok": True}}


def test_it_speaks_tls_with_a_certificate(certificate: dict[str, str]) -> None:
    context = ssl.create_default_context(cafile=certificate["ca"])
    with Receiver(certificate=certificate["chain"], key=certificate["key"]) as receiver:
        assert receiver.url.startswith("https://127.0.0.1:")
        assert post(receiver.url, context=context)


def test_wrong_and_missing_signatures_are_told() -> None:
    got: list[Delivery] = []
    with Receiver(secret=SECRET, on_delivery=got.append) as receiver:
        post(receiver.url)
        post(
            receiver.url,
            headers={"webhook-signature": "v1,bm90IGl0", "webhook-timestamp": "1"},
        )

    assert [one.signature for one in got] == ["missing", "wrong"]


def test_a_port_that_is_taken_raises() -> None:
    with Receiver() as receiver, pytest.raises(OSError, match="in use"):
        Receiver(port=receiver.port)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"a":"\xc3\xbc"}', '{\n  "a": "ü"\n}'),
        (b"not JSON \xff", "not JSON \ufffd"),
        (b"[" * 100_000, "[" * 100_000),
        (b"", ""),
    ],
)
def test_any_body_can_be_shown(body: bytes, text: str) -> None:
    delivery = Delivery(
        method="POST",
        path="/",
        headers=Message(),
        body=body,
        signature="not checked",
        received_at=0,
    )

    assert delivery.readable_body == text

"""The request of one attempt, and what of it may be stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook as StandardWebhook

import auditwebhooks
from auditwebhooks import payload, signing
from auditwebhooks.delivery.message import Composer, Message
from auditwebhooks.encryption import ProtectedText
from auditwebhooks.exceptions import EncryptionError, InvalidURLError, TemplateRenderError
from auditwebhooks.models import Webhook
from auditwebhooks.transport.messages import Request
from tests.factories import SECRET

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
MESSAGE = Message(
    id="evt_1_2", attempt=3, payload_text=payload.sample(1_764_000_000_123_456_000).as_text()
)


def webhook(**overrides: Any) -> Webhook:
    return Webhook(**{"name": "SIEM", "url": "https://hooks.example.com/in?a=1", **overrides})


def compose(webhook: Webhook, message: Message, now: datetime) -> Request:
    return Composer(webhook).compose(message, now)


def test_a_request_carries_the_rendered_template() -> None:
    request = compose(webhook(), MESSAGE, NOW)

    assert request.method == "POST"
    assert request.url == "https://hooks.example.com/in?a=1"
    assert request.timeout == 10
    expected = json.loads(MESSAGE.payload_text)
    del expected["event_id"]
    assert json.loads(request.body) == expected


def test_every_request_carries_these_headers() -> None:
    request = compose(webhook(), MESSAGE, NOW)

    assert request.headers == {
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
        "User-Agent": f"django-auditwebhooks/{auditwebhooks.__version__}",
        "webhook-id": "evt_1_2",
        "webhook-timestamp": "1777636800",
        "webhook-attempt": "3",
    }


def test_an_empty_template_sends_no_body_and_no_content_type() -> None:
    request = compose(webhook(body_template="", method="DELETE"), MESSAGE, NOW)

    assert request.body is None
    assert "Content-Type" not in request.headers


def test_typed_headers_go_over_the_defaults_in_any_case() -> None:
    request = compose(
        webhook(headers={"content-type": "application/cloudevents+json", "X-A": "b"}),
        MESSAGE,
        NOW,
    )

    names = [name.lower() for name in request.headers]
    assert names.count("content-type") == 1
    assert request.headers["content-type"] == "application/cloudevents+json"
    assert request.headers["X-A"] == "b"


def test_the_signature_is_that_of_standard_webhooks() -> None:
    now = datetime.now(UTC)
    request = compose(webhook(signing_secret=SECRET), MESSAGE, now)

    verified = StandardWebhook(SECRET).verify(request.body, dict(request.headers))

    assert verified == json.loads(request.body)


def test_during_a_rotation_both_secrets_sign() -> None:
    older = signing.new_secret()
    hook = webhook(signing_secret=SECRET)
    hook.previous_signing_secret = older
    hook.previous_signing_secret_until = NOW + timedelta(hours=1)

    request = compose(hook, MESSAGE, NOW)

    expected = [signing.sign(key, "evt_1_2", 1777636800, request.body) for key in (SECRET, older)]
    assert request.headers["webhook-signature"].split(" ") == expected


def test_a_request_without_a_body_is_signed_over_nothing() -> None:
    request = compose(webhook(signing_secret=SECRET, body_template=""), MESSAGE, NOW)

    assert request.headers["webhook-signature"] == signing.sign(SECRET, "evt_1_2", 1777636800, b"")


def test_what_cannot_be_sent_raises_its_outcome() -> None:
    with pytest.raises(InvalidURLError):
        compose(webhook(url="http://hooks.example.com/"), MESSAGE, NOW)
    sealed_elsewhere = webhook()
    sealed_elsewhere.headers = {"A": ProtectedText("not a token")}
    with pytest.raises(EncryptionError):
        compose(sealed_elsewhere, MESSAGE, NOW)
    with pytest.raises(TemplateRenderError):
        compose(webhook(body_template='{"t": "{{data.action|iso}}"}'), MESSAGE, NOW)


def test_a_lone_surrogate_is_sent_as_valid_utf8() -> None:
    message = Message(id="m", attempt=1, payload_text='{"event_id": "\\ud800 \\u0000"}')
    request = compose(webhook(body_template='{"a": "{{event_id}}"}'), message, NOW)

    assert json.loads(request.body.decode("utf-8")) == {"a": "? \x00"}


def test_typed_values_are_masked_in_what_is_stored() -> None:
    hook = webhook(headers={"Authorization": "Bearer abc", "User-Agent": "mine"})
    stored = Composer(hook).storable_headers(compose(hook, MESSAGE, NOW))

    assert stored["Authorization"] == "***"
    assert stored["User-Agent"] == "***"
    assert stored["webhook-id"] == "evt_1_2"


def test_a_request_does_not_show_its_secrets() -> None:
    hook = webhook(headers={"Authorization": "Bearer canary"})

    assert "canary" not in repr(compose(hook, MESSAGE, NOW))
    assert "hooks.example.com" not in repr(compose(hook, MESSAGE, NOW))


@pytest.mark.parametrize(
    ("overrides", "secret"),
    [
        ({"headers": {"Authorization": "Bearer abcdef"}}, "Bearer abcdef"),
        ({"headers": {"Authorization": "Bearer abcdef"}}, "abcdef"),
        ({"headers": {"Authorization": "Basic YWRhOnBhc3N3b3Jk"}}, "ada:password"),
        ({"headers": {"Authorization": "Basic YWRhOnBhc3N3b3Jk"}}, "password"),
        ({"headers": {"User-Agent": "own-agent"}}, "own-agent"),
        ({"signing_secret": SECRET}, SECRET),
        ({"signing_secret": SECRET}, SECRET.removeprefix("whsec_")),
        ({"url": "https://a.example/T0/path?k=123"}, "https://a.example/T0/path?k=123"),
        ({"url": "https://a.example/T0/path?k=123"}, "/T0/path?k=123"),
        ({"url": "https://a.example/T0/path?k=123"}, "T0/path?k=123"),
        ({"url": "https://a.example/T0/path?k=123"}, "/T0/path"),
        ({"url": "https://a.example/?token=12345678"}, "12345678"),
        ({"url": "https://a.example/?token=12345678"}, "token=12345678"),
        ({"url": "https://a.example/T0/0123456789abcdef"}, "0123456789abcdef"),
    ],
)
def test_secrets_of_a_request(overrides: dict[str, Any], secret: str) -> None:
    hook = webhook(**overrides)

    assert secret in set(Composer(hook).secrets(NOW))


def test_words_of_a_url_are_no_secrets() -> None:
    hook = webhook(url="https://hooks.example.com/hook?v=1")

    assert set(Composer(hook).secrets(NOW)) == {
        "https://hooks.example.com/hook?v=1",
        "/hook?v=1",
        "hook?v=1",
    }


def test_a_basic_value_that_is_no_base64_is_a_secret_all_the_same() -> None:
    hook = webhook(headers={"Authorization": "Basic ???"})

    assert "???" in set(Composer(hook).secrets(NOW))

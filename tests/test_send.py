"""One attempt over real TLS, from configuration to a storable result."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditwebhooks import payload
from auditwebhooks.delivery import send
from auditwebhooks.delivery.message import Message
from auditwebhooks.delivery.send import Result, attempt
from auditwebhooks.models import Webhook
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox

MESSAGE = Message(id="evt_1_2", attempt=1, payload_text=payload.sample(10**18).as_text())


def call(webhook: Webhook) -> Result:
    return attempt(webhook, MESSAGE)


def hook(inbox: Inbox, **overrides: Any) -> Webhook:
    return Webhook(**{"name": "SIEM", "url": f"{inbox.url}T0/canary-path", **overrides})


def test_a_success_keeps_what_was_sent_and_what_came_back(inbox: Inbox) -> None:
    result = call(hook(inbox, headers={"Authorization": "Bearer canary"}))

    [delivery] = inbox.deliveries
    assert delivery.headers["Authorization"] == "Bearer canary"
    assert (result.status, result.outcome) == ("succeeded", "success")
    assert result.message == "The receiver answered 200 OK."
    assert result.request_method == "POST"
    assert result.request_url == f"{inbox.url}***"
    assert result.request_headers["Authorization"] == "***"
    assert result.request_body.encode() == delivery.body
    assert result.response_status == 200
    assert result.response_headers["Content-Type"] == "application/json"
    assert result.response_body == '{"data": {"ok": true}}'
    assert result.response_truncated is False
    assert result.started_at <= result.finished_at
    assert "canary" not in repr(result)


def test_a_failing_status_is_a_failure(inbox: Inbox) -> None:
    inbox.answers = [Answer(status=503, headers={"Retry-After": "120"}, body=b"busy")]

    result = call(hook(inbox))

    assert (result.status, result.outcome) == ("failed", "http_status")
    assert result.message == "The receiver answered 503 Service Unavailable."
    assert result.response_body == "busy"
    assert result.retry_after.total_seconds() == 120


def test_a_redirect_is_not_followed(inbox: Inbox) -> None:
    inbox.answers = [Answer(status=302, headers={"Location": f"{inbox.url}elsewhere"}, body=b"")]

    result = call(hook(inbox))

    assert len(inbox.deliveries) == 1
    assert result.outcome == "http_status"
    assert "Redirects are not followed" in result.message


def test_validators_decide_over_a_2xx(inbox: Inbox) -> None:
    validators = [{"json_path": "$.data.ok", "expected_values": ["true"]}]
    inbox.answers = [Answer(body=b'{"data": {"ok": false}}')]

    result = call(hook(inbox, response_validators=validators))

    assert (result.status, result.outcome) == ("failed", "validation")
    assert result.message == '$.data.ok: expected "true", but found "false".'
    assert result.validation_results[0]["found"] == ["false"]
    assert call(hook(inbox, response_validators=validators)).outcome == "success"


def test_secrets_that_a_response_repeats_are_masked(inbox: Inbox) -> None:
    inbox.answers = [
        Answer(
            body=json.dumps({"you": "Bearer canary-token", "at": "/T0/canary-path"}).encode(),
            headers={"X-Echo": "canary-token"},
        )
    ]
    result = call(
        hook(
            inbox,
            headers={"Authorization": "Bearer canary-token"},
            response_validators=[{"json_path": "$.you", "expected_values": ["me"]}],
        )
    )

    assert result.response_body == '{"you": "***", "at": "***"}'
    assert result.response_headers["X-Echo"] == "***"
    assert "canary" not in result.message
    assert "canary" not in json.dumps(result.validation_results)


def test_a_long_response_is_judged_whole_and_stored_cut(inbox: Inbox, configure: Any) -> None:
    configure(MAX_RESPONSE_BODY=10)
    inbox.answers = [Answer(body=b'{"filler": "' + b"x" * 1000 + b'", "ok": 1}')]

    result = call(
        hook(inbox, response_validators=[{"json_path": "$.ok", "expected_values": ["1"]}])
    )

    assert result.outcome == "success"
    assert result.response_body == '{"filler":'
    assert result.response_truncated is True


def test_a_response_beyond_a_mebibyte_fails_its_validators(inbox: Inbox) -> None:
    inbox.answer = lambda delivery: Answer(body=b" " * (1024 * 1024) + b'{"ok": 1}')
    validators = [{"json_path": "$.ok", "expected_values": ["1"]}]

    result = call(hook(inbox, response_validators=validators))

    assert result.outcome == "validation"
    assert "longer than 1 MiB" in result.message
    assert result.response_truncated is True
    assert len(result.response_body) == 65536
    assert call(hook(inbox)).outcome == "success"


def test_bytes_that_no_database_takes_are_replaced(inbox: Inbox) -> None:
    inbox.answers = [Answer(body=b"\x00\xff\xfe text")]

    assert call(hook(inbox)).response_body == "\ufffd\ufffd\ufffd text"


def test_what_cannot_be_sent_is_a_result_and_no_call(inbox: Inbox) -> None:
    for webhook, outcome in (
        (hook(inbox, url="ftp://x"), "invalid_url"),
        (hook(inbox, body_template='{"t": "{{data.action|epoch}}"}'), "template"),
    ):
        result = call(webhook)
        assert (result.status, result.outcome) == ("failed", outcome)
        assert result.message
    assert inbox.deliveries == []


def test_a_bug_of_ours_is_a_result_too(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*args: object) -> None:
        raise ZeroDivisionError("".join(("can", "ary")))

    monkeypatch.setattr(send.Composer, "compose", explode)
    result = call(hook(inbox))

    assert (result.status, result.outcome) == ("failed", "error")
    assert "ZeroDivisionError" in result.message
    assert "failed unexpectedly (ZeroDivisionError)" in caplog.text
    # The place is told; neither the error's words nor its frames are.
    assert "in explode" in caplog.text
    assert "canary" not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)

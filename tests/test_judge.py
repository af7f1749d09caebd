"""Was it a success, and if not, why."""

from __future__ import annotations

import pytest

from auditwebhooks.delivery.judge import Judgement, judge
from auditwebhooks.enums import Outcome
from auditwebhooks.transport.messages import Response
from auditwebhooks.validation import Validator

OK = Validator(json_path="$.data.ok", expected_values=("true",))
FINE = b'{"data": {"ok": true}}'


@pytest.mark.parametrize(
    ("status", "words"),
    [(200, "200 OK"), (201, "201 Created"), (204, "204 No Content"), (299, "299")],
)
def test_2xx_without_validators_is_a_success(status, words):
    assert judge(Response(status=status, body=b"<html>"), []) == Judgement(
        outcome=Outcome.SUCCESS, message=f"The receiver answered {words}."
    )


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (101, "The receiver answered 101 Switching Protocols."),
        (199, "The receiver answered 199."),
        (
            300,
            "The receiver answered 300 Multiple Choices. "
            "Redirects are not followed: enter the final URL.",
        ),
        (
            302,
            "The receiver answered 302 Found. Redirects are not followed: enter the final URL.",
        ),
        (399, "The receiver answered 399. Redirects are not followed: enter the final URL."),
        (400, "The receiver answered 400 Bad Request."),
        (404, "The receiver answered 404 Not Found."),
        (410, "The receiver answered 410 Gone. The webhook was switched off."),
        (429, "The receiver answered 429 Too Many Requests."),
        (500, "The receiver answered 500 Internal Server Error."),
        (599, "The receiver answered 599."),
        (999, "The receiver answered 999."),
    ],
)
def test_other_statuses_fail_whatever_the_body_says(status, message):
    assert judge(Response(status=status, body=FINE), [OK]) == Judgement(
        outcome=Outcome.HTTP_STATUS, message=message
    )


@pytest.mark.parametrize(
    "failure",
    [
        Outcome.TIMEOUT,
        Outcome.CONNECTION,
        Outcome.TLS,
        Outcome.DNS,
        Outcome.BLOCKED_ADDRESS,
        Outcome.INVALID_URL,
        Outcome.ERROR,
    ],
)
def test_failure_on_the_way_is_the_outcome(failure):
    response = Response(failure=failure, message="Because.")
    assert judge(response, [OK]) == Judgement(outcome=failure, message="Because.")


def test_failure_goes_before_a_status_that_came():
    response = Response(status=200, body=FINE, failure=Outcome.TIMEOUT, message="Too slow.")
    assert judge(response, []).outcome == Outcome.TIMEOUT


def test_validators_that_pass_are_told():
    judgement = judge(Response(status=202, body=FINE), [OK])
    assert judgement.outcome == Outcome.SUCCESS
    assert judgement.message == "The receiver answered 202 Accepted."
    assert judgement.validation_results == (
        {
            "json_path": "$.data.ok",
            "expected_values": ["true"],
            "found": ["true"],
            "passed": True,
            "reading": "as written",
            "message": "",
        },
    )


def test_first_validator_that_fails_is_the_message_and_all_are_told():
    other = Validator(json_path="$.n", expected_values=("1",))
    judgement = judge(Response(status=200, body=b'{"ok": false, "n": 1}'), [OK, other])
    assert judgement.outcome == Outcome.VALIDATION
    assert judgement.message == '$.data.ok: expected "true", but found "false".'
    assert [result["passed"] for result in judgement.validation_results] == [False, True]


def test_long_body_fails_validators_and_nothing_else():
    response = Response(status=200, body=FINE, too_long=True)
    assert judge(response, []).outcome == Outcome.SUCCESS
    judgement = judge(response, [OK])
    assert judgement.outcome == Outcome.VALIDATION
    assert "longer than 1 MiB" in judgement.message


def test_empty_body_fails_validators():
    assert judge(Response(status=204), [OK]).outcome == Outcome.VALIDATION

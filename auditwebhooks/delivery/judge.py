"""Was it a success, and if not, why: one sentence for the operator. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from auditwebhooks.enums import Outcome
from auditwebhooks.retry import GONE
from auditwebhooks.transport.messages import Response
from auditwebhooks.validation import Redact, Validator, validate


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    outcome: Outcome
    message: str
    validation_results: tuple[dict[str, Any], ...] = ()


def judge(response: Response, validators: Sequence[Validator], redact: Redact = str) -> Judgement:
    """2xx, then every validator passes; redirects are not followed and fail. ``redact``: takes
    secrets out of what is said of the response."""
    if response.failure is not None:
        return Judgement(outcome=response.failure, message=response.message)
    status = response.status or 0
    if not 200 <= status < 300:
        return Judgement(outcome=Outcome.HTTP_STATUS, message=_refused(status))
    verdict = validate(response.body, validators, too_long=response.too_long, redact=redact)
    results = tuple(result.as_dict() for result in verdict.results)
    if not verdict.passed:
        return Judgement(
            outcome=Outcome.VALIDATION,
            message=verdict.message,
            validation_results=results,
        )
    return Judgement(
        outcome=Outcome.SUCCESS,
        message=f"The receiver answered {_words(status)}.",
        validation_results=results,
    )


def _refused(status: int) -> str:
    sentence = f"The receiver answered {_words(status)}."
    if 300 <= status < 400:
        return sentence + " Redirects are not followed: enter the final URL."
    if status == GONE:
        return sentence + " The webhook was switched off."
    return sentence


def _words(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)

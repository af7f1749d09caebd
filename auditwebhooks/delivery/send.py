"""One attempt from configuration to verdict. The only code path that calls a webhook: deliveries
and tests run through ``Sender``. Touches no database, so it runs in any thread."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from django.utils import timezone, translation

from auditwebhooks.conf import conf
from auditwebhooks.delivery.judge import Judgement, judge
from auditwebhooks.delivery.message import Composer, Message
from auditwebhooks.delivery.scrub import Scrubber
from auditwebhooks.enums import Outcome, Status
from auditwebhooks.exceptions import (
    EncryptionError,
    InvalidURLError,
    TemplateRenderError,
    TemplateSyntaxError,
)
from auditwebhooks.models import Invocation, Webhook
from auditwebhooks.retry import retry_after
from auditwebhooks.storable import storable
from auditwebhooks.transport.client import Client
from auditwebhooks.transport.messages import Request, Response
from auditwebhooks.validation import Validator

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an attempt came to, ready to be stored: everything secret is masked."""

    outcome: Outcome
    message: str
    started_at: datetime
    finished_at: datetime
    duration_ms: int = 0
    timings: Mapping[str, float] = field(default_factory=dict)
    request_method: str = ""
    request_url: str = ""
    request_headers: Mapping[str, str] = field(default_factory=dict)
    request_body: str = ""
    response_status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response_body: str = ""
    response_truncated: bool = False
    validation_results: tuple[dict[str, Any], ...] = ()
    # What the receiver asked to wait before the next call.
    retry_after: timedelta | None = None

    @property
    def status(self) -> Status:
        return Status.SUCCEEDED if self.outcome == Outcome.SUCCESS else Status.FAILED

    def write_to(self, invocation: Invocation) -> None:
        invocation.status = self.status
        invocation.outcome = self.outcome
        invocation.message = self.message
        invocation.started_at = self.started_at
        invocation.finished_at = self.finished_at
        invocation.duration_ms = self.duration_ms
        invocation.timings = dict(self.timings)
        invocation.request_method = self.request_method
        invocation.request_url = self.request_url
        invocation.request_headers = dict(self.request_headers)
        invocation.request_body = self.request_body
        invocation.response_status = self.response_status
        invocation.response_headers = dict(self.response_headers)
        invocation.response_body = self.response_body
        invocation.response_truncated = self.response_truncated
        invocation.validation_results = list(self.validation_results)


def attempt(webhook: Webhook, message: Message) -> Result:
    """Make one call, over a connection of its own: see ``Sender.attempt``."""
    with translation.override(None), Client() as client:
        return Sender(webhook, client).attempt(message)


class Sender:
    """Makes the calls of one webhook as it is configured now. Safe to use from several threads.

    What all of them have in common is made ready at the first. Each return from the network finds
    the processor's caches cold, so that every line here costs three times what it costs in a loop.
    """

    def __init__(self, webhook: Webhook, client: Client) -> None:
        self.webhook = webhook
        self.client = client
        self._composer: Composer | None = None
        self._validators: list[Validator] = []

    def attempt(self, message: Message) -> Result:
        """Make one call. Whatever happens is a Result, nothing is raised.

        Its message is stored, and read by others: no language may be active.
        """
        started_at = timezone.now()
        try:
            return self._attempt(message, started_at)
        except Exception as error:  # noqa: BLE001 - whatever happens is a Result
            _log(error)
            return self._unsent(
                started_at,
                Outcome.ERROR,
                f"The attempt failed unexpectedly ({type(error).__name__}); see the worker's log.",
            )

    def _attempt(self, message: Message, started_at: datetime) -> Result:
        try:
            composer = self._composer or self._make_ready()
            request = composer.compose(message, started_at)
        except InvalidURLError as error:
            return self._unsent(started_at, Outcome.INVALID_URL, str(error))
        except EncryptionError as error:
            return self._unsent(started_at, Outcome.CONFIG, str(error))
        except (TemplateRenderError, TemplateSyntaxError) as error:
            return self._unsent(started_at, Outcome.TEMPLATE, str(error))
        response = self.client.send(request)
        scrub = _scrubber(composer.secrets(started_at))
        judgement = judge(response, self._validators, scrub)
        return self._sent(
            request, composer.storable_headers(request), response, judgement, scrub, started_at
        )

    def _make_ready(self) -> Composer:
        self._validators = list(map(Validator.from_dict, self.webhook.response_validators))
        self._composer = Composer(self.webhook)
        return self._composer

    def _unsent(self, started_at: datetime, outcome: Outcome, message: str) -> Result:
        return Result(
            outcome=outcome,
            message=message,
            started_at=started_at,
            finished_at=timezone.now(),
            request_method=self.webhook.method,
            request_url=self.webhook.masked_url,
        )

    def _sent(
        self,
        request: Request,
        storable_headers: Mapping[str, str],
        response: Response,
        judgement: Judgement,
        scrub: Scrubber,
        started_at: datetime,
    ) -> Result:
        finished_at = timezone.now()
        limit = conf.max_response_body
        is_cut = response.too_long or len(response.body) > limit
        return Result(
            outcome=judgement.outcome,
            message=judgement.message,
            started_at=started_at,
            finished_at=finished_at,
            duration_ms=response.duration_ms,
            timings=response.timings,
            request_method=request.method,
            request_url=self.webhook.masked_url,
            request_headers=storable_headers,
            request_body=_text(request.body or b""),
            response_status=response.status,
            response_headers={
                scrub(storable(name)): scrub(storable(response.headers[name]))
                for name in response.headers
            },
            response_body=scrub(_text(response.body[:limit]), is_cut=is_cut),
            response_truncated=is_cut,
            validation_results=judgement.validation_results,
            retry_after=retry_after(
                response.headers.get("Retry-After"), response.status, datetime.now(UTC)
            ),
        )


@lru_cache(maxsize=64)
def _scrubber(secrets: tuple[str, ...]) -> Scrubber:
    """Spelling the secrets out takes longer than looking for them."""
    return Scrubber(secrets)


def _log(error: Exception) -> None:
    """Where it happened, but not the error's own words, which may hold a secret, nor its frames,
    whose variables an error reporter would send along."""
    logger.error(
        "An attempt failed unexpectedly (%s):\n%s",
        type(error).__name__,
        "".join(traceback.format_tb(error.__traceback__)),
    )


def _text(raw: bytes) -> str:
    return storable(raw.decode("utf-8", "replace"))

"""Sentences that are stored in English are known where they are shown."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import ProtocolError, ProxyError

from auditwebhooks.delivery.health import HOPELESS_AFTER, HOPELESS_FAILURES, _why_hopeless
from auditwebhooks.delivery.judge import judge
from auditwebhooks.enums import Phase
from auditwebhooks.exceptions import BlockedAddressError, LongHeadError, UnknownHostError
from auditwebhooks.journal import DISCARDED, SENT_AGAIN, TESTED
from auditwebhooks.models import WebhookHealth
from auditwebhooks.sentences import shown
from auditwebhooks.transport.call import Call
from auditwebhooks.transport.failures import explain
from auditwebhooks.transport.guard import judge_spelled_out, judged_addresses
from auditwebhooks.transport.messages import Response
from auditwebhooks.validation import Validator


def failure(error: Exception, phase: Phase = Phase.WAIT) -> str:
    call = Call(2.5)
    call.enter(phase)
    return explain(error, call)[1]


def answer(status: int, body: bytes = b"", path: str = "$.data.ok", **more: Any) -> str:
    validators = [Validator(json_path=path, expected_values=("true", "1"))]
    return judge(Response(status=status, body=body, **more), validators).message


def blocked(host: str) -> str:
    with pytest.raises(BlockedAddressError) as caught:
        judge_spelled_out(host)
    return str(caught.value)


def leads_to(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("auditwebhooks.transport.guard.resolve", lambda *args: [address])
    with pytest.raises(BlockedAddressError) as caught:
        judged_addresses("hooks.example.com", 443, 1)
    return str(caught.value)


def hopeless() -> str:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)
    health = WebhookHealth(
        failing_since=now - HOPELESS_AFTER - timedelta(hours=1),
        consecutive_failures=HOPELESS_FAILURES,
    )
    result = SimpleNamespace(finished_at=now, message=answer(503))
    return _why_hopeless(health, SimpleNamespace(result=result))  # type: ignore[arg-type]


LOST = ProtocolError("Connection aborted.", http.client.RemoteDisconnected("x"))

# What the code says today, and what somebody in Germany reads of it.
SAID: list[tuple[Callable[[], str], str]] = [
    (lambda: answer(200, b'{"ok":true}'), "Der Empfänger antwortete mit 200 OK."),
    (lambda: answer(503), "Der Empfänger antwortete mit 503 Service Unavailable."),
    (lambda: answer(302), "302 Found. Weiterleitungen wird nicht gefolgt"),
    (lambda: answer(410), "410 Gone. Der Webhook wurde ausgeschaltet."),
    (
        lambda: answer(200, b'{"ok":false}'),
        'erwartet wurde "true" oder "1", gefunden wurde "false".',
    ),
    (lambda: answer(200, b"{}"), "gefunden wurde nichts."),
    (lambda: answer(200, b"<"), "aber die Antwort ist kein lesbares JSON."),
    (lambda: answer(200, b"{}", too_long=True), "aber die Antwort ist länger als 1 MiB."),
    *(
        (lambda phase=phase: failure(TimeoutError(), phase), "innerhalb von 2.5 Sekunden: ")  # type: ignore[misc]
        for phase in Phase
    ),
    (lambda: failure(LOST), "Die Verbindung ist fehlgeschlagen: der Empfänger schloss sie"),
    (lambda: failure(LongHeadError()), "die Header der Antwort sind länger als 64 KiB."),
    (lambda: failure(http.client.IncompleteRead(b"")), "die Antwort endete vorzeitig oder ist"),
    (lambda: failure(http.client.BadStatusLine("x")), "die Antwort ist kein gültiges HTTP."),
    (lambda: failure(OSError(111, "Connection refused")), "Verbindung abgelehnt."),
    (lambda: failure(ProxyError("x", OSError())), "Die Verbindung ist am Proxy"),
    (lambda: failure(ssl.SSLError(1, "bad")), "TLS ist fehlgeschlagen: "),
    (lambda: failure(requests.exceptions.InvalidURL("x")), "Die URL oder ein Header kann nicht"),
    (lambda: failure(KeyError("x")), "Der Aufruf ist unerwartet fehlgeschlagen (KeyError)."),
    (lambda: blocked("10.0.0.1"), "10.0.0.1 ist keine öffentliche Adresse."),
    (lambda: blocked("169.254.169.254"), "169.254.169.254 ist eine Adresse für Cloud-Metadaten."),
    (hopeless, f"{HOPELESS_FAILURES} Zustellungen sind seit 2026-01-28 11:00 UTC fehlgeschlagen"),
    (hopeless, "Die letzte: Der Empfänger antwortete mit 503 Service Unavailable."),
    (lambda: SENT_AGAIN, "Erneut gesendet."),
    (lambda: DISCARDED % {"number": 3}, "Wartendes verworfen: 3"),
    (lambda: TESTED % {"result": "Test failed"}, "Getestet: Test fehlgeschlagen"),
]


@pytest.mark.parametrize(("say", "german"), SAID)
def test_a_stored_sentence_is_read_in_the_language_that_is_active(
    say: Callable[[], str], german: str
) -> None:
    stored = say()

    with translation.override("de"):
        assert german in shown(stored)
    with translation.override("en"):
        assert shown(stored) == stored


@pytest.mark.parametrize(
    ("address", "german"),
    [
        ("10.0.0.1", "hooks.example.com führt zu 10.0.0.1, einer Adresse, die nicht öffentlich"),
        ("169.254.169.254", "hooks.example.com führt zu 169.254.169.254, einer Adresse für Cloud"),
    ],
)
def test_where_a_name_leads_is_told(
    address: str, german: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = leads_to(address, monkeypatch)

    with translation.override("de"):
        assert german in shown(stored)


def test_a_certificate_that_is_not_trusted_is_told() -> None:
    error = ssl.SSLCertVerificationError()
    error.verify_message = "certificate has expired"
    stored = failure(error)

    with translation.override("de"):
        assert "wird nicht vertraut (certificate has expired)" in shown(stored)


def test_names_that_are_not_found_are_told() -> None:
    stored = failure(UnknownHostError("a.example could not be resolved in time."))

    with translation.override("de"):
        assert shown(stored) == "a.example konnte nicht rechtzeitig aufgelöst werden."


def test_what_is_expected_is_read_as_one_sentence() -> None:
    stored = '$.a: expected "x" or "a or b" or "%(one)s", but found nothing.'

    with translation.override("de"):
        assert '"x" oder "a or b" oder "%(one)s"' in shown(stored)
    with translation.override("he"):
        assert '"x" או "a or b" או "%(one)s"' in shown(stored)


@given(st.text())
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    with translation.override("en"):
        assert shown(text) == text


def test_what_a_host_stored_is_never_filled_in_twice() -> None:
    with translation.override("de"):
        assert shown("Tested: %(result)s %s") == "Getestet: %(result)s %s"

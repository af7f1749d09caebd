"""The curl commands of the documents, run as they stand against the test client."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client

from auditwebhooks.models import Event, Replay, Webhook
from auditwebhooks.receiver import Answer
from tests.conftest import Inbox
from tests.documents import blocks, page
from tests.factories import make_event, make_invocation

pytestmark = pytest.mark.django_db

SITE = "https://your.site"
RECEIVER = "https://siem.example.com/in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    command: str
    # What the line behind it says.
    status: int
    answer: str


def examples(name: str) -> Iterator[Example]:
    for block in blocks(page(name), "sh"):
        for command, status, answer in re.findall(
            r"^(curl .*?)\n# (\d{3})(.*?)$", block.text, re.DOTALL | re.MULTILINE
        ):
            yield Example(command=command, status=int(status), answer=answer)


def run(command: str, known: dict[str, str]) -> HttpResponse:
    """As curl would send it: -u, -X, -H and -d, shell variables filled in."""
    # In the shell a variable is filled in between double quotes only, or bare.
    for name, value in known.items():
        command = command.replace(f"${name}", value.replace('"', '\\"'))
    assert "$" not in re.sub(r"'[^']*'", "", command, flags=re.DOTALL), command
    words = iter(shlex.split(command)[1:])
    url, method, body, headers = "", "", None, {}
    for word in words:
        if word == "-u":
            credentials = base64.b64encode(next(words).encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        elif word == "-X":
            method = next(words)
        elif word == "-H":
            key, _, value = next(words).partition(": ")
            headers[key] = value
        elif word == "-d":
            body = next(words)
        else:
            url = word
    assert url.startswith(f"{SITE}/api/audit/"), url
    content_type = headers.pop("Content-Type", "application/x-www-form-urlencoded")
    answer: HttpResponse = Client().generic(
        method or ("GET" if body is None else "POST"),
        url.removeprefix(SITE),
        body or "",
        content_type=content_type,
        headers=headers,
    )
    return answer


def test_every_example_answers_what_it_says(inbox: Inbox) -> None:
    User.objects.create_superuser("ops", password="...")
    inbox.answer = lambda delivery: Answer(body=b'{"data": {"ok": true}}')
    event = make_event(
        created_at=datetime(2026, 11, 1, 12, tzinfo=UTC), event_type="shop.x.created"
    )
    known = {"EVENT": event.event_id}
    done = 0

    for example in examples("docs/api.md"):
        answer = run(example.command.replace(RECEIVER, inbox.url), known)

        assert answer.status_code == example.status, (example.command, answer.content)
        for word in re.findall(r'"(\w+)":', example.answer):
            assert word in answer.json(), example.command
        if answer.status_code == 201 and "WEBHOOK" not in known:
            webhook = Webhook.objects.get()
            known |= {"WEBHOOK": str(webhook.pk), "ETAG": answer["ETag"]}
            gone = make_invocation(webhook, event=event, status="failed", outcome="timeout")
            known["INVOCATION"] = str(gone.pk)
        if answer.status_code == 202:
            known["REPLAY"] = str(Replay.objects.get().pk)
        done += 1

    assert done >= 14
    assert Webhook.objects.get().timeout_in_sec == 20
    assert Event.objects.filter(event_id=known["EVENT"]).exists()
    # The two tests.
    assert len(inbox.deliveries) == 2


def test_every_curl_command_says_what_it_is_answered() -> None:
    told = page("docs/api.md").count("\ncurl ")

    assert told == len(list(examples("docs/api.md"))) > 0

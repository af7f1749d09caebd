"""The recipes of the documents: the form takes each, and its body is what its receiver asks for.

``RECEIVERS`` says what that is, after the receivers' documentation of November 2026.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from jsonschema import Draft202012Validator, FormatChecker

from auditwebhooks import context, payload, record
from auditwebhooks.delivery.judge import judge
from auditwebhooks.delivery.message import Composer, Message
from auditwebhooks.enums import Outcome
from auditwebhooks.models import Event, Webhook
from auditwebhooks.rules import MASK
from auditwebhooks.transport.messages import Request, Response
from auditwebhooks.validation import Validator
from tests.documents import blocks, headings, page, section
from tests.testapp.models import Article

pytestmark = pytest.mark.django_db

TEXT = page("docs/recipes.md")


def text(most: int) -> dict[str, Any]:
    return {"type": "string", "minLength": 1, "maxLength": most}


def exactly(value: Any) -> dict[str, Any]:
    return {"const": value}


def holding(properties: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Any:
    """An object with these properties; others may be there."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
    }


def listing(*kinds: Any) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "items": {"anyOf": kinds}}


# The times of all of them: ISO 8601 with a zone.
TIME = {"type": "string", "format": "moment"}
SOME_ID = {"type": "string", "pattern": "^[0-9a-f-]{36}$"}
ADDRESS = {"anyOf": [{"type": "null"}, {"type": "string", "format": "ipv4"}]}
TEXT_OR_NOTHING = {"type": ["string", "null"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Receiver:
    body: Any
    # Bytes that it takes.
    most: int
    headers: tuple[str, ...] = ()
    accepts: tuple[int, bytes] = (200, b"")
    # A 2xx that is no success, where there is such a thing.
    refuses: tuple[int, bytes] | None = None
    validators: int = 0
    # Keys that must not be there: a receiver that is strict.
    closed: frozenset[str] = field(default_factory=frozenset)


PLAIN = holding({"type": exactly("plain_text"), "text": text(3000)})

RECEIVERS: dict[str, Receiver] = {
    "Slack": Receiver(
        # Incoming webhooks; Block Kit: section and context.
        body=holding(
            {
                "text": text(40_000),
                "blocks": listing(
                    holding({"type": exactly("section"), "text": PLAIN}),
                    holding({"type": exactly("context"), "elements": listing(PLAIN)}),
                ),
            }
        ),
        most=100_000,
        accepts=(200, b"ok"),
    ),
    "Microsoft Teams": Receiver(
        # Workflows: an Adaptive Card as the attachment of a message.
        body=holding(
            {
                "type": exactly("message"),
                "attachments": listing(
                    holding(
                        {
                            "contentType": exactly("application/vnd.microsoft.card.adaptive"),
                            "content": holding(
                                {
                                    "type": exactly("AdaptiveCard"),
                                    "version": {"enum": ["1.2", "1.3", "1.4", "1.5"]},
                                    "body": listing(
                                        holding(
                                            {"type": exactly("TextBlock"), "text": text(1000)}
                                        ),
                                        holding(
                                            {
                                                "type": exactly("RichTextBlock"),
                                                "inlines": listing(
                                                    holding(
                                                        {
                                                            "type": exactly("TextRun"),
                                                            "text": text(2000),
                                                        }
                                                    )
                                                ),
                                            }
                                        ),
                                    ),
                                }
                            ),
                        }
                    )
                ),
            }
        ),
        most=28 * 1024,
        accepts=(202, b""),
    ),
    "Splunk": Receiver(
        # HTTP Event Collector, /services/collector/event.
        body=holding(
            {"event": {"type": "object", "minProperties": 1}},
            {
                "time": {"type": "number", "minimum": 1_000_000_000},
                "host": text(255),
                "source": text(255),
                "sourcetype": text(255),
            },
        ),
        closed=frozenset({"time", "host", "source", "sourcetype", "index", "event", "fields"}),
        most=1024 * 1024,
        headers=("Authorization",),
        accepts=(200, b'{"text":"Success","code":0}'),
        refuses=(200, b'{"text":"Server is busy","code":9}'),
        validators=1,
    ),
    "Datadog": Receiver(
        # Logs, v2: HTTPLogItem.
        body=holding(
            {"message": text(1024 * 1024)},
            {
                "ddsource": text(200),
                "ddtags": {"type": "string", "pattern": r"^[\w.-]+:[\w.-]+(,[\w.-]+:[\w.-]+)*$"},
                "service": text(200),
                "timestamp": TIME,
                "usr": holding({"id": text(1000)}),
                "network": holding({"client": holding({"ip": ADDRESS})}),
            },
        ),
        most=1_000_000,
        headers=("DD-API-KEY",),
        accepts=(202, b"{}"),
    ),
    "Elastic": Receiver(
        # A document of a data stream, in the Elastic Common Schema.
        body=holding(
            {
                "@timestamp": TIME,
                "event": holding(
                    {
                        "id": SOME_ID,
                        "kind": exactly("event"),
                        "action": text(255),
                        "dataset": text(255),
                        "original": text(100_000),
                    }
                ),
            },
            {
                "message": text(10_000),
                "user": holding({"id": text(255), "name": text(255)}),
                "source": holding({"ip": ADDRESS}),
                "labels": {"type": "object", "additionalProperties": TEXT_OR_NOTHING},
            },
        ),
        most=100 * 1024 * 1024,
        headers=("Authorization",),
        accepts=(201, b'{"_index": ".ds-logs", "_id": "a", "result": "created"}'),
        refuses=(200, b'{"_index": ".ds-logs", "_id": "a", "result": "noop"}'),
        validators=1,
    ),
    "PagerDuty": Receiver(
        # Events API v2: a trigger, PD-CEF.
        body=holding(
            {
                "routing_key": text(32) | {"minLength": 32},
                "event_action": {"enum": ["trigger", "acknowledge", "resolve"]},
                "dedup_key": text(255),
                "payload": holding(
                    {
                        "summary": text(1024),
                        "source": text(255),
                        "severity": {"enum": ["critical", "error", "warning", "info"]},
                    },
                    {
                        "timestamp": TIME,
                        "component": TEXT_OR_NOTHING,
                        "class": text(255),
                        "custom_details": {"type": "object"},
                    },
                ),
            }
        ),
        most=512 * 1024,
        accepts=(202, b'{"status":"success","message":"Event processed","dedup_key":"a"}'),
        refuses=(202, b'{"status":"invalid event","message":"Event object is invalid"}'),
        validators=1,
    ),
    "Any other SIEM": Receiver(
        body=holding(
            {
                "id": SOME_ID,
                "type": text(255),
                "time": TIME,
                "actor": holding({"id": text(255), "name": text(255), "ip": ADDRESS}),
                "source": text(255),
                "action": text(255),
                "target": holding({"id": TEXT_OR_NOTHING, "name": TEXT_OR_NOTHING}),
                "changed": {"type": ["array", "null"], "items": text(255)},
                "before": {"type": ["object", "null"]},
                "after": {"type": ["object", "null"]},
            }
        ),
        most=16 * 1024 * 1024,
        headers=("Authorization",),
    ),
}

CHECKER = FormatChecker(formats=["ipv4"])


@CHECKER.checks("moment", raises=ValueError)
def _is_moment(value: object) -> bool:
    return isinstance(value, str) and datetime.fromisoformat(value).tzinfo is not None


def webhook_of(name: str) -> Webhook:
    """The recipe as the form would take it."""
    told = section(TEXT, name)
    [template] = blocks(told, "json")
    lines = dict(re.findall(r"^- \*\*([\w ]+)\*\*: (.+)$", told, re.MULTILINE))
    headers = dict(
        found.groups()
        for found in [re.fullmatch(r"`([\w-]+): (.+)`", lines.get("Header", ""))]
        if found
    )
    validators = [
        {"json_path": path, "expected_values": [value]}
        for path, value in re.findall(r"`(\$[^`]+)` is `([^`]+)`", lines.get("Validator", ""))
    ]
    return Webhook(
        name=name,
        url=lines["URL"].strip("`"),
        headers=headers,
        body_template=template.text,
        response_validators=validators,
        event_types=re.findall(r"`([^`]+)`", lines.get("Event Types", "")),
        max_per_minute=int(lines["Most calls a minute"].strip("`"))
        if "Most calls a minute" in lines
        else None,
    )


def sent(webhook: Webhook, payload_text: str) -> Request:
    message = Message(id="msg_1", attempt=1, payload_text=payload_text)
    return Composer(webhook).compose(message, timezone.now())


def real_events() -> list[Event]:
    """Of each kind, and of those that have no target or hold what a stranger typed."""
    with context(actor="nightly-import", source="integration"):
        article = Article.objects.create(title='Quotes " and {{data.actor_id}} <!channel>\n\u2028')
        article.title = "x" * 100
        article.save()
        article.delete()
    User.objects.create(username="ada", password="hunter2")
    record("approve")
    return list(Event.objects.order_by("id"))


recipes = pytest.mark.parametrize("name", RECEIVERS)


def test_every_recipe_is_tested() -> None:
    assert headings(TEXT)[1:] == list(RECEIVERS)


@recipes
def test_the_form_takes_it(name: str) -> None:
    webhook = webhook_of(name)
    receiver = RECEIVERS[name]

    webhook.full_clean()
    webhook.save()

    stored = Webhook.objects.get()
    assert tuple(stored.headers) == receiver.headers
    assert set(stored.headers.values()) <= {MASK}
    assert len(stored.response_validators) == receiver.validators
    assert stored.masked_url.endswith("/***")


@recipes
def test_the_receiver_gets_what_it_asks_for(name: str) -> None:
    webhook, receiver = webhook_of(name), RECEIVERS[name]
    schema = Draft202012Validator(receiver.body, format_checker=CHECKER)
    events = real_events()
    assert {event.action for event in events} == {"create", "update", "delete", "approve"}

    for payload_text in (
        payload.sample(1_764_000_000_123_456_789).as_text(),
        *(event.payload_text for event in events),
    ):
        request = sent(webhook, payload_text)

        assert request.method == "POST"
        assert request.headers["Content-Type"] == "application/json"
        assert request.body is not None
        assert len(request.body) <= receiver.most
        body = json.loads(request.body)
        assert [error.message for error in schema.iter_errors(body)] == []
        if receiver.closed:
            assert set(body) <= receiver.closed


@recipes
def test_nothing_of_a_placeholder_is_left(name: str) -> None:
    body = sent(webhook_of(name), payload.sample(1_764_000_000_123_456_789).as_text()).body

    assert body is not None
    assert b"{{" not in body
    assert b"access.accessflow.updated" in body
    assert b"Ada Lovelace" in body or b"ada@example.com" in body


@recipes
def test_the_answers_of_the_receiver_are_told_apart(name: str) -> None:
    webhook, receiver = webhook_of(name), RECEIVERS[name]
    validators = [Validator.from_dict(one) for one in webhook.response_validators]
    status, answer = receiver.accepts

    assert judge(Response(status=status, body=answer), validators).outcome == Outcome.SUCCESS
    if receiver.refuses is not None:
        status, answer = receiver.refuses
        judged = judge(Response(status=status, body=answer), validators)
        assert judged.outcome == Outcome.VALIDATION


def test_what_people_typed_is_no_markup_in_chats() -> None:
    """A name such as <!channel> would call everybody; plain text does not."""
    event = next(event for event in real_events() if event.target_type == "article")

    slack = json.loads(sent(webhook_of("Slack"), event.payload_text).body or b"")
    assert "<!channel>" not in slack["text"]
    for block in slack["blocks"]:
        for element in [block["text"]] if "text" in block else block["elements"]:
            assert element["type"] == "plain_text"
    teams = json.loads(sent(webhook_of("Microsoft Teams"), event.payload_text).body or b"")
    card = teams["attachments"][0]["content"]["body"]
    told = [one for one in card if "<!channel>" in json.dumps(one)]
    assert [one["type"] for one in told] == ["RichTextBlock"]

"""What a body template makes of an event."""

from __future__ import annotations

import json

import pytest

from auditwebhooks.delivery.preview import MOST, Preview, preview
from auditwebhooks.delivery.trial import send_test
from auditwebhooks.models import Event
from auditwebhooks.payload import VARIABLES, sample
from auditwebhooks.templating.template import compile_template
from tests.conftest import Inbox
from tests.factories import make_event, make_webhook


def recorded(**data: object) -> Event:
    made = sample(1_764_000_000_123_456_000).as_dict()
    made["data"].update(data)
    return Event(payload_text=json.dumps(made))


def test_the_mock_event_is_what_is_shown_first() -> None:
    made = preview('{"who": "{{data.actor_name}}", "all": "{{data.current_target_object}}"}')

    assert made.body.splitlines()[1] == '    "who": "Ada Lovelace",'
    assert json.loads(made.body)["all"] == {"id": 42, "name": "Prod DB read", "active": True}
    assert (made.error, made.line, made.column) == ("", None, None)


def test_a_recorded_event_is_shown_as_it_would_be_sent() -> None:
    made = preview('{"n": "{{data.target_name}}"}', recorded(target_name='a "b" <c>'))

    assert made.body == '{\n    "n": "a \\"b\\" <c>"\n}'
    assert made.size == len(b'{"n":"a \\"b\\" <c>"}')


@pytest.mark.django_db
def test_it_is_what_a_test_sends(inbox: Inbox) -> None:
    event = make_event()
    webhook = make_webhook(url=inbox.url, body_template='{"é": ["{{data}}", 1.50]}')
    send_test(webhook, event)

    [delivery] = inbox.deliveries
    made = preview(webhook.body_template, event)
    assert json.loads(delivery.body) == json.loads(made.body)
    assert len(delivery.body) == made.size
    assert "1.50" in made.body


def test_an_error_is_told_with_its_place() -> None:
    made = preview('{\n  "a": "{{data.nobody}}"\n}')

    assert (made.line, made.column, made.body) == (2, 11, "")
    assert made.error.startswith("Line 2, column 11: There is no variable")


def test_a_value_that_a_filter_cannot_take_is_an_error_without_a_place() -> None:
    made = preview('{"a": "{{data.target_name|epoch}}"}')

    assert made.error
    assert (made.line, made.body) == (None, "")


@pytest.mark.parametrize("template", ["", " \n"])
def test_no_template_makes_no_body(template: str) -> None:
    assert preview(template) == Preview()


def test_of_a_long_body_the_beginning_is_shown() -> None:
    made = preview('{"n": "{{data.target_name}}"}', recorded(target_name="é" * MOST))

    assert made.is_cut
    assert made.body == '{"n":"' + "é" * (MOST - 6)
    assert made.size == 2 * MOST + len('{"n":""}')


def test_what_no_page_can_hold_is_replaced() -> None:
    made = preview(r'{"a": "\ud800", "n": "{{data.target_name}}"}', recorded(target_name="\udfff"))

    assert made.body.encode()
    assert made.size == len(b'{"a":"?","n":"?"}')


def test_templates_that_are_only_looked_at_push_none_out_of_the_cache() -> None:
    before = compile_template.cache_info()
    preview('{"typed": "just now"}')

    assert compile_template.cache_info() == before
    compile_template('{"typed": "just now"}', VARIABLES)
    assert compile_template.cache_info().misses == before.misses + 1

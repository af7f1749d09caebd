"""The events that a test or a preview may be made with."""

from __future__ import annotations

import json
from typing import Any

import pytest

from auditwebhooks.delivery import samples
from auditwebhooks.delivery.samples import newest, payload_text, recorded
from tests.factories import make_event

pytestmark = pytest.mark.django_db


def test_the_newest_that_pass_the_filter_are_offered(
    monkeypatch: pytest.MonkeyPatch, django_assert_num_queries: Any
) -> None:
    monkeypatch.setattr(samples, "OFFERED", 2)
    wanted = [make_event(event_type="own.word") for _number in range(3)]
    make_event(event_type="other.word")

    with django_assert_num_queries(1) as queries:
        found = newest(["own.*"])
        assert [event.target_name for event in found]
    assert found == [wanted[2], wanted[1]]
    assert "payload_text" not in queries.captured_queries[0]["sql"]
    assert newest([])[0].event_type == "other.word"


def test_only_the_latest_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_LATEST", 2)
    make_event(event_type="own.word")
    for _number in range(2):
        make_event(event_type="other.word")

    assert newest(["own.*"]) == []


def test_an_event_is_found_by_its_id_however_it_is_spelled() -> None:
    event = make_event()

    for text in (event.event_id, event.event_id.upper(), f" {event.event_id.replace('-', '')} "):
        assert recorded(text) == event


@pytest.mark.parametrize(
    "text", ["", "1", "x" * 5000, "\x00", "\ud800", "0190163d-8694-739b-aea5-966c26f8ad91"]
)
def test_what_is_no_event_s_id_finds_none(text: str) -> None:
    make_event()

    assert recorded(text) is None


def test_without_an_event_it_is_the_mock_one() -> None:
    event = make_event()

    assert payload_text(event) == event.payload_text
    assert json.loads(payload_text(None))["data"]["target_name"] == "Prod DB read"
    assert json.loads(payload_text(None))["event_id"] != json.loads(payload_text(None))["event_id"]

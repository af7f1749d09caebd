"""The payload of an event: its shape, its text, its identity."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.enums import Action, ActorType, Source
from auditwebhooks.payload import (
    FIELDS,
    VARIABLES,
    Mould,
    Payload,
    new_event_id,
    sample,
    time_text,
)
from auditwebhooks.templating.template import compile_template

NOW = 1764000000_123456789


def made(**changes: Any) -> Payload:
    parts: dict[str, Any] = {
        "event_id": "e",
        "event_type": "shop.order.created",
        "event_time": "1.000000000",
        "action": "create",
        "actor_id": "ada",
        "actor_name": "Ada",
        "actor_type": "user",
        "source": "API",
        "target_id": "1",
        "target_type": "order",
        "target_name": "Order 1",
        "metadata": {},
        "current_target_object": None,
        "previous_target_object": None,
    }
    return Payload(**{**parts, **changes})


# --- shape --------------------------------------------------------------------------------


def test_payload_has_this_shape_and_no_other():
    payload = made(
        metadata={"ip": "1.1.1.1"},
        current_target_object={"id": 1},
        previous_target_object={"id": 0},
    ).as_dict()
    assert payload == {
        "event_id": "e",
        "event_type": "shop.order.created",
        "event_time": "1.000000000",
        "data": {
            "timestamp": "1.000000000",
            "action": "create",
            "actor_id": "ada",
            "actor_name": "Ada",
            "actor_type": "user",
            "source": "API",
            "target_id": "1",
            "target_type": "order",
            "target_name": "Order 1",
            "metadata": {"ip": "1.1.1.1"},
            "current_target_object": {"id": 1},
            "previous_target_object": {"id": 0},
        },
    }
    assert list(payload) == ["event_id", "event_type", "event_time", "data"]
    assert list(payload["data"]) == [
        "timestamp",
        "action",
        "actor_id",
        "actor_name",
        "actor_type",
        "source",
        "target_id",
        "target_type",
        "target_name",
        "metadata",
        "current_target_object",
        "previous_target_object",
    ]


def test_payload_cannot_be_changed():
    with pytest.raises(AttributeError):
        made().event_id = "other"


def test_every_documented_field_is_there_and_every_field_documented():
    payload = made().as_dict()
    paths = [*payload, *(f"data.{name}" for name in payload["data"])]
    assert sorted(field.path for field in FIELDS) == sorted(paths)
    assert all(field.meaning and field.type for field in FIELDS)


def test_documented_types_hold_for_the_sample():
    kinds = {
        "string": str,
        "string or null": str,
        "object": dict,
        "object or null": dict,
    }
    payload = sample(NOW).as_dict()
    values = {**payload, **{f"data.{name}": value for name, value in payload["data"].items()}}
    for field in FIELDS:
        assert isinstance(values[field.path], kinds[field.type])


def test_what_may_be_null_is_documented_so():
    assert [field.path for field in FIELDS if field.type.endswith(" or null")] == [
        "data.target_id",
        "data.target_type",
        "data.target_name",
        "data.current_target_object",
        "data.previous_target_object",
    ]


def test_documented_values_are_the_vocabularies():
    values = {field.path: field.values for field in FIELDS if field.values}
    assert values == {
        "data.action": tuple(Action.values),
        "data.actor_type": tuple(ActorType.values),
        "data.source": tuple(Source.values),
    }


def test_vocabularies_of_the_contract():
    assert Action.values == ["create", "update", "delete"]
    assert [action.past for action in Action] == ["created", "updated", "deleted"]
    assert ActorType.values == ["user", "service_account", "system", "anonymous"]
    assert Source.values == [
        "web application",
        "API",
        "Terraform",
        "integration",
        "management command",
        "background task",
        "shell",
    ]


def test_templates_may_name_every_field_and_look_into_three():
    assert {name for name in VARIABLES if name.endswith(".*")} == {
        "data.metadata.*",
        "data.current_target_object.*",
        "data.previous_target_object.*",
    }
    assert {name for name in VARIABLES if not name.endswith(".*")} == {
        field.path for field in FIELDS
    }
    payload = sample(NOW).as_dict()
    for field in FIELDS:
        template = compile_template(f'["{{{{{field.path}}}}}"]', VARIABLES)
        value = payload
        for name in field.path.split("."):
            value = value[name]
        assert json.loads(template.render(payload)) == [value]


# --- text ---------------------------------------------------------------------------------


def test_text_is_compact_ascii_json_of_the_same_payload():
    payload = made(actor_name='nul \x00 lone \ud800 "\U0001f600"', metadata={"a": [1, None]})
    text = payload.as_text()
    assert text.isascii()
    assert "\x00" not in text
    assert json.loads(text) == payload.as_dict()
    assert '"metadata":{"a":[1,null]},"current_target_object":null' in text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_text_holds_nothing_that_is_no_json(value):
    with pytest.raises(ValueError, match="JSON"):
        made(metadata={"a": [value]}).as_text()


def test_text_keeps_the_order_of_keys():
    assert '"metadata":{"b":1,"a":2}' in made(metadata={"b": 1, "a": 2}).as_text()


# --- identity and time --------------------------------------------------------------------


@given(nanoseconds=st.integers(0, 2**48 * 10**6 - 1))
def test_event_id_is_a_uuid_of_version_7(nanoseconds):
    text = new_event_id(nanoseconds)
    event_id = uuid.UUID(text)
    assert str(event_id) == text
    assert event_id.version == 7
    assert event_id.variant == uuid.RFC_4122
    assert event_id.int >> 80 == nanoseconds // 10**6


def test_event_ids_of_one_moment_differ_in_every_random_bit():
    ids = [uuid.UUID(new_event_id(NOW)).int for _ in range(200)]
    assert len(set(ids)) == 200
    ever_set = ever_clear = 0
    for number in ids:
        ever_set |= number
        ever_clear |= ~number
    random_bits = (0xFFF << 64) | (2**62 - 1)
    assert ever_set & ever_clear & (2**128 - 1) == random_bits


def test_later_event_ids_are_greater():
    ids = [new_event_id(NOW + step * 10**6) for step in range(20)]
    assert ids == sorted(ids)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (999_999_999, "0.999999999"),
        (1_000_000_000, "1.000000000"),
        (1764000000_123456000, "1764000000.123456000"),
    ],
)
def test_time_has_nine_decimals(nanoseconds, text):
    assert time_text(nanoseconds) == text


# --- sample -------------------------------------------------------------------------------


def test_sample_is_an_event_like_any_other():
    payload = sample(NOW)
    assert payload.event_time == "1764000000.123456789"
    assert uuid.UUID(payload.event_id).int >> 80 == NOW // 10**6
    assert json.loads(payload.as_text()) == payload.as_dict()
    assert payload.action in Action.values
    assert payload.actor_type in ActorType.values
    assert payload.source in Source.values
    assert payload.event_type.endswith(f".{Action(payload.action).past}")


def test_sample_has_the_metadata_of_a_request():
    assert list(sample(NOW).metadata) == [
        "request_id",
        "ip",
        "user_agent",
        "method",
        "path",
        "actor_pk",
        "changed_fields",
    ]


def test_sample_changes_what_it_says():
    payload = sample(NOW)
    before, after = payload.previous_target_object, payload.current_target_object
    assert before is not None
    assert after is not None
    assert [name for name in after if after[name] != before[name]] == payload.metadata[
        "changed_fields"
    ]


def test_no_id_is_given_twice_by_threads() -> None:
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda _: new_event_id(0), range(4000)))
    assert len(set(given)) == 4000


def test_a_forked_process_gives_other_ids() -> None:
    """In a process of its own: to fork one with threads is asking for trouble."""
    code = """
import os
from auditwebhooks.payload import new_event_id
new_event_id(0)
child = os.fork()
# One write, which the other process cannot come into.
os.write(1, f"{new_event_id(0)}\\n".encode())
if child:
    os.waitpid(child, 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    first, second = done.stdout.split()
    assert first != second


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(st.text(), json_values, max_size=4)


@given(objects, objects, st.none() | st.text(), st.text())
def test_a_mould_makes_the_text_of_the_payload(
    metadata: dict[str, Any], current: dict[str, Any], target_id: str | None, name: str
) -> None:
    common = replace(sample(5), metadata=metadata, previous_target_object=None)
    mould = Mould(common)
    for seconds in (1, 2):
        told = {
            "event_id": new_event_id(seconds),
            "event_time": time_text(seconds * 10**9),
            "target_id": target_id,
            "target_name": name,
            "current_target_object": current,
        }
        assert mould.text(**told) == replace(common, **told).as_text()

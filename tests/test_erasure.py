"""A person is taken out of a payload, and found in stored texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.erasure import Finder, Person, erased, traces
from auditwebhooks.payload import sample

ADA = Person(id="ada@example.com", texts=frozenset({"ada@example.com", "Ada Lovelace"}))


def payload(**data: Any) -> dict[str, Any]:
    made = sample(1_764_000_000_123_456_000).as_dict()
    made["data"].update(data)
    return made


def test_of_the_person_s_own_event_the_actor_and_what_tells_of_them_go() -> None:
    made = payload()
    made["data"]["metadata"] = {
        **made["data"]["metadata"],
        "impersonator": {"id": "boss@example.com", "pk": 7},
        "hijacked_by": "boss@example.com",
        "batch": "42",
    }
    result = erased(made, ADA)

    data = result["data"]
    assert (data["actor_id"], data["actor_name"], data["actor_type"]) == ("***", "***", "user")
    assert data["metadata"] == {
        **made["data"]["metadata"],
        "ip": "***",
        "user_agent": "***",
        "actor_pk": "***",
        "impersonator": "***",
        "hijacked_by": "***",
    }
    assert result["event_id"] == made["event_id"]
    assert data["timestamp"] == made["data"]["timestamp"]
    assert data["current_target_object"] == made["data"]["current_target_object"]
    assert made == {**made}, "the given payload is not changed"
    assert made["data"]["actor_id"] == "ada@example.com"


def test_an_address_that_is_not_known_stays_unknown() -> None:
    made = payload(metadata={"ip": None, "method": "POST"})

    assert erased(made, ADA)["data"]["metadata"] == {"ip": None, "method": "POST"}


def test_values_go_at_every_depth_and_nothing_else() -> None:
    row = {
        "email": "ada@example.com",
        "Ada Lovelace": "a field of this name",
        "name": "Ada Lovelace and others",
        "parts": [{"deep": ["Ada Lovelace", 5, None, {"ada@example.com": True}]}],
    }
    made = payload(
        actor_id="bob@example.com",
        actor_name="Bob",
        target_id="ada@example.com",
        target_name="Ada Lovelace",
        current_target_object=row,
        previous_target_object=None,
        metadata={"ip": "203.0.113.9", "changed_fields": ["Ada Lovelace"], "to": "Ada Lovelace"},
    )
    data = erased(made, ADA)["data"]

    assert data["actor_id"] == "bob@example.com"
    assert (data["target_id"], data["target_name"]) == ("***", "***")
    assert data["previous_target_object"] is None
    assert data["metadata"] == {
        "ip": "203.0.113.9",
        "changed_fields": ["Ada Lovelace"],
        "to": "***",
    }
    assert data["current_target_object"] == {
        "email": "***",
        "Ada Lovelace": "a field of this name",
        "name": "Ada Lovelace and others",
        "parts": [{"deep": ["***", 5, None, {"***": True}]}],
    }


def test_the_vocabulary_of_events_is_no_person() -> None:
    """Somebody is called "update", and somebody "POST"."""
    update = Person(id="update", texts=frozenset({"update", "POST", "access flow"}))
    made = payload(actor_id="bob@example.com")
    data = erased(made, update)["data"]

    assert data["action"] == "update"
    assert data["target_type"] == "access flow"
    assert erased(made, update)["event_type"] == made["event_type"]


def test_the_event_s_own_name_of_the_actor_goes_too() -> None:
    made = payload(actor_name="Ada Byron", target_name="Ada Byron")

    assert erased(made, ADA)["data"]["target_name"] == "***"


def test_traces_are_long_texts_and_short_keys() -> None:
    made = payload(
        metadata={
            "ip": "203.0.113.7",
            "user_agent": None,
            "actor_pk": "5",
            "impersonator": {"email": "boss@example.com", "active": True},
        }
    )
    found = traces(made)

    assert found.texts == {"203.0.113.7", "boss@example.com"}
    assert found.keys == {"5"}
    assert traces(payload(metadata={"ip": "***", "actor_pk": "***"})).texts == frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "by Ada Lovelace, today",
        '{"who": "Ada Lovelace"}',
        "who=Ada+Lovelace",
        "https://example.com/?who=ada%40example.com",
        "ip 203.0.113.7",
        '{"user": "5"}',
        '[{"user": 5}]',
        "so speaks Bo",
    ],
)
def test_a_text_that_holds_the_person_is_found(text: str) -> None:
    finder = Finder({"Ada Lovelace", "ada@example.com", "203.0.113.7", "Bo"}, {"5"})

    assert finder(text)


@pytest.mark.parametrize("text", ["", '{"ok": true}', '{"count": 55, "at": "5 pm"}', "5", "***"])
def test_other_texts_are_left(text: str) -> None:
    finder = Finder({"Ada Lovelace", "", "***"}, {"5"} if text != "5" else ())

    assert not finder(text)


def test_a_text_that_is_nested_too_deep_to_look_into_goes() -> None:
    finder = Finder({"Ada Lovelace"}, {"5"})

    assert finder("[" * 100_000 + "5" + "]" * 100_000)
    assert not finder("[" * 100_000 + "]" * 100_000)


def test_a_text_that_ends_inside_of_the_person_is_found() -> None:
    finder = Finder({"ada@example.com"})

    assert finder("thank you, ada@exam", is_cut=True)
    assert not finder("thank you, ada@exam")


def test_of_headers_and_verdicts_the_strings_go_that_hold_the_person() -> None:
    finder = Finder({"Ada Lovelace"})

    assert finder.without({"X-User": "Ada Lovelace", "n": [1, "for Ada Lovelace", "ok"]}) == {
        "X-User": "***",
        "n": [1, "***", "ok"],
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.sampled_from(["ada@example.com", "x"]),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("ab"), inner),
    )
)
def test_nothing_is_left_of_the_id(value: Any) -> None:
    made = payload(current_target_object={"field": value})

    assert "ada@example.com" not in json.dumps(erased(made, ADA))

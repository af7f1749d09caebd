"""What a delivery is called."""

from __future__ import annotations

import uuid

import pytest

from auditwebhooks.identifiers import Delivery, message_id, new_test_id, parse_message_id

EVENT, HOOK = "0198c5de-7a00-7000-8000-000000000001", uuid.UUID(int=5)


def test_the_id_is_stable_and_has_no_dot() -> None:
    event, hook = "0198c5de-7a00-7000-8000-000000000001", uuid.UUID(int=5)

    assert message_id(event, hook) == message_id(event, hook)
    assert message_id(event, hook) != message_id(event, uuid.UUID(int=6))
    assert message_id(event, hook) == (
        "evt_0198c5de7a0070008000000000000001_00000000000000000000000000000005"
    )


def test_what_is_made_is_read() -> None:
    assert parse_message_id(message_id(EVENT, HOOK)) == Delivery(event_id=EVENT, webhook_id=HOOK)


@pytest.mark.parametrize("text", ["", "evt_1_2", "msg_2abc", message_id(EVENT, HOOK) + "0"])
def test_what_is_not_ours_is_not_read(text: str) -> None:
    assert parse_message_id(text) is None


def test_the_id_of_a_test_is_no_delivery() -> None:
    assert parse_message_id(new_test_id()) is None

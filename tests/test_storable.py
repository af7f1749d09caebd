"""Texts that every supported database stores."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.storable import is_storable, storable


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain é 🦊", "plain é 🦊"),
        ("a\x00b", "a\ufffdb"),
        ("\ud800x\udfff", "?x?"),
        ("", ""),
    ],
)
def test_what_cannot_be_stored_is_replaced(text: str, stored: str) -> None:
    assert storable(text) == stored
    assert is_storable(text) is (text == stored)


@given(st.text(st.characters()))
def test_the_result_can_always_be_stored(text: str) -> None:
    assert is_storable(storable(text))
    storable(text).encode("utf-8")

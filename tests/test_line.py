"""Rows of one target go one after another."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.delivery.line import Line, order_key
from auditwebhooks.models import Event, Invocation


def row(pk: int, key: int | None) -> Invocation:
    return Invocation(pk=pk, order_key=key)


def test_the_rows_of_a_target_wait_for_each_other() -> None:
    line = Line()
    line.extend([row(1, 7), row(2, 7), row(3, 8)])

    first, other = line.pop(), line.pop()
    assert (first.pk, other.pk, line.ready, len(line)) == (1, 3, 0, 1)
    line.done(first)
    assert (line.ready, line.pop().pk) == (1, 2)


def test_rows_without_a_target_wait_for_nobody() -> None:
    line = Line()
    line.extend([row(1, None), row(2, None)])
    assert [line.pop().pk, line.pop().pk] == [1, 2]


def test_what_is_taken_out_is_not_under_way() -> None:
    line = Line()
    line.extend([row(1, 7), row(2, 7), row(3, 8), row(4, 8)])
    under_way = line.pop()

    assert sorted(one.pk for one in line.clear()) == [2, 3, 4]
    assert (len(line), line.ready) == (0, 0)
    assert line.count_by_key() == {7: 1}

    line.extend([row(5, 7), row(6, 8)])
    assert line.pop().pk == 6
    line.done(under_way)
    assert line.pop().pk == 5


@given(st.lists(st.sampled_from([None, 1, 2, 3]), max_size=30), st.randoms())
def test_every_row_once_and_each_target_in_order(
    keys: list[int | None], rng: random.Random
) -> None:
    line = Line()
    waiting = [row(number, key) for number, key in enumerate(keys)]
    under_way: list[Invocation] = []
    sent: list[Invocation] = []
    while waiting or len(line) or under_way:
        step = rng.randrange(3)
        if step == 0:
            line.extend(waiting[:4])
            del waiting[:4]
        elif step == 1 and line.ready:
            under_way.append(line.pop())
            sent.append(under_way[-1])
        elif step == 2 and under_way:
            line.done(under_way.pop(rng.randrange(len(under_way))))
        busy = [one.order_key for one in under_way if one.order_key is not None]
        assert len(busy) == len(set(busy))
        assert sum(line.count_by_key().values()) == len(busy) + sum(
            one.order_key is not None for one in line
        )
    assert sorted(one.pk for one in sent) == list(range(len(keys)))
    for key in (1, 2, 3):
        of_key = [one.pk for one in sent if one.order_key == key]
        assert of_key == sorted(of_key)


@pytest.mark.parametrize("target_id", [None, ""])
def test_an_event_about_nothing_has_no_order(target_id: str | None) -> None:
    assert order_key(Event(target_type="order", target_id=target_id)) is None


def test_a_target_has_one_key_that_fits_the_column() -> None:
    one = order_key(Event(target_type="order", target_id="1"))
    assert one == order_key(Event(target_type="order", target_id="1"))
    assert one != order_key(Event(target_type="order", target_id="2"))
    assert one != order_key(Event(target_type="access flow", target_id="1"))
    assert one is not None
    assert -(2**63) <= one < 2**63
    assert order_key(Event(target_type="order", target_id="\ud800")) is not None

"""Bars over time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.chart import ABOVE, HEIGHT, WIDTH, Bar, Series, chart


def bars_of(good: list[int], bad: list[int]) -> list[tuple[Bar, ...]]:
    made = chart(
        name="c",
        title="C",
        times=[str(number) for number in range(len(good))],
        series=[
            Series(name="succeeded", kind="good", values=good),
            Series(name="failed", kind="bad", values=bad),
        ],
    )
    return [slot.bars for slot in made.slots]


def test_bars_stand_on_the_line_and_on_each_other() -> None:
    first, second, third = bars_of([30, 0, 10], [10, 20, 0])

    assert [(one.kind, one.y, one.height) for one in first] == [
        ("good", "39.00", "75.00"),
        ("bad", "14.00", "25.00"),
    ]
    assert [(one.kind, one.y, one.height) for one in second] == [("bad", "64.00", "50.00")]
    assert [(one.x, one.width) for one in third] == [("322.00", "156.00")]


def test_one_failure_among_thousands_is_seen() -> None:
    [[good, bad], *_others] = bars_of([100_000, 1], [1, 0])

    assert (good.height, bad.height, bad.y) == ("98.00", "2.00", "14.00")


def test_nothing_has_no_bars() -> None:
    made = chart(
        name="c",
        title="C",
        times=["a", "b"],
        series=[Series(name="x", kind="plain", values=[0, 0])],
    )

    assert made.is_empty
    assert [slot.bars for slot in made.slots] == [(), ()]
    assert made.totals == (("x", 0),)


def test_it_knows_its_numbers_for_the_table() -> None:
    made = chart(
        name="c",
        title="C",
        times=["a", "b", "c"],
        series=[
            Series(name="x", kind="good", values=[1, 2, 3]),
            Series(name="y", kind="bad", values=[4, 5, 0]),
        ],
        every=2,
    )

    assert [(slot.time, slot.values) for slot in made.slots] == [
        ("a", (1, 4)),
        ("b", (2, 5)),
        ("c", (3, 0)),
    ]
    assert (made.highest, made.totals) == (7, (("x", 6), ("y", 9)))
    assert [slot.is_labelled for slot in made.slots] == [True, False, True]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=48))
def test_every_bar_is_in_the_picture(values: list[tuple[int, int]]) -> None:
    for bars in bars_of([good for good, _bad in values], [bad for _good, bad in values]):
        for bar in bars:
            x, y, width, height = map(float, (bar.x, bar.y, bar.width, bar.height))
            assert 0 <= x < x + width <= WIDTH
            assert ABOVE - 0.02 <= y < y + height <= ABOVE + HEIGHT + 0.02

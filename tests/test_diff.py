"""What an event's page says of a change: nothing is lost, and nothing is said that is not so."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.admin import diff
from auditwebhooks.admin.diff import Kind, Line, Sign, compare, fold, visible, whole

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.text(alphabet='ab\n"\\ {[', max_size=12)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "{", "\n"]), inner, max_size=4)
    ),
    max_leaves=20,
)


def side(lines: list[Line], sign: Sign) -> Any:
    """One of both values, made of its lines alone."""
    parts: list[str] = []
    text: list[str] | None = None
    before = Kind.OPEN
    for line in lines:
        if line.sign not in (sign, Sign.SAME):
            continue
        if line.kind == Kind.TEXT:
            assert text is not None
            text.append(line.text)
            continue
        if before != Kind.OPEN and line.kind != Kind.CLOSE:
            parts.append(",")
        before = line.kind
        if line.kind == Kind.OPEN and line.text.endswith(diff.TEXT_QUOTES):
            parts.append(line.text.removesuffix(diff.TEXT_QUOTES))
            text = []
        elif text is not None:
            parts.append(json.dumps("\n".join(text)))
            text = None
        else:
            parts.append(line.text)
    return json.loads("".join(parts))


def same(one: Any, other: Any) -> bool:
    """Also in type: in Python ``1 == True``."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


@given(values, values)
def test_both_sides_can_be_made_of_the_lines(old: Any, new: Any) -> None:
    lines = compare(old, new)

    assert same(side(lines, Sign.GONE), old)
    assert same(side(lines, Sign.NEW), new)


@given(values)
def test_what_did_not_change_has_no_sign(value: Any) -> None:
    assert {line.sign for line in compare(value, value)} == {Sign.SAME}


@given(values, values)
def test_what_changed_has_a_sign(old: Any, new: Any) -> None:
    if not same(old, new):
        assert {line.sign for line in compare(old, new)} != {Sign.SAME}


@given(values, values)
def test_folding_loses_no_line_and_hides_no_change(old: Any, new: Any) -> None:
    lines = compare(old, new)
    blocks = fold(lines)

    assert [line for block in blocks for line in block.lines] == lines
    for block in blocks:
        if block.is_folded:
            assert {line.sign for line in block.lines} == {Sign.SAME}


@given(values, values)
def test_a_span_is_what_differs(old: Any, new: Any) -> None:
    rest: dict[Sign, list[str]] = {Sign.GONE: [], Sign.NEW: []}
    for line in compare(old, new):
        if line.span is not None:
            start, end = line.span
            rest[line.sign].append(line.text[:start] + line.text[end:])
    assert sorted(rest[Sign.GONE]) == sorted(rest[Sign.NEW])


@given(values)
def test_one_value_by_itself(value: Any) -> None:
    assert same(side(whole(value, Sign.NEW), Sign.NEW), value)
    assert {line.sign for line in whole(value, Sign.GONE)} == {Sign.GONE}


def shown(lines: list[Line]) -> list[str]:
    return [f"{line.sign}{'  ' * line.depth}{line.text}" for line in lines]


def test_a_changed_value_is_told_at_its_place() -> None:
    old = {"id": 1, "name": "Prod DB", "limits": {"hours": 4, "users": ["ada", "bob"]}}
    new = {"id": 1, "name": "Prod DB read", "limits": {"hours": 4, "users": ["bob", "eve"]}}

    assert shown(compare(old, new)) == [
        " {",
        '   "id": 1',
        '-  "name": "Prod DB"',
        '+  "name": "Prod DB read"',
        '   "limits": {',
        '     "hours": 4',
        '     "users": [',
        '-      "ada"',
        '       "bob"',
        '+      "eve"',
        "     ]",
        "   }",
        " }",
    ]


def test_a_long_text_is_told_by_its_lines() -> None:
    old = {"text": "one\ntwo\nthree"}
    new = {"text": "one\n2\nthree\nfour"}

    assert shown(compare(old, new)) == [
        " {",
        '   "text": """',
        "     one",
        "-    two",
        "+    2",
        "     three",
        "+    four",
        '   """',
        " }",
    ]


def test_a_row_of_a_list_is_compared_with_the_one_in_its_place() -> None:
    old = [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}]
    new = [{"id": 1, "n": "a"}, {"id": 2, "n": "c"}]

    assert [one for one in shown(compare(old, new)) if one[0] != " "] == [
        '-    "n": "b"',
        '+    "n": "c"',
    ]


def test_types_are_told_apart() -> None:
    assert shown(compare([1, 0], [True, 0])) == [" [", "-  1", "+  true", "   0", " ]"]


def test_folded_is_what_is_far_from_a_change_but_not_what_it_stands_in() -> None:
    old = {f"field {number}": number for number in range(20)}
    old["nested"] = {f"deep {number}": number for number in range(20)}  # type: ignore[assignment]
    new = json.loads(json.dumps(old))
    new["nested"]["deep 10"] = "changed"

    told = [
        f"({len(block.lines)})" if block.is_folded else shown(list(block.lines))
        for block in fold(compare(old, new))
    ]
    assert told == [
        [" {"],
        "(20)",
        ['   "nested": {'],
        "(8)",
        [
            '     "deep 8": 8',
            '     "deep 9": 9',
            '-    "deep 10": 10',
            '+    "deep 10": "changed"',
            '     "deep 11": 11',
            '     "deep 12": 12',
        ],
        "(7)",
        ["   }", " }"],
    ]


@pytest.mark.parametrize("size", [3_000, 30_000])
def test_large_values_take_no_long_time(size: int) -> None:
    old, new = list(range(size)), list(range(size, 0, -1))
    texts = ["\n".join(map(str, one)) for one in (old, new)]
    many = [
        {str(number): ["x", *map(str, range(offset, offset + 900))] for number in range(30)}
        for offset in (0, 500)
    ]
    started = time.monotonic()
    for one, other in ((old, new), texts, many):
        lines = compare(one, other)
        assert same(side(lines, Sign.NEW), other)
        fold(lines)
    assert time.monotonic() - started < 20


def test_characters_that_deceive_are_shown() -> None:
    assert visible("a\u202eb\u200bc\x00d\te\x1b") == "a\\u202eb\\u200bc\\u0000d\te\\u001b"
    assert visible("👩\u200d💻 é ü 漢") == "👩\u200d💻 é ü 漢"

"""A template set out for reading."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.exceptions import TemplateSyntaxError
from auditwebhooks.payload import DEFAULT_TEMPLATE
from auditwebhooks.templating.layout import laid_out
from auditwebhooks.templating.template import lexemes

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def test_each_member_gets_a_line_of_its_own() -> None:
    assert laid_out('{"a":[1,{"b":"{{event_id}}"}],"c":{}, "d":[ ]}') == (
        "{\n"
        '    "a": [\n'
        "        1,\n"
        "        {\n"
        '            "b": "{{event_id}}"\n'
        "        }\n"
        "    ],\n"
        '    "c": {},\n'
        '    "d": []\n'
        "}"
    )


def test_the_example_of_the_seed_page_stays_as_it_is() -> None:
    assert laid_out(DEFAULT_TEMPLATE) == DEFAULT_TEMPLATE


@pytest.mark.parametrize(
    "written",
    [
        r'"{{ data.actor_id | default:\"no, {one}\" }}"',
        r'"\u00e9 \/ \ud83d\ude00 \" {\"a\": 1}"',
        "1.50",
        "-0",
        "1e400",
        "123456789012345678901234567890",
        '"{{event_id}}: {{data.action}},[]"',
    ],
)
def test_what_stands_in_it_stays_as_it_is_written(written: str) -> None:
    assert written in laid_out(f'{{"a":{written}}}').splitlines()[1]


@pytest.mark.parametrize("text", ["", " \n "])
def test_no_template_is_no_text(text: str) -> None:
    assert laid_out(text) == ""


def test_what_is_no_json_is_refused_with_its_place() -> None:
    with pytest.raises(TemplateSyntaxError) as refused:
        laid_out('{\n "a": {{event_id}}}')

    assert (refused.value.line, refused.value.column) == (2, 7)


def signs(text: str) -> list[str]:
    return [match.group() for match in lexemes(text)]


@given(VALUES, st.sampled_from([None, 1]), st.booleans())
def test_only_white_space_changes(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    result = laid_out(text)

    assert signs(result) == signs(text)
    assert json.loads(result) == value
    assert laid_out(result) == result
    assert result == json.dumps(value, indent=4, ensure_ascii=ascii_only)

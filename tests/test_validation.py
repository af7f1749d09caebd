"""Response validators: any bytes give a verdict."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditwebhooks import validation
from auditwebhooks.exceptions import JSONPathError
from auditwebhooks.validation import (
    AS_WRITTEN,
    BODY_AS_DATA,
    MAX_PATH_LENGTH,
    Validator,
    ValidatorResult,
    Verdict,
    as_expected,
    compile_path,
    validate,
)


def expect(json_path: str, *values: str) -> Validator:
    return Validator(json_path=json_path, expected_values=values)


def judged(body: Any, json_path: str, *values: str) -> ValidatorResult:
    """The one result for a body, given as bytes or as JSON data."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    verdict = validate(raw, [expect(json_path, *values)])
    (result,) = verdict.results
    assert verdict == Verdict(passed=result.passed, message=result.message, results=(result,))
    return result


# --- what passes --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path", "values"),
    [
        ({"data": {"ok": True}}, "$.data.ok", ["true"]),
        ({"data": {"ok": "true"}}, "$.data.ok", ["true"]),
        ({"data": {"ok": None}}, "$.data.ok", ["null"]),
        ({"data": {"code": 200}}, "$.data.code", ["201", "200"]),
        ({"data": {"rate": 1.5}}, "$.data.rate", ["1.5"]),
        ({"data": {"big": 2**80}}, "$.data.big", ["1208925819614629174706176"]),
        ({"data": {"text": ""}}, "$.data.text", [""]),
        ({"data": {"list": [1, "a", None]}}, "$.data.list", ['[1,"a",null]']),
        ({"data": {"object": {"é": 1}}}, "$.data.object", ['{"é":1}']),
        ({"data": [{"s": "a"}, {"s": "b"}]}, "$.data[*].s", ["a", "b"]),
        ({"data": [{"s": "a"}, {"s": "b"}]}, "$.data[-1].s", ["b"]),
        ({"data": [{"s": "a", "n": 1}, {"s": "b"}]}, "$.data[?(@.s == 'a')].n", ["1"]),
        ({"data": {"x": {"deep": {"ok": 1}}}}, "$..ok", ["1"]),
        ({"data": [1, 2, 3]}, "$.data.`len`", ["3"]),
        ({"da ta": {"o.k": 1}}, "$['da ta']['o.k']", ["1"]),
        ({"ok": 1}, "$", ['{"ok":1}']),
    ],
)
def test_every_match_is_an_expected_value(body, path, values):
    result = judged(body, path, *values)
    assert result.passed
    assert result.message == ""
    assert result.reading == AS_WRITTEN


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [
        ({"ok": True}, "$.data.ok", "true"),
        ([{"ok": True}], "$.data[0].ok", "true"),
        ([1, 1], "$.data[*]", "1"),
        ("fine", "$.data", "fine"),
        (5, "$.data", "5"),
        (None, "$.data", "null"),
        ({"ok": True}, "$['data']['ok']", "true"),
        ({"a": {"ok": True}}, "$.data..ok", "true"),
        ([{"id": 1, "ok": 2}], "$.data[?(@.id == 1)].ok", "2"),
        ([1, 2], "$.data.`len`", "2"),
    ],
)
def test_data_stands_for_a_body_without_it(body, path, value):
    result = judged(body, path, value)
    assert result.passed
    assert result.reading == BODY_AS_DATA


def test_readings_are_told_in_words():
    assert AS_WRITTEN == "as written"
    assert BODY_AS_DATA == "$.data stands for the body"


def test_data_of_the_body_goes_first():
    result = judged({"data": {"ok": False}, "ok": True}, "$.data.ok", "true")
    assert not result.passed
    assert result.found == ["false"]
    assert result.reading == AS_WRITTEN


@pytest.mark.parametrize("body", [{"data": None}, {"data": []}, {"data": {"data": {"no": 1}}}])
def test_body_with_data_is_read_as_written_whatever_it_holds(body):
    result = judged({**body, "ok": True}, "$.data.ok", "true")
    assert (result.passed, result.found, result.reading) == (False, [], AS_WRITTEN)


@pytest.mark.parametrize("path", ["$.ok", "$..data", "$.database", "$.*.data", "$[0].data"])
def test_other_paths_are_read_as_written(path):
    assert judged([{"ok": 1}], path, "1").reading == AS_WRITTEN


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32-be"])
def test_body_is_read_in_the_encodings_of_json(encoding):
    assert judged('{"data": "grün"}'.encode(encoding), "$.data", "grün").passed


def test_no_validators_pass_anything():
    assert validate(b"\xff", [], too_long=True) == Verdict(passed=True)


# --- what fails ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path", "values", "found"),
    [
        ({"ok": True}, "$.ok", ["True"], '"true"'),
        ({"ok": "TRUE"}, "$.ok", ["true"], '"TRUE"'),
        ({"n": 200}, "$.n", ["200.0", "0200", " 200"], '"200"'),
        ({"n": 200.0}, "$.n", ["200"], '"200.0"'),
        ({"n": "null"}, "$.n", ["none"], '"null"'),
        ([1, 2, 1, 3], "$[*]", ["1"], '"2", "3"'),
        ({"o": {"a": 1}}, "$.o", ['{"a": 1}'], '"{"a":1}"'),
    ],
)
def test_one_other_value_fails_and_is_named(body, path, values, found):
    expected = " or ".join(f'"{value}"' for value in values)
    result = judged(body, path, *values)
    assert not result.passed
    assert result.message == f"{path}: expected {expected}, but found {found}."


@pytest.mark.parametrize(
    ("body", "path"),
    [({}, "$.ok"), ([], "$[0]"), ([], "$[*]"), ({"ok": 1}, "$.ok.deeper"), ("x", "$.data.ok")],
)
def test_no_match_fails(body, path):
    result = judged(body, path, "x", "")
    assert (result.passed, result.found) == (False, [])
    assert result.message == f'{path}: expected "x" or "", but found nothing.'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"ok",
        b"<html>",
        b"{",
        b"{'ok': true}",
        b"\xff\xfe\xfd",
        b'{"ok": NaN}',
        b"-Infinity",
        b"1" * 5000,
        b"[" * 200_000,
        b'{"a":' * 50_000,
    ],
)
def test_body_that_is_no_json_fails(body):
    result = judged(body, "$.ok", "true")
    assert not result.passed
    assert result.message == (
        '$.ok: expected "true", but the response is not JSON that can be read.'
    )


def test_body_that_goes_on_after_the_limit_fails():
    validators = [expect("$.ok", "true"), expect("$.n", "1")]
    verdict = validate(b'{"ok": true, "n": 1}', validators, too_long=True)
    assert not verdict.passed
    assert [result.message for result in verdict.results] == [
        '$.ok: expected "true", but the response is longer than 1 MiB.',
        '$.n: expected "1", but the response is longer than 1 MiB.',
    ]


def test_all_validators_are_judged_and_the_first_failure_is_the_message():
    validators = [expect("$.a", "1"), expect("$.b", "2"), expect("$.c", "3")]
    verdict = validate(b'{"a": 1, "b": 0, "c": 0}', validators)
    assert not verdict.passed
    assert verdict.message == '$.b: expected "2", but found "0".'
    assert [result.passed for result in verdict.results] == [True, False, False]


def test_stored_path_that_is_none_fails_with_its_reason():
    result = judged({}, "ok", "1")
    assert not result.passed
    assert 'A JSONPath starts with "$"' in result.message


def test_path_that_cannot_be_followed_fails():
    result = judged([1, "a"], "$.`sorted`", "1")
    assert not result.passed
    assert result.message == (
        '$.`sorted`: expected "1", but the path cannot be followed in this response (TypeError).'
    )


@pytest.mark.parametrize("path", ["$..ok", "$[*]", "$.*", "$['*']", "$[0:2]", "$[?(@.a==1)].a"])
def test_a_vast_response_is_not_looked_through(path):
    """Half a million values took a worker ten seconds, in which it did nothing else."""
    result = judged([1] * (validation.MOST_VALUES + 1), path, "1")
    assert result.message == (
        f'{path}: expected "1", but the path cannot be followed in this response '
        "(TooManyValuesError)."
    )


@pytest.mark.parametrize(
    "document",
    [
        # In as few bytes as so many values take.
        b"[" + b"1," * validation.MOST_VALUES + b"1]",
        {"a": {"b": [1] * 11_000}, "c": [[1] * 11_000]},
        [[1], [1] * (validation.MOST_VALUES - 2)],
    ],
)
def test_values_are_counted_wherever_they_stand(document):
    assert "TooManyValuesError" in judged(document, "$..ok", "1").message


def test_half_a_letter_elsewhere_in_the_response_does_no_harm():
    """json.loads lets it pass, too."""
    assert judged(b'{"ok": 1, "name": "\xed\xa0\x80"}', "$.ok", "1").passed


def test_as_many_found_values_are_kept_as_are_shown():
    assert judged([1] * 30, "$[*]", "1").found == ["1"] * 10


@pytest.mark.parametrize("path", ["$.data.rows[0]", "$.rows[0,20000]", "$['ok','ok']"])
def test_in_a_vast_response_a_place_is_looked_up(path):
    assert judged({"rows": [1] * (validation.MOST_VALUES + 1), "ok": 1}, path, "1").passed


def test_a_response_as_vast_as_that_is_looked_through():
    assert judged([1] * validation.MOST_VALUES, "$[*]", "1").passed
    assert judged(["1,2,3," * 200_000], "$[*]", "1,2,3," * 200_000).passed


def test_a_long_text_inside_of_many_matches_is_kept_a_few_times_only():
    deep: Any = "x" * 1_000_000
    for _ in range(200):
        deep = {"s": deep}
    tracemalloc.start()
    result = judged(deep, "$..s", "1")
    _now, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert len(result.found) == 10
    assert most < 50_000_000


def test_result_is_stored_as_a_dict():
    assert judged({"ok": 0}, "$.data.ok", "1").as_dict() == {
        "json_path": "$.data.ok",
        "expected_values": ["1"],
        "found": ["0"],
        "passed": False,
        "reading": BODY_AS_DATA,
        "message": '$.data.ok: expected "1", but found "0".',
    }


def test_validator_is_read_from_its_stored_form():
    stored = {"json_path": "$.a", "expected_values": ["1", "2"]}
    assert Validator.from_dict(stored) == expect("$.a", "1", "2")


def test_what_is_shown_is_cut():
    result = judged(["x" * 1000] * 30, "$[*]", "y" * 1000)
    assert result.found == ["x" * 200] * 10
    assert '"' + "y" * 200 + '"' in result.message
    assert len(result.message) < 3000


def test_cut_value_is_compared_in_full():
    assert not judged("x" * 300, "$.data", "x" * 200).passed
    assert judged("x" * 300, "$.data", "x" * 300).passed


def test_unexpected_values_are_shown_before_expected_ones():
    assert judged([1] * 20 + [2], "$[*]", "1").found == ["2"]


@pytest.mark.parametrize("text", ["nul \x00", "lone \ud800", "{\x00}\udfff"])
def test_what_is_shown_can_be_stored_by_every_database(text):
    """PostgreSQL takes neither NUL characters nor lone surrogates; a receiver may send both."""
    result = judged({"ok": text, "sent": [text]}, "$.*", "x")
    assert len(result.found) == 2
    for shown in (*result.found, result.message):
        assert "\x00" not in shown
        assert shown.encode("utf-8", "ignore").decode() == shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        ("", ""),
        (True, "true"),
        (None, "null"),
        (5, "5"),
        (0.1, "0.1"),
        ([1, "é"], '[1,"é"]'),
        ({"a": {}}, '{"a":{}}'),
    ],
)
def test_as_expected(value, text):
    assert as_expected(value) == text


# --- paths --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "data", ".data", " $.data", "@.data", "(data)"])
def test_path_starts_with_the_root(path):
    with pytest.raises(JSONPathError, match=r'^A JSONPath starts with "\$"'):
        compile_path(path)


@pytest.mark.parametrize("path", ["$.", "$..", "$[", "$x", "$.a b", "$.a[?(]", "$.`nope`", "$[''"])
def test_malformed_path_is_refused_in_one_line(path):
    with pytest.raises(JSONPathError, match=r"\AThis is not a JSONPath: [^\n]+\Z"):
        compile_path(path)


def test_long_path_is_refused():
    longest = "$." + "a" * (MAX_PATH_LENGTH - 2)
    assert compile_path(longest) is compile_path(longest)
    with pytest.raises(JSONPathError, match="at most 500 characters"):
        compile_path(longest + "a")


def refusal(path: str) -> str:
    with pytest.raises(JSONPathError) as refused:
        compile_path(path)
    return str(refused.value)


@pytest.mark.parametrize(
    "path",
    [
        "$[?(@.a =~ '(a+)+$')]",
        "$.data[?(@.a == 1 && @.b =~ 'x')]",
        "$.data[?(@.a == 1 || @.b =~ 'x')]",
        "$[?(@[?(@.b =~ 'x')])]",
        "$..[?(@.b =~ 'x')].c",
    ],
)
def test_regular_expression_in_a_filter_is_refused(path):
    assert refusal(path) == (
        'The operator "=~" is not allowed: a regular expression can take for ever. '
        "Compare with == or list the expected values."
    )


@pytest.mark.parametrize(
    "path",
    [
        "$.a.`sub(/(a+)+$/, x)`",
        "$[?(@.a.`sub(/x/, y)`)]",
    ],
)
def test_regular_expression_of_sub_is_refused(path):
    assert refusal(path) == (
        'The function "sub" is not allowed: a regular expression can take for ever. '
        "List the expected values instead."
    )


@pytest.mark.parametrize(
    "path",
    ["$..a..b", "$..[?(@..a)]", "$.a[?(@..b..c)]"],
)
def test_second_descent_is_refused(path):
    assert refusal(path) == ('A JSONPath may use ".." once: more take too long on big responses.')


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        # Each step up and down again multiplies the matches by the length of the list.
        (
            "$[*].`parent`[*].`parent`[*].`parent`[*]",
            "Arithmetic and `parent` are not allowed: they can take for ever.",
        ),
        # Each level looks at the whole document for each item of the level above.
        (
            "$.a[?($.a[?($.a[?($.a[?(@.b == 1)])])])]",
            'A JSONPath may use "$" once; write @ in filters.',
        ),
        ("$.a[?($.b == 1)]", 'A JSONPath may use "$" once; write @ in filters.'),
        ("$..a where $..b", 'A JSONPath may use "$" once; write @ in filters.'),
        *(
            (path, "Sorting by a path is not allowed: it can take for ever.")
            for path in (
                "$.a[/`this`..b..c]",
                "$.a[/name.`sub(/(a+)+$/, x)`]",
                "$.a[\\`sub(/(a+)+$/, x)`, /name]",
            )
        ),
    ],
)
def test_path_whose_matches_multiply_is_refused(path, sentence):
    assert refusal(path) == sentence


@pytest.mark.parametrize("path", ["$.data.text * 999999999", "$.data.text * $.data.times"])
def test_path_that_repeats_a_text_is_refused(path):
    """A receiver could have a worker build a text of gigabytes."""
    assert refusal(path) == "Arithmetic and `parent` are not allowed: they can take for ever."


# --- property -----------------------------------------------------------------------------

PATHS = [
    "$",
    "$.data",
    "$.data.ok",
    "$.data[0]",
    "$.data[-1].a",
    "$.data[1:3]",
    "$.data[*]",
    "$.*",
    "$..a",
    "$..*",
    "$.data[?(@.a == 1)]",
    "$.data[?(@.a)].b",
    "$.data[?(@.a > 'b')].b",
    "$.data.`len`",
    "$.data.`keys`",
    "$.data.`sorted`",
    "$.data.a.`split(., 0, -1)`",
    "$.'data'.\"ok\"",
    "not a path",
    "$.[",
    "$[?(@ =~ 'x')]",
]
names = st.sampled_from(["data", "ok", "a", "b", "\x00", "é"])
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
validators = st.builds(
    Validator,
    json_path=st.sampled_from(PATHS),
    expected_values=st.lists(
        st.sampled_from(["1", "true", "null", "a", ""]), min_size=1, max_size=3
    ).map(tuple),
)


@settings(max_examples=60)
@given(
    body=st.binary() | documents.map(lambda document: json.dumps(document).encode()),
    asked=st.lists(validators, max_size=3),
    too_long=st.booleans(),
)
def test_any_bytes_and_validators_give_a_verdict(body, asked, too_long):
    verdict = validate(body, asked, too_long=too_long)
    assert verdict.passed is all(result.passed for result in verdict.results)
    assert bool(verdict.message) is not verdict.passed
    assert [result.json_path for result in verdict.results] == [one.json_path for one in asked]
    for one, result in zip(asked, verdict.results, strict=True):
        assert bool(result.message) is not result.passed
        if result.passed:
            assert result.found
            assert set(result.found) <= set(one.expected_values)
        json.dumps(result.as_dict())


@given(document=documents, path=st.sampled_from(["$", "$.data", "$.data.a", "$..a", "$.data[*]"]))
def test_expecting_exactly_what_is_found_passes(document, path):
    body = json.dumps(document).encode()
    found = validate(body, [expect(path, "\x01")]).results[0].found
    # Long values are shown cut, and those that cannot be stored with a replacement.
    shown_whole = all(len(value) < 200 and "\ufffd" not in value for value in found)
    if found and len(found) < 10 and shown_whole:
        assert validate(body, [expect(path, *found)]).passed


def test_what_passed_is_told_in_full():
    assert judged({"data": {"code": 200}}, "$.data.code", "200", "201").as_dict() == {
        "json_path": "$.data.code",
        "expected_values": ["200", "201"],
        "found": ["200"],
        "passed": True,
        "reading": AS_WRITTEN,
        "message": "",
    }


@pytest.mark.parametrize(
    ("body", "path", "reading"),
    [
        (b"no JSON", "$.data.ok", AS_WRITTEN),
        ({"data": 1}, "$.[", AS_WRITTEN),
        ({"data": [1, "a"]}, "$.data.`sorted`", AS_WRITTEN),
        ([1, "a"], "$.data.`sorted`", BODY_AS_DATA),
    ],
)
def test_what_failed_says_how_the_path_was_read(body, path, reading):
    result = judged(body, path, "1")
    assert not result.passed
    assert result.reading == reading

"""What each filter of a body template makes of each kind of value."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.exceptions import TemplateRenderError
from auditwebhooks.templating.filters import FILTERS, as_json, as_text, moment
from auditwebhooks.templating.template import compile_template


def whole(filters: str, value: Any) -> Any:
    """The value of a string that is exactly one placeholder with these filters."""
    return json.loads(rendered(f"{{{{v|{filters}}}}}", value))


def within(filters: str, value: Any) -> str:
    """The same placeholder inside a longer text, without that text."""
    text = json.loads(rendered(f"<{{{{v|{filters}}}}}>", value))
    assert text[0] + text[-1] == "<>"
    return text[1:-1]


def rendered(content: str, value: Any) -> str:
    return compile_template(json.dumps(content), ("v",)).render({"v": value})


def test_the_list_of_filters_is_closed():
    assert sorted(FILTERS) == ["default", "epoch", "iso", "json", "lower", "truncate", "upper"]


def test_every_filter_says_what_it_does():
    assert all(known.summary for known in FILTERS.values())


@pytest.mark.parametrize(
    ("name", "argument", "sentence"),
    [
        ("upper", 1, 'The filter "upper" takes no argument.'),
        ("json", None, 'The filter "json" takes no argument.'),
        ("default", ..., 'The filter "default" needs an argument.'),
        ("truncate", ..., 'The filter "truncate" needs an argument.'),
        (
            "truncate",
            "x",
            'The filter "truncate" needs a number of characters, such as truncate:100.',
        ),
    ],
)
def test_wrong_argument_is_refused_in_a_sentence(name, argument, sentence):
    with pytest.raises(ValueError, match=name) as caught:
        FILTERS[name].bind(name, argument, argument is not ...)
    assert str(caught.value) == sentence


# --- upper, lower, truncate ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "value", "text"),
    [
        ("upper", "straße", "STRASSE"),
        ("upper", True, "TRUE"),
        ("upper", {"a": None}, '{"A":NULL}'),
        ("upper", "", ""),
        ("lower", "ÄB", "äb"),
        ("lower", ["X", 1], '["x",1]'),
        ("lower", 5, "5"),
        ("truncate:3", "abcdef", "abc"),
        ("truncate:3", "ab", "ab"),
        ("truncate:0", "ab", ""),
        ("truncate:2", "\U0001f600\U0001f601\U0001f602", "\U0001f600\U0001f601"),
        ("truncate:4", 123456, "1234"),
        ("truncate:3", [1, 2], "[1,"),
        ("truncate:3|upper", "abcdef", "ABC"),
        ("upper|truncate:1", "ß", "S"),
    ],
)
def test_text_filters_give_text(filters, value, text):
    assert whole(filters, value) == text
    assert within(filters, value) == text


@pytest.mark.parametrize("filters", ["upper", "lower", "truncate:3", "iso"])
def test_text_filters_make_nothing_of_null(filters):
    assert whole(filters, None) == ""
    assert within(filters, None) == ""


@pytest.mark.parametrize("argument", ['"3"', "1.5", "-1", "true", "null"])
def test_truncate_takes_a_whole_number(argument):
    with pytest.raises(ValueError, match=r'^The filter "truncate" needs a number of characters'):
        FILTERS["truncate"].bind("truncate", json.loads(argument), True)


# --- default ------------------------------------------------------------------------------


@pytest.mark.parametrize("argument", ["3", "-1.5", "true", "null", '"x"', '""', '"}} | \\" {{"'])
def test_default_stands_in_for_null_with_its_type(argument):
    assert whole(f"default:{argument}", None) == json.loads(argument)


def test_default_stands_in_for_what_is_missing():
    template = compile_template('{"a": "{{v.w|default:5}}"}', ("v.*",))
    assert template.render({"v": {}}) == '{"a":5}'


@pytest.mark.parametrize("value", ["", 0, False, [], {}, "x", 1.5])
def test_default_leaves_every_other_value(value):
    result = whole('default:"stand-in"', value)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("argument", "text"), [("3", "3"), ("true", "true"), ("null", ""), ('"x"', "x")]
)
def test_default_in_longer_text_is_put_in_as_text(argument, text):
    assert within(f"default:{argument}", None) == text


@pytest.mark.parametrize("filters", ["upper", "lower", "truncate:1", "iso", "epoch"])
def test_default_may_follow_every_filter_that_lets_null_pass(filters):
    assert whole(f"{filters}|default:7", None) == 7


# --- json ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": 'q"\n', "b": [True, None]}, '{"a":"q\\"\\n","b":[true,null]}'),
        ("x", '"x"'),
        (None, "null"),
        (1.0, "1.0"),
        ({"b": 1, "a": [2]}, '{"b":1,"a":[2]}'),
        ("\U0001f600", '"\U0001f600"'),
    ],
)
def test_json_gives_the_json_text(value, text):
    assert whole("json", value) == text
    assert within("json", value) == text


def test_json_twice_is_json_text_of_json_text():
    assert json.loads(json.loads(whole("json|json", {"a": '"'}))) == {"a": '"'}


def test_json_has_no_not_a_number():
    assert as_json({"a": float("nan"), "b": [float("inf"), -0.0]}) == '{"a":null,"b":[null,-0.0]}'


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), ("a", "a"), (True, "true"), (1, "1"), ([None], "[null]")]
)
def test_as_text(value, text):
    assert as_text(value) == text


# --- iso, epoch ---------------------------------------------------------------------------

TIMES = [
    # value, iso, epoch
    ("1764000000.123456000", "2025-11-24T16:00:00.123456Z", 1764000000),
    ("1764000000.123456789", "2025-11-24T16:00:00.123456789Z", 1764000000),
    ("1764000000.999999999", "2025-11-24T16:00:00.999999999Z", 1764000000),
    ("1764000000.000000001", "2025-11-24T16:00:00.000000001Z", 1764000000),
    ("1764000000.5", "2025-11-24T16:00:00.500000Z", 1764000000),
    ("1764000000", "2025-11-24T16:00:00.000000Z", 1764000000),
    ("0.000000000", "1970-01-01T00:00:00.000000Z", 0),
    ("-1", "1969-12-31T23:59:59.000000Z", -1),
    (1764000000, "2025-11-24T16:00:00.000000Z", 1764000000),
    (1764000000.25, "2025-11-24T16:00:00.250000Z", 1764000000),
    ("2025-11-24T16:00:00Z", "2025-11-24T16:00:00.000000Z", 1764000000),
    ("2025-11-24T16:00:00", "2025-11-24T16:00:00.000000Z", 1764000000),
    ("2025-11-24T17:30:00.5+01:30", "2025-11-24T16:00:00.500000Z", 1764000000),
    ("2025-11-24 16:00:00", "2025-11-24T16:00:00.000000Z", 1764000000),
    ("2025-11-24", "2025-11-24T00:00:00.000000Z", 1763942400),
    ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z", -1),
    ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z", 253402300799),
]


@pytest.mark.parametrize(("value", "iso", "epoch"), TIMES)
def test_iso_and_epoch(value, iso, epoch):
    assert whole("iso", value) == iso
    assert within("iso", value) == iso
    assert whole("epoch", value) == epoch
    assert within("epoch", value) == str(epoch)


def test_iso_writes_four_digits_of_every_year():
    assert whole("iso", "0099-01-02T03:04:05Z") == "0099-01-02T03:04:05.000000Z"


@pytest.mark.parametrize(
    ("seconds", "iso"),
    [(-1.5, "1969-12-31T23:59:58.500000Z"), (-0.25, "1969-12-31T23:59:59.750000Z")],
)
def test_number_of_seconds_before_1970_keeps_its_fraction(seconds, iso):
    assert whole("iso", seconds) == iso


def test_iso_and_epoch_agree_on_the_format_events_have():
    assert whole("iso|epoch", "1764000000.123456000") == 1764000000


def test_epoch_of_null_is_null():
    assert whole("epoch", None) is None
    assert within("epoch", None) == ""


NO_TIMES = [
    "",
    "soon",
    "1.",
    ".5",
    "1.1234567890",
    "1e9",
    "1764000000123",
    "999999999999",
    " 1764000000",
    "2025-13-01",
    "2025-11-24T25:00",
    "0001-01-01T00:00:00+05:00",
    "12:30",
    True,
    [],
    {"a": 1},
    1e300,
    10**30,
    "\x00",
    "\ud800",
]


@pytest.mark.parametrize("value", NO_TIMES)
@pytest.mark.parametrize("name", ["iso", "epoch"])
def test_value_that_is_no_time_fails_the_rendering(name, value):
    with pytest.raises(TemplateRenderError) as caught:
        whole(name, value)
    message = str(caught.value)
    assert message.startswith('"')
    assert message.endswith('" is no time: a filter iso or epoch stands on the wrong field.')


@pytest.mark.parametrize("value", ["\x00 soon", "soon \ud800"])
def test_failure_is_told_in_text_that_every_database_stores(value):
    with pytest.raises(TemplateRenderError) as caught:
        whole("iso", value)
    message = str(caught.value)
    assert "soon" in message
    assert "\x00" not in message
    assert message.encode("utf-8", "ignore").decode() == message


def test_failure_shows_the_beginning_of_the_value_only():
    with pytest.raises(TemplateRenderError) as caught:
        whole("epoch", "x" * 50 + "y" * 1000)
    assert "x" * 50 in str(caught.value)
    assert "y" not in str(caught.value).split('"')[1]


@given(st.datetimes(timezones=st.timezones()))
def test_iso_text_of_any_moment_is_read_back(when):
    text = when.isoformat()
    try:
        expected = when.astimezone(UTC)
    except OverflowError:
        with pytest.raises(TemplateRenderError):
            moment(text)
    else:
        # Zones of long ago have offsets with seconds, which ISO 8601 text carries.
        assert moment(text) == (expected, expected.microsecond * 1000)


@given(st.integers(0, 253402300799_999999999))
def test_event_time_of_any_nanosecond_is_read_back(nanoseconds):
    seconds, nanos = divmod(nanoseconds, 10**9)
    when, found = moment(f"{seconds}.{nanos:09d}")
    assert found == nanos
    assert when == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=nanoseconds // 1000)

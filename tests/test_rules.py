"""The rules of a webhook's fields."""

from __future__ import annotations

import base64
import unicodedata
from typing import Any

import pytest
import requests
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks import rules
from auditwebhooks.encryption import ProtectedText, Secret, seal
from auditwebhooks.payload import DEFAULT_TEMPLATE

ORIGIN = "https://example.com:443"
SIGNING_SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()


def refusal(check: Any, *values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        check(*values)
    (message,) = caught.value.messages
    return message


def is_fine(check: Any, *values: Any) -> bool:
    try:
        check(*values)
    except ValidationError:
        return False
    return True


# --- name ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["a", "7", "SIEM", "Team A - prod_2", "Überwachung", "Журнал", "監査ログ", "ไม่มี", "हिन्दी",
     "e\u0301", "१२३", "a" * 100, "-_ a", "\U0001d4d0"],
)  # fmt: skip
def test_name_of_letters_and_digits_is_fine(name):
    assert is_fine(rules.check_name, name)


@pytest.mark.parametrize("name", ["", "a" * 101, None, 5, ["a"]])
def test_name_has_1_to_100_characters(name):
    assert refusal(rules.check_name, name) == "Enter a name of 1 to 100 characters."


@pytest.mark.parametrize(
    "character",
    [".", ",", "/", "'", "<", "@", "\n", "\t", "\x00", "\u00a0", "\u200b", "\u202e", "²", "½",
     "Ⅷ", "\U0001f600", "\ud800", "\ue000", "\u2013"],
)  # fmt: skip
def test_other_characters_are_named(character):
    assert refusal(rules.check_name, f"a{character}b") == (
        "A name holds letters, digits, spaces, - and _ only. Take out: " + repr(character)
    )


@pytest.mark.parametrize("name", [" ", "-", "_ -", "\u0301"])
def test_name_holds_a_letter_or_digit(name):
    assert refusal(rules.check_name, name) == "A name holds at least one letter or digit."


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIEM", "siem"),
        ("Straße", "STRASSE"),
        ("é", "e\u0301"),
        ("ÉCOLE", "e\u0301cole"),
        ("Ａ１", "a1"),
        ("ﬁx", "FIX"),
        ("ΣΑΣ", "σας"),
        ("K", "\u212a"),
        ("Å", "\u212b"),
        ("ﾊﾟ", "パ"),
    ],
)
def test_names_that_differ_by_case_or_form_are_the_same(one, other):
    assert rules.name_key(one) == rules.name_key(other)
    assert rules.name_digest(one) == rules.name_digest(other)


@pytest.mark.parametrize(
    ("one", "other"), [("a", "b"), ("e", "é"), ("a b", "ab"), ("a-b", "a_b"), ("ı", "i")]
)
def test_other_names_are_other_names(one, other):
    assert rules.name_digest(one) != rules.name_digest(other)


def test_digest_fits_its_column():
    digest = rules.name_digest("\U0001f600\ud800" * 100)
    assert len(digest) == 64
    assert digest.isascii()


names = st.text(st.characters(categories=["L", "M", "Nd"]), max_size=10)


@given(names)
def test_every_form_of_a_name_has_one_key(name):
    key = rules.name_key(name)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert rules.name_key(unicodedata.normalize(form, name)) == key
    assert rules.name_key(name.casefold()) == key
    assert rules.name_key(key) == key


# --- URL, template ------------------------------------------------------------------------


def test_url_is_given_back_taken_apart():
    assert rules.check_url("https://Example.com/x").origin == ORIGIN


@pytest.mark.parametrize("url", ["http://example.com/", "https://u:p@example.com/", "", None, 5])
def test_url_that_cannot_be_called_is_refused(url):
    assert refusal(rules.check_url, url)


@pytest.mark.parametrize("url", ["https://example.com/***", "https://example.com:443/***?a=b"])
def test_url_as_lists_tell_it_is_refused(url):
    assert "Type the whole URL" in refusal(rules.check_url, url)
    assert rules.check_url(url.replace("***", "***/x"))


@pytest.mark.parametrize(
    "text",
    ["", " ", DEFAULT_TEMPLATE, '{"a": "{{data.actor_id}}"}', "[]", f'"{"a" * 65_534}"'],
)
def test_template_is_fine(text):
    assert is_fine(rules.check_body_template, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Line 1, column 2: This is not valid JSON: "),
        ('{"a": "{{nope}}"}', 'Line 1, column 10: There is no variable "nope". Known: '),
        ('{"a":\n{{data}}}', "Line 2, column 1: Put the placeholder in quotes; the type is kept."),
        (f'"{"a" * 65_535}"', "Shorten it to at most 65536 characters."),
        ('{"a": "\x00"}', "The template holds a character that cannot be stored."),
        ('{"a": "\ud800"}', "The template holds a character that cannot be stored."),
        (None, "The template is text. Leave it empty for no body."),
        ({"a": 1}, "The template is text. Leave it empty for no body."),
    ],
)
def test_template_is_refused_in_a_sentence(text, message):
    assert refusal(rules.check_body_template, text).startswith(message)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '["{{event_id|default:' + "[" * 100_000 + '}}"]', "9" * 5000, "[-]"]
)
def test_hostile_template_gets_an_answer(text):
    assert is_fine(rules.check_body_template, text) in (True, False)


# --- headers ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer abc", "X-1": "a b\xa0c", "!#$%&'*+-.^_`|~": "x"},
        {"Content-Type": "text/plain", "User-Agent": "mine", "Set-Cookie2": "x"},
        {"X": "x" * 8192},
        {"N" * 200: "x"},
        {"X": ProtectedText(Secret("typed"))},
        {"X": ProtectedText("a stored token")},
    ],
)
def test_headers_are_fine(headers):
    assert is_fine(rules.check_headers, headers)


@pytest.mark.parametrize("headers", [None, [], "A: b", 5, [("A", "b")]])
def test_headers_are_an_object(headers):
    assert refusal(rules.check_headers, headers).startswith("Enter headers as an object")


@pytest.mark.parametrize(
    "name",
    ["", " ", "A B", "A:", "A\r\nB", "Ä", "A\x00", "(A)", "a/b", "N" * 201, 5, None, "A\n"],
)
def test_header_name_is_a_token(name):
    assert "is no header name" in refusal(rules.check_headers, {name: "x"})


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Keep-Alive", "TE", "Trailer",
     "Upgrade", "Expect", "Proxy-Authorization", "proxy-anything", "Accept-Encoding", "Cookie",
     "webhook-id", "Webhook-Signature", "webhook-timestamp", "webhook-x"],
)  # fmt: skip
def test_header_of_the_delivery_itself_is_refused(name):
    assert refusal(rules.check_headers, {name: "x"}) == (
        f'The header "{name}" is set by the delivery itself.'
    )


def test_header_names_are_unique_without_regard_to_case():
    assert refusal(rules.check_headers, {"X-Key": "a", "x-kEY": "b"}) == (
        'The header "x-kEY" stands here twice.'
    )


UNUSABLE_VALUES = [
    " a",
    "a ",
    "\ta",
    "a\tb",
    "a\r\nB: c",
    "a\nb",
    "a\x00",
    "a\x7f",
    "a\x85b",
    "a€",
    "\U0001f600",
    "x" * 8193,
    "\xa0a",
]


@pytest.mark.parametrize("value", UNUSABLE_VALUES)
@pytest.mark.parametrize("make", [str, lambda value: ProtectedText(Secret(value))])
def test_header_value_is_printable_latin_1_without_outer_spaces(value, make):
    message = refusal(rules.check_headers, {"X-Key": make(value)})
    assert message.startswith('The value of the header "X-Key" must be 1 to 8192 printable')


def test_refused_header_value_is_not_repeated():
    assert "hunter2" not in refusal(rules.check_headers, {"X": "hunter2\n"})


@pytest.mark.parametrize("value", ["", None, 5, True, ["a"], b"a"])
def test_header_value_is_text(value):
    assert refusal(rules.check_headers, {"X": value}) == 'Type a value for the header "X".'


@pytest.mark.parametrize("value", ["***", ProtectedText(Secret("***"))])
def test_stars_without_a_stored_value_are_refused(value):
    assert refusal(rules.check_headers, {"X": value}) == (
        'There is no stored value of the header "X" to keep: type it.'
    )


@given(
    name=st.text("aZ0-_.~|", min_size=1, max_size=4),
    value=st.text("a b\xa0\xad\xff\t~!", min_size=1, max_size=4),
)
def test_header_that_is_fine_can_be_sent(name, value):
    """What the rules let through must not fail at every delivery."""
    if is_fine(rules.check_headers, {name: value}):
        request = requests.Request("POST", "https://example.com/", headers={name: value}).prepare()
        assert request.headers[name] == value
        # HTTP takes outer white space away.
        assert value.encode("latin-1").strip(b" \t") == value.encode("latin-1")


# --- kept secrets -------------------------------------------------------------------------


def test_kept_secrets_belong_to_their_origin():
    kept = ProtectedText(seal(Secret("x"), ORIGIN))
    rules.check_kept([kept, "", "***"], ORIGIN)
    assert "typed for another scheme, host or port" in refusal(
        rules.check_kept, [kept], "https://evil.test:443"
    )


def test_typed_secret_belongs_to_any_origin():
    rules.check_kept([ProtectedText(Secret("x"))], "https://other.test:443")


def test_kept_secret_that_cannot_be_read_is_refused():
    assert "cannot be read" in refusal(rules.check_kept, [ProtectedText("damaged")], ORIGIN)


# --- signing secret -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [SIGNING_SECRET, ProtectedText(Secret(SIGNING_SECRET)), ProtectedText("a stored token")],
)
def test_signing_secret_is_fine(value):
    assert is_fine(rules.check_signing_secret, value)


@pytest.mark.parametrize(
    "value", ["hunter2", "whsec_hunter2", SIGNING_SECRET[6:], SIGNING_SECRET + " ", 5, None]
)
def test_other_text_is_no_signing_secret_and_is_not_repeated(value):
    for given_value in (value, ProtectedText(Secret(str(value)))):
        message = refusal(rules.check_signing_secret, given_value)
        assert message.endswith('Leave it empty, or enter "whsec_" and 24 to 64 bytes in base64.')
        assert "hunter2" not in message


@pytest.mark.parametrize("value", ["***", ProtectedText(Secret("***"))])
def test_signing_secret_of_stars_is_refused(value):
    assert refusal(rules.check_signing_secret, value) == (
        "There is no stored signing secret to keep: type it."
    )


# --- numbers ------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [1, 30, 60])
def test_timeout_is_fine(seconds):
    assert is_fine(rules.check_timeout, seconds)


@pytest.mark.parametrize(
    "seconds", [0, -1, 61, 1.5, 10.0, "10", None, True, float("nan"), 10**400]
)
def test_timeout_is_1_to_the_largest(seconds):
    assert refusal(rules.check_timeout, seconds) == "Enter 1 to 60 seconds, or nothing."


def test_largest_timeout_is_a_setting(configure):
    configure(MAX_TIMEOUT=5)
    assert is_fine(rules.check_timeout, 5)
    assert refusal(rules.check_timeout, 6) == "Enter 1 to 5 seconds, or nothing."


@pytest.mark.parametrize("attempts", [1, 11])
def test_max_attempts_is_fine(attempts):
    assert is_fine(rules.check_max_attempts, attempts)


@pytest.mark.parametrize("attempts", [0, 12, -1, 2.0, "2", True, None])
def test_max_attempts_is_1_to_what_the_delays_give(attempts):
    assert refusal(rules.check_max_attempts, attempts) == "Enter 1 to 11 attempts, or nothing."


def test_most_attempts_follow_the_delays(configure):
    configure(RETRY_DELAYS=[])
    assert is_fine(rules.check_max_attempts, 1)
    assert refusal(rules.check_max_attempts, 2) == "Enter 1 to 1 attempts, or nothing."


@pytest.mark.parametrize(
    ("limit", "fine"),
    [(1, True), (100_000, True), (0, False), (-5, False), (1.0, False), ("1", False),
     (True, False), (None, False)],
)  # fmt: skip
def test_max_per_minute_is_1_or_more(limit, fine):
    assert is_fine(rules.check_max_per_minute, limit) is fine


# --- response validators ------------------------------------------------------------------


def validator(path: Any = "$.data.ok", *values: Any) -> dict[str, Any]:
    return {"json_path": path, "expected_values": list(values or ["true"])}


@pytest.mark.parametrize(
    "validators",
    [[], [validator()], [validator("$", "", "a"), validator("$..x", "null")] * 3],
)
def test_validators_are_fine(validators):
    assert is_fine(rules.check_response_validators, validators)


@pytest.mark.parametrize("validators", [None, {}, "x", validator(), ()])
def test_validators_are_a_list(validators):
    assert refusal(rules.check_response_validators, validators).startswith("Enter a list: ")


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("x", 'it has exactly the keys "json_path" and "expected_values".'),
        ({"json_path": "$.a"}, 'it has exactly the keys "json_path" and "expected_values".'),
        (
            {**validator(), "extra": 1},
            'it has exactly the keys "json_path" and "expected_values".',
        ),
        (validator(None), "the JSONPath is text, for example $.data.ok"),
        (validator("ok"), 'A JSONPath starts with "$", for example $.data.ok'),
        (validator("$.a =~ 'x'"), None),
        ({"json_path": "$.a", "expected_values": []}, "enter at least one expected value."),
        ({"json_path": "$.a", "expected_values": "true"}, "enter at least one expected value."),
        (validator("$.a", "\x00"), "an expected value holds a character that cannot be stored."),
        (validator("$.a", "\udfff"), "an expected value holds a character that cannot be stored."),
    ],
)
def test_wrong_validator_is_named_by_its_number(wrong, reason):
    message = refusal(rules.check_response_validators, [validator(), wrong])
    assert message.startswith("Validator 2: ")
    assert reason is None or message == f"Validator 2: {reason}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (200, "200"),
        (1.5, "1.5"),
        (None, "null"),
        ([1, 2], "[1,2]"),
        ({"A": "é"}, '{"A":"é"}'),
    ],
)
def test_expected_value_that_is_no_text_is_told_as_it_must_be_written(value, text):
    """The text is what the value will be compared with."""
    assert refusal(rules.check_response_validators, [validator("$.a", value)]) == (
        f'Validator 1: expected values are text: write "{text}" in quotes.'
    )


@pytest.mark.parametrize("path", ["$.'a\x00'", "$['\ud800']"])
def test_path_that_no_database_stores_is_refused(path):
    message = refusal(rules.check_response_validators, [validator(path)])
    assert message.startswith("Validator 1: ")


# --- event types --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "patterns",
    [[], ["access.*", "*.deleted"], ["*"], ["shop.order.created"], ["größe-1_x.y"], ["a" * 255]],
)
def test_event_types_are_fine(patterns):
    assert is_fine(rules.check_event_types, patterns)


@pytest.mark.parametrize("patterns", [None, "a.*", {"a": 1}, ("a",), 5])
def test_event_types_are_a_list(patterns):
    assert refusal(rules.check_event_types, patterns).startswith("Enter a list of event types")


@pytest.mark.parametrize(
    "pattern", ["", " ", "a b", "a/b", "a\n", "a?", "[a]", "\x00", "\ud800", "a" * 256, 5, None]
)
def test_other_text_is_no_event_type(pattern):
    assert "is no event type" in refusal(rules.check_event_types, ["a.*", pattern])

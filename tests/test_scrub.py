"""No secret survives in what a receiver sent back."""

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.delivery.scrub import SHORTEST, Scrubber

SECRET = 'p/w "&<é>\\n'


def in_json(text, **options):
    return json.dumps(text, **options)[1:-1]


@pytest.mark.parametrize(
    "spelled",
    [
        SECRET,
        in_json(SECRET),
        in_json(SECRET, ensure_ascii=False),
        in_json(SECRET).replace("/", "\\/"),
        in_json(SECRET).replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"),
        html.escape(SECRET),
        SECRET.encode("latin-1").decode("utf-8", "replace"),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
    ],
)
def test_every_spelling_is_replaced(spelled):
    assert Scrubber([SECRET])(f"before {spelled} after") == "before *** after"


@pytest.mark.parametrize(
    "spelled",
    [
        # .NET: System.Text.Json, HttpUtility.UrlEncode.
        r"Bearer a\u002Bb/c\u0027\u0026\u003C\u003E\u0060\u0022\u00E9==",
        "Bearer+a%2bb%2fc%27%26%3c%3e%60%22%c3%a9%3d%3d",
        # Java: Gson.
        r"Bearer a+b/c\u0027\u0026\u003c\u003e`\"é\u003d\u003d",
        # Go: html/template.
        "Bearer a&#43;b/c&#39;&amp;&lt;&gt;`&#34;é==",
        # JavaScript: encodeURIComponent.
        "Bearer%20a%2Bb%2Fc'%26%3C%3E%60%22%C3%A9%3D%3D",
    ],
)
def test_spellings_of_other_languages_are_replaced(spelled):
    assert Scrubber(["Bearer a+b/c'&<>`\"é=="])(f"before {spelled} after") == "before *** after"


def test_the_longer_secret_goes_first():
    assert Scrubber(["abcd", "abcdefgh"])("abcdefgh abcd") == "*** ***"


def test_short_values_are_left():
    assert Scrubber(["1", "ok", "yes", ""])("1 ok yes") == "1 ok yes"


def test_the_beginning_of_a_secret_at_a_cut_goes_too():
    scrub = Scrubber(["secret-token"])
    assert scrub("you sent secret-to", is_cut=True) == "you sent ***"
    assert scrub("you sent secret-to") == "you sent secret-to"
    assert scrub("you sent sec", is_cut=True) == "you sent sec"


def test_the_longest_beginning_at_a_cut_goes():
    """A short beginning of one secret must not leave the rest of another's standing."""
    scrub = Scrubber(["tokn-and-much-longer-than-the-other", "secret-tokn-x"])
    assert scrub("you sent secret-tokn", is_cut=True) == "you sent ***"


@given(
    secrets=st.lists(st.text(min_size=SHORTEST, max_size=20), max_size=3),
    parts=st.lists(st.text(max_size=10), min_size=1, max_size=4),
    limit=st.integers(min_value=0, max_value=60),
)
def test_no_secret_survives(secrets, parts, limit):
    """But where the text around it and the stars make one anew."""
    text = "|".join(part + "".join(secrets) for part in parts)
    scrubbed = Scrubber(secrets)(text[:limit], is_cut=limit < len(text))
    pieces = scrubbed.split("***")
    assert not any(secret in piece for secret in secrets for piece in pieces)

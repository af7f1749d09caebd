"""A recorded request as a command."""

from __future__ import annotations

import string
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from auditwebhooks.admin.curl import as_curl

URL = "https://hooks.example.com/***"

names = st.text(alphabet=string.ascii_letters + "-", min_size=1, max_size=8).map("x-{}".format)
# A shell takes no NUL, and there are no surrogates in UTF-8.
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)


def words_of(command: str) -> list[str]:
    """What a shell makes of it."""
    script = f"curl() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    told = subprocess.run(["sh", "-c", script], capture_output=True, check=True)
    return told.stdout.decode().split("\0")[:-1]


@settings(max_examples=50)
@given(st.dictionaries(names, texts, max_size=3), texts)
def test_a_shell_reads_what_was_sent(headers: dict[str, str], body: str) -> None:
    expected = ["--globoff", "--request", "POST", URL]
    for name, value in sorted(headers.items(), key=lambda header: header[0].lower()):
        expected += ["--header", f"{name}: {value}" if value else f"{name};"]
    expected += ["--data-raw", body] if body else []

    assert words_of(as_curl("POST", URL, headers, body)) == expected


def test_what_curl_sets_itself_is_left_out() -> None:
    told = as_curl("GET", "https://a.example/", {"Host": "a", "Content-Length": "3", "A": "b"}, "")

    assert told == "curl --globoff --request GET https://a.example/ \\\n  --header 'A: b'"

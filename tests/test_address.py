"""URLs of webhooks, judged as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.exceptions import InvalidURLError
from auditwebhooks.transport.address import MAX_LENGTH, Address, mask_url, parse_address


def refusal(url: str) -> str:
    with pytest.raises(InvalidURLError) as caught:
        parse_address(url)
    return str(caught.value)


# --- what may be called -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sent", "host"),
    [
        ("https://example.com/a?b=c", "https://example.com/a?b=c", "example.com"),
        ("https://example.com", "https://example.com/", "example.com"),
        ("https://example.com?a=b", "https://example.com/?a=b", "example.com"),
        ("HTTPS://Example.COM/Path", "https://example.com/Path", "example.com"),
        ("https://example.com:443/x", "https://example.com:443/x", "example.com"),
        ("https://münchen.de/ü?ö=ä", "https://xn--mnchen-3ya.de/%C3%BC?%C3%B6=%C3%A4", None),
        ("https://faß.de/", "https://xn--fa-hia.de/", "xn--fa-hia.de"),
        ("https://a_b.example.com/", "https://a_b.example.com/", "a_b.example.com"),
        ("https://203.0.113.7/x", "https://203.0.113.7/x", "203.0.113.7"),
        ("https://[2001:DB8::1]/x", "https://[2001:db8::1]/x", "2001:db8::1"),
        ("https://example.com/%zz%41", "https://example.com/%25zz%2541", "example.com"),
        ("https://example.com/a/../b", "https://example.com/b", "example.com"),
        ("https://example.com/a@b/c:d", "https://example.com/a@b/c:d", "example.com"),
        ("https://example.com?@evil.test/", "https://example.com/?@evil.test/", "example.com"),
        ("https://example.com//evil.test", "https://example.com//evil.test", "example.com"),
        ("https://example.com/\U0001f600", "https://example.com/%F0%9F%98%80", "example.com"),
    ],
)
def test_url_is_read_as_it_is_sent(url, sent, host):
    address = parse_address(url)
    assert address.url == sent
    assert address.host == (host or "xn--mnchen-3ya.de")
    assert (address.scheme, address.port) == ("https", 443)


def test_origin_is_scheme_host_and_port():
    assert parse_address("https://Example.com/a?b").origin == "https://example.com:443"


@pytest.mark.parametrize(
    "other",
    [
        "https://example.com:443/other?path=1",
        "HTTPS://EXAMPLE.COM",
        "https://example.com:0443/",
    ],
)
def test_other_spellings_have_the_same_origin(other):
    assert parse_address(other).origin == "https://example.com:443"


@pytest.mark.parametrize("other", ["https://www.example.com/", "https://example.com.evil.test/"])
def test_other_hosts_have_another_origin(other):
    assert parse_address(other).origin != "https://example.com:443"


def test_longest_url():
    url = "https://example.com/" + "a" * (MAX_LENGTH - 20)
    assert parse_address(url).url == url
    assert refusal(url + "a") == "A URL has at most 2048 characters."


def test_address_shows_no_path():
    """Path and query can be secrets, and what has a repr ends up in logs."""
    assert "hunter2" not in repr(parse_address("https://example.com/hunter2?hunter2"))


# --- what is refused ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "Enter the URL of the system that receives the webhook."),
        ("http://example.com/", "The URL must start with https://."),
        ("ftp://example.com/", "The URL must start with https://."),
        ("file:///etc/passwd", "The URL must start with https://."),
        ("//example.com/", "The URL must start with https://."),
        ("example.com", "The URL must start with https://."),
        ("example.com:443/x", "The URL must start with https://."),
        ("javascript:alert(1)", "The URL must start with https://."),
        ("https:", "The URL names no host."),
        ("https:///path", "The URL names no host."),
        ("https:example.com/x", "The URL names no host."),
        ("https://:443/", "The URL names no host."),
        ("https://?x=1", "The URL names no host."),
        ("https://[::1", "This is not a URL."),
        ("https://[1.2.3.4]/", None),
        ("https://[example.com]/", None),
    ],
)
def test_url_without_https_or_host_is_refused(url, sentence):
    assert sentence in (None, refusal(url))
    assert refusal(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://@example.com/",
        "https://:@example.com/",
        "https://good.test@evil.test/",
        "https://good.test%40x@evil.test/",
    ],
)
def test_user_and_password_are_refused(url):
    assert refusal(url) == ("Take user and password out of the URL; use the header Authorization.")


@pytest.mark.parametrize("port", ["0", "1", "80", "444", "8443", "65535"])
def test_custom_ports_are_refused(port):
    assert refusal(f"https://example.com:{port}/x") == (
        f"Take the port {port} out: only 443 is allowed (AUDITWEBHOOKS['ALLOWED_PORTS'])."
    )


@pytest.mark.parametrize(
    "port",
    ["65536", "99999999999999999999", "-1", "+443", "x", "443:443", "\u0664\u0664\u0663"],
)
def test_text_that_is_no_port_is_refused(port):
    assert refusal(f"https://example.com:{port}/x") == (
        "The port of the URL is not a number from 1 to 65535."
    )


@pytest.mark.parametrize(
    "url", ["https://example.com:/", "https://example.com:", "https://[::1]:"]
)
def test_colon_without_a_port_is_refused(url):
    assert refusal(url) == "Take the colon after the host out."


@pytest.mark.parametrize("url", ["https://example.com/#", "https://example.com/a?b#c"])
def test_fragment_is_refused(url):
    assert refusal(url) == "Take out the fragment (#...): it is never sent."


@pytest.mark.parametrize(
    "character",
    ["\\", " ", "\t", "\n", "\r", "\x00", "\x0b", "\x1f", "\x7f", "\x85", "\u00a0", "\u2028"],
)
@pytest.mark.parametrize(
    "pattern", ["https://exam{}ple.com/", "https://example.com/a{}b", "{}https://example.com/"]
)
def test_space_control_character_and_backslash_are_refused(pattern, character):
    assert refusal(pattern.format(character)) == (
        "Take out the spaces, control characters and backslashes."
    )


@pytest.mark.parametrize(
    "url",
    [
        # Read as good.test by one parser and as evil.test by another.
        "https://evil.test\\@good.test/",
        "https://evil.test\\.good.test/",
        "https://*.example.com/",
        "https://.example.com/",
        "https://\ud800.test/",
        # Characters that become others when the name is normalised.
        "https://ｅxample.com/",
        "https://①②⑦.0.0.1/",
        "https://example。com/",
        "https://exa\u00admple.com/",
        "https://\u200bexample.com/",
        "https://example.com\uff0f@evil.test/",
        "https://example.com\uff1a443/",
    ],
)
def test_host_that_can_be_read_in_two_ways_is_refused(url):
    assert refusal(url)


@pytest.mark.parametrize(
    "host",
    [
        "exa mple.com",
        "example.com%2fevil.test",
        "a|b.test",
        'a"b.test',
        "a<b>.test",
        "a;b.test",
        "a,b.test",
        "a'b.test",
        "a..b.test",
        "a" * 64 + ".test",
    ],
)
def test_text_that_is_no_host_name_is_refused(host):
    """It could never be resolved: said when it is typed, not by a failing delivery."""
    assert refusal(f"https://{host}/")


@pytest.mark.parametrize("url", ["https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/"])
def test_zone_of_an_address_is_refused(url):
    """It names an interface of this machine."""
    assert refusal(url)


def test_refusal_repeats_nothing_of_path_and_query():
    for url in ("https://.example.com/hunter2?hunter2", "https://[x]/hunter2", "ftp://a/hunter2"):
        assert "hunter2" not in refusal(url)


@given(st.text(st.characters(exclude_categories=())) | st.from_regex(r"https://[!-~]{0,30}"))
def test_any_text_is_an_address_or_refused(text):
    try:
        address = parse_address(text)
    except InvalidURLError as error:
        assert str(error)
    else:
        assert address.url.isascii()
        assert parse_address(address.url).host == address.host
        assert address.masked == mask_url(address.url)


# --- settings -----------------------------------------------------------------------------


def test_masked_address_shows_the_host_only():
    assert parse_address("https://example.com/hunter2?hunter2").masked == "https://example.com/***"
    assert parse_address("https://[2001:db8::1]/hunter2").masked == "https://[2001:db8::1]/***"


def test_wider_schemes_and_ports_are_allowed_by_settings(configure):
    configure(ALLOWED_SCHEMES=["http", "https"], ALLOWED_PORTS=[80, 8080])
    assert parse_address("http://example.com/x") == Address(
        url="http://example.com/x", scheme="http", host="example.com", port=80
    )
    address = parse_address("http://example.com:8080/x")
    assert address.origin == "http://example.com:8080"
    assert address.masked == "http://example.com:8080/***"
    assert refusal("https://example.com/") == (
        "Take the port 443 out: only 80, 8080 are allowed (AUDITWEBHOOKS['ALLOWED_PORTS'])."
    )
    assert refusal("ftp://example.com/") == "The URL must start with one of http://, https://."


def test_scheme_belongs_to_the_origin(configure):
    configure(ALLOWED_SCHEMES=["http", "https"], ALLOWED_PORTS=[80, 443])
    origins = {
        parse_address(url).origin
        for url in ("http://h/", "https://h/", "http://h:443/", "https://h:80/")
    }
    assert origins == {"http://h:80", "https://h:443", "http://h:443", "https://h:80"}


# --- masking ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://example.com/hunter2?hunter2#hunter2", "https://example.com/***"),
        ("https://example.com", "https://example.com/***"),
        ("https://example.com?hunter2", "https://example.com/***"),
        ("https://hunter2:hunter2@example.com/", "https://example.com/***"),
        ("https://example.com:443/x", "https://example.com/***"),
        ("https://example.com:8443/x", "https://example.com:8443/***"),
        ("http://example.com:80/x", "http://example.com/***"),
        ("https://[2001:db8::1]:444/x", "https://[2001:db8::1]:444/***"),
        ("HTTPS://EXAMPLE.com/x", "https://example.com/***"),
        ("", "***"),
        ("hunter2", "***"),
        ("https:hunter2", "***"),
        ("https:///hunter2", "***"),
        ("https://[hunter2", "***"),
        ("https://example.com:hunter2/", "***"),
    ],
)
def test_masked_url_shows_the_host_only(url, masked):
    assert mask_url(url) == masked


@pytest.mark.parametrize(
    "url",
    [
        "https://hooks.example.com\\services\\hunter2",
        "https://hooks.example.com%2Fhunter2",
        "https://hooks.example.com hunter2",
    ],
)
def test_mistyped_url_does_not_show_its_path_as_a_host(url):
    assert "hunter2" not in mask_url(url)


@given(
    path=st.text("abc/?#:@%&=\\ \n", max_size=10),
    host=st.sampled_from(["h.test", "h.test:8443", "[::1]"]),
)
def test_no_path_or_query_survives_masking(path, host):
    assert "SECRET" not in mask_url(f"https://{host}/{path}SECRET{path}")

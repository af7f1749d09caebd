"""Secrets at rest: bound to an origin, and shown to nobody."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
import traceback
from typing import Any

import pytest
from cryptography.fernet import Fernet, MultiFernet
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.encryption import ProtectedText, Secret, rotate, seal, unseal
from auditwebhooks.exceptions import EncryptionError

ORIGIN = "https://hooks.example.com:443"
VALUE = "Bearer hunter2-hunter2"
FERNET_KEY = "c2l4dGVlbiBieXRlcyBhbmQgc2l4dGVlbiBtb3JlISE="


def key() -> str:
    return Fernet.generate_key().decode()


def sealed(value: str = VALUE, origin: str = ORIGIN) -> str:
    return seal(Secret(value), origin)


def opened(token: str, origin: str = ORIGIN) -> str:
    return unseal(token, origin).reveal()


def failure(token: str, origin: str = ORIGIN) -> str:
    """The sentence of the refusal, with everything a traceback of it would print."""
    with pytest.raises(EncryptionError) as caught:
        unseal(token, origin)
    return "".join(traceback.format_exception(caught.value))


# --- seal and unseal ----------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a", "", "ü\U0001f600", "\x00\n", "\ud800", "x" * 8192, "***"])
def test_value_comes_back_for_its_origin(value):
    assert opened(sealed(value)) == value


@given(value=st.text(st.characters(exclude_categories=())), origin=st.text())
def test_any_value_comes_back_for_any_origin(value, origin):
    assert opened(sealed(value, origin), origin) == value


def test_token_is_ascii_without_the_value():
    token = sealed()
    assert token.isascii()
    assert "hunter2" not in token
    assert token != sealed()


@pytest.mark.parametrize(
    "origin",
    [
        "http://hooks.example.com:443",
        "https://hooks.example.com:8443",
        "https://example.com:443",
        "https://hooks.example.com.evil.test:443",
        "",
    ],
)
def test_value_is_refused_for_another_origin(origin):
    token = sealed()
    printed = failure(token, origin)
    assert printed.endswith(
        "EncryptionError: The stored secrets were typed for another scheme, host or port. "
        "Type them again.\n"
    )
    assert "hunter2" not in printed


@pytest.mark.parametrize(
    "damage",
    [
        lambda token: "",
        lambda token: "***",
        lambda token: token[:-1],
        lambda token: token[:-4] + "AAA=",
        lambda token: token[:30] + ("B" if token[30] != "B" else "C") + token[31:],
        lambda token: "plain text",
        lambda token: "A" + token,
        lambda token: "ü",
        lambda token: "\ud800",
    ],
)
def test_damaged_token_is_refused(damage):
    assert failure(damage(sealed())).endswith(
        "EncryptionError: A stored secret cannot be read with the present keys. Put the old key "
        "back (SECRET_KEY_FALLBACKS or ENCRYPTION_KEYS), or type the secret again.\n"
    )


def test_token_of_another_key_is_refused(settings):
    token = sealed()
    settings.SECRET_KEY = "a new one"
    printed = failure(token)
    assert "SECRET_KEY_FALLBACKS or ENCRYPTION_KEYS" in printed
    assert "hunter2" not in printed


@pytest.mark.parametrize(
    "content", ["5", "null", "[1, 2, 3]", '"ab"', "{}", "not json", f'["{ORIGIN}", 5]']
)
def test_token_that_holds_something_else_is_refused(content, configure):
    """A key of ENCRYPTION_KEYS may serve other software too."""
    shared = key()
    configure(ENCRYPTION_KEYS=[shared])
    token = Fernet(shared).encrypt(content.encode()).decode()
    assert "secret" in failure(token)


# --- keys ---------------------------------------------------------------------------------


def test_new_secret_key_reads_with_the_old_one_as_fallback(settings):
    token = sealed()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    assert opened(token) == VALUE


def test_fallback_reads_and_never_encrypts(settings):
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new one", [old]
    token = sealed()
    settings.SECRET_KEY_FALLBACKS = []
    assert opened(token) == VALUE


def test_bytes_and_text_of_a_secret_key_are_the_same_key(settings):
    token = sealed()
    settings.SECRET_KEY = settings.SECRET_KEY.encode()
    assert opened(token) == VALUE


def test_derived_key_is_not_the_secret_key(settings):
    """Written down once: a change of the derivation would make every stored secret unreadable."""
    settings.SECRET_KEY = "only for tests"
    derived = b"OO4RAQZzKj3-YYcYxC-0e0k7xoccY4JVNs_Py-8vHy0="
    assert json.loads(Fernet(derived).decrypt(sealed())) == [ORIGIN, VALUE]


def test_encryption_keys_replace_the_derived_one(configure, settings):
    configure(ENCRYPTION_KEYS=[key()])
    token = sealed()
    settings.SECRET_KEY = "a new one"
    assert opened(token) == VALUE


def test_values_stored_before_encryption_keys_were_set_are_read_and_moved(configure, settings):
    """The way from SECRET_KEY, the default, to keys of its own."""
    token = sealed()
    configure(ENCRYPTION_KEYS=[key()])
    assert opened(token) == VALUE

    moved = rotate(token)
    settings.SECRET_KEY = "a new one"
    assert opened(moved) == VALUE
    with pytest.raises(EncryptionError):
        opened(token)


def test_first_encryption_key_encrypts_and_all_decrypt(configure):
    old, new = key(), key()
    configure(ENCRYPTION_KEYS=[old])
    token = sealed()
    configure(ENCRYPTION_KEYS=[new, old])
    assert opened(token) == VALUE
    assert json.loads(Fernet(new).decrypt(sealed())) == [ORIGIN, VALUE]
    configure(ENCRYPTION_KEYS=[new])
    assert "cannot be read" in failure(token)


def test_rotation_moves_a_token_to_the_first_key(configure):
    old, new = key(), key()
    configure(ENCRYPTION_KEYS=[old])
    token = sealed()
    configure(ENCRYPTION_KEYS=[new, old])
    moved = rotate(token)
    configure(ENCRYPTION_KEYS=[new])
    assert opened(moved) == VALUE
    assert "another scheme, host or port" in failure(moved, "https://evil.test:443")


def test_rotation_of_a_token_of_another_key_is_refused(configure):
    configure(ENCRYPTION_KEYS=[key()])
    token = sealed()
    configure(ENCRYPTION_KEYS=[key()])
    with pytest.raises(EncryptionError, match="cannot be read with the present keys"):
        rotate(token)


@pytest.mark.parametrize("token", ["", "plain", "\ud800", "ü"])
def test_rotation_of_a_damaged_token_is_refused(token):
    with pytest.raises(EncryptionError, match="cannot be read with the present keys"):
        rotate(token)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        "",
        {},
        5,
        True,
        [None],
        [5],
        ["short"],
        [""],
        ["ü" * 44],
        [b"x" * 44],
        [FERNET_KEY.encode()],
        FERNET_KEY,
        [FERNET_KEY, "short"],
    ],
)
def test_unusable_encryption_keys_fail_closed(keys, configure):
    token = sealed()
    configure(ENCRYPTION_KEYS=keys)
    for act in (sealed, lambda: unseal(token, ORIGIN), lambda: rotate(token)):
        with pytest.raises(EncryptionError, match="ENCRYPTION_KEYS"):
            act()


def test_encryption_keys_of_none_are_the_derived_ones(configure):
    token = sealed()
    configure(ENCRYPTION_KEYS=None)
    assert opened(token) == VALUE


def test_other_unusable_settings_do_not_matter(configure):
    token = sealed()
    configure(RETRY_DELAYS="nonsense", CA_FILE="/no/such/file")
    assert opened(token) == VALUE


# --- Secret -------------------------------------------------------------------------------

SHOWN: list[Any] = [
    repr,
    str,
    "{}".format,
    "{!r}".format,
    "{!s}".format,
    lambda value: f"{value}",
    lambda value: "%s %r" % (value, value),  # noqa: UP031 - as loggers do
    lambda value: repr([value, {"a": value}]),
    lambda value: pprint.pformat({"a": [value]}),
    lambda value: repr(ValueError("bad", value)),
    lambda value: "".join(traceback.format_exception(ValueError(value))),
]


@pytest.mark.parametrize("show", SHOWN)
@pytest.mark.parametrize("make", [Secret, lambda value: ProtectedText(Secret(value))])
def test_no_way_of_printing_shows_the_value(make, show):
    shown = show(make(VALUE))
    assert "***" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("make", [Secret, lambda value: ProtectedText(Secret(value))])
def test_typed_value_is_not_pickled(make, protocol):
    with pytest.raises(TypeError) as caught:
        pickle.dumps({"a": make(VALUE)}, protocol)
    assert "hunter2" not in str(caught.value)


def test_secret_is_revealed_on_request_only():
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError):
        len(secret)


def test_secrets_are_equal_by_value():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


def test_deep_copy_carries_the_same_secret():
    """Whoever copies a model instance copies what stands in it."""
    secret = Secret(VALUE)
    copied = copy.deepcopy({"a": [secret]})
    assert copied["a"][0] is secret
    assert copy.copy([secret])[0] is secret


# --- ProtectedText ------------------------------------------------------------------------


def test_protected_text_reads_as_stars():
    text = ProtectedText(Secret(VALUE))
    assert text == "***"
    assert "***" == text  # noqa: SIM300 - the other way round
    assert str(text) == "***"
    assert len(text) == 3
    assert json.dumps({"a": text}) == '{"a": "***"}'
    assert text + "" == "***"
    assert text.upper() == "***"


def test_typed_value_is_carried_until_it_is_sealed():
    text = ProtectedText(Secret(VALUE))
    assert text.typed == Secret(VALUE)
    assert text.reveal("any origin").reveal() == VALUE
    assert opened(text.token(ORIGIN)) == VALUE


def test_loaded_token_is_revealed_for_its_origin_only():
    token = sealed()
    text = ProtectedText(token)
    assert text.typed is None
    assert text.token("any origin") == token
    assert text.reveal(ORIGIN).reveal() == VALUE
    with pytest.raises(EncryptionError):
        text.reveal("https://evil.test:443")


def test_protected_texts_are_compared_by_what_they_carry():
    assert ProtectedText("t1") == ProtectedText("t1")
    assert not ProtectedText("t1") == ProtectedText("t2")  # noqa: SIM201 - the operator itself
    assert not ProtectedText(Secret("a")) == ProtectedText(Secret("b"))  # noqa: SIM201
    assert ProtectedText(Secret("a")) == ProtectedText(Secret("a"))
    assert not ProtectedText(Secret("t1")) == ProtectedText("t1")  # noqa: SIM201


def test_inequality_is_the_opposite_of_equality():
    """``changed_fields`` asks for it: with str's own a new secret would be no change."""
    assert ProtectedText("t1") != ProtectedText("t2")
    assert ProtectedText(Secret("a")) != ProtectedText(Secret("b"))
    assert not ProtectedText("t1") != ProtectedText("t1")  # noqa: SIM202 - the operator itself
    assert ProtectedText("t1") != "t1"
    assert not ProtectedText("t1") != "***"  # noqa: SIM202


def test_equal_protected_texts_have_equal_hashes():
    assert hash(ProtectedText("t1")) == hash(ProtectedText("t1")) == hash("***")
    assert len({ProtectedText("t1"), ProtectedText("t2"), ProtectedText("t1")}) == 2


def test_protected_text_is_no_other_type():
    assert ProtectedText("t1") != 5
    assert (ProtectedText("t1") == None) is False  # noqa: E711 - the operator itself


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
@pytest.mark.parametrize("carried", [Secret(VALUE), "token"])
def test_copy_of_a_protected_text_carries_the_same(duplicate, carried):
    text = ProtectedText(carried)
    assert duplicate(text) == text
    assert type(duplicate(text)) is ProtectedText
    assert duplicate([text])[0].token is not None
    assert duplicate(text).typed == text.typed


def test_loaded_token_travels_in_a_pickle():
    token = sealed()
    text = pickle.loads(pickle.dumps(ProtectedText(token)))  # noqa: S301 - made here
    assert type(text) is ProtectedText
    assert opened(text.token(ORIGIN)) == VALUE


def test_keys_are_not_made_anew_for_every_secret(configure, monkeypatch):
    made = []
    original = MultiFernet.__init__
    monkeypatch.setattr(
        MultiFernet, "__init__", lambda self, keys: made.append(1) or original(self, keys)
    )
    configure(ENCRYPTION_KEYS=[key()])
    for _ in range(5):
        sealed()
    assert made == [1]

"""Which names look like a secret, and that no value below them stays."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.masking import MASK, holds_secret, looks_secret, mask_tree

SECRET_NAMES = [
    # Words of the contract, in the spellings people use.
    "password",
    "Password",
    "PASSWORD",
    "password1",
    "user_password",
    "userPassword",
    "dbpassword",
    "PasswordHash",
    "new-password",
    "user.password",
    "passwd",
    "pwd",
    "secret",
    "SECRET_KEY",
    "client_secret",
    "clientSecret",
    "clientsecret",
    "shared secret",
    "token",
    "tokens",
    "access_token",
    "accessToken",
    "accesstoken",
    "refresh-token",
    "X-Auth-Token",
    "api_key",
    "apiKey",
    "apikey",
    "ApiKey",
    "APIKey",
    "APIkey",
    "API_KEY",
    "api-key",
    "api key",
    "x-api-key",
    "api_keys",
    "private_key",
    "privateKey",
    "privatekey",
    "PRIVATE_KEY_PEM",
    "private_keys",
    "otp",
    "OTP",
    "otpCode",
    "otp_secret",
    "totp",
    # Of the same kind.
    "authorization",
    "Set-Cookie",
    "cookie",
    "cookies",
    "csrf",
    "sessionid",
    "session-id",
    "session_key",
    "auth_key",
    "credential",
    "credentials",
    "passwords",
    "secrets",
    "passcode",
    "passphrase",
    "encryption_key",
    "signing_key",
    "access_key",
    "recoveryCode",
    "recovery_codes",
    "jwt",
    "cvc",
    "cvv",
]

# Written without word breaks, or with capitals that hide them.
JOINED_NAMES = [
    "authtoken",
    "refreshtoken",
    "csrftoken",
    "csrfmiddlewaretoken",
    "bearertoken",
    "APItoken",
    "JWTtoken",
    "passPhrase",
    "pass_phrase",
    "signingkey",
    "encryptionkey",
    "accesskey",
]

PLAIN_NAMES = [
    "",
    "name",
    "title",
    "key",
    "keyword",
    "monkey",
    "turkey",
    "api",
    "private",
    "access",
    "public_key_id",
    "primary_key",
    "session",
    "id",
    "author",
    "authority",
    "compass",
    "passenger",
    "passport_country",
    "broken",
    "tokenizer",
    "tokyo",
    "laptop",
    "option",
    "description",
    "code",
    "is_active",
    "123",
    "_",
    "é",
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_name_looks_like_a_secret(name):
    assert looks_secret(name) is True


@pytest.mark.parametrize("name", JOINED_NAMES)
def test_joined_name_looks_like_a_secret(name):
    assert looks_secret(name) is True


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_name_does_not_look_like_a_secret(name):
    assert looks_secret(name) is False


@pytest.mark.parametrize(
    ("model", "field"),
    [
        ("Token", "key"),
        ("APIKey", "hashed_key"),
        ("RecoveryCode", "code"),
        ("UserSecret", "value"),
        ("Order", "api_key"),
    ],
)
def test_field_of_a_model_holds_a_secret(model, field):
    assert holds_secret(model, field) is True


@pytest.mark.parametrize(
    ("model", "field"),
    [("Token", "user"), ("Token", "created"), ("Token", "_"), ("Setting", "key"), ("Tag", "code")],
)
def test_field_of_a_model_holds_none(model, field):
    assert holds_secret(model, field) is False


@pytest.mark.parametrize(
    "value", ["hunter2", None, "", 0, False, ["a"], {"a": {"b": "c"}}, {"password": "x"}]
)
def test_value_of_a_secret_key_is_masked_whatever_it_is(value):
    assert mask_tree({"token": value, "a": 1}) == {"token": "***", "a": 1}


def test_secrets_are_masked_at_every_depth():
    tree = {"a": [{"b": [[{"api_key": "x", "c": "y"}]]}, "password"], "otp": 123456}
    assert mask_tree(tree) == {
        "a": [{"b": [[{"api_key": "***", "c": "y"}]]}, "password"],
        "otp": "***",
    }


def test_named_keys_are_masked_beside_those():
    tree = {"iban": "DE1", "list": [{"iban": "DE2", "bic": "X", "secret": 1}]}
    assert mask_tree(tree, {"iban"}) == {
        "iban": "***",
        "list": [{"iban": "***", "bic": "X", "secret": "***"}],
    }


def test_tree_that_is_given_stays_as_it_is():
    tree = {"a": [{"token": "x"}]}
    before = copy.deepcopy(tree)
    masked = mask_tree(tree)
    assert tree == before
    masked["a"].append("new")
    assert tree == before


@pytest.mark.parametrize("value", ["x", 5, None, True, 1.5])
def test_plain_value_stays(value):
    assert mask_tree(value) is value


def test_mask_is_three_stars():
    assert MASK == "***"


# --- property -----------------------------------------------------------------------------

names = st.sampled_from(SECRET_NAMES + [*PLAIN_NAMES, "chosen"])
trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=25,
)


def values_below_secrets(value: Any, secret: bool = False) -> list[Any]:
    """Every leaf that stands below a secret name, told by the lists of this file alone."""
    if isinstance(value, dict):
        return [
            leaf
            for key, item in value.items()
            for leaf in values_below_secrets(
                item, secret or key in SECRET_NAMES or key == "chosen"
            )
        ]
    if isinstance(value, list):
        return [leaf for item in value for leaf in values_below_secrets(item, secret)]
    return [value] if secret else []


def plain_leaves(value: Any) -> list[Any]:
    """Every leaf that stands below no secret name, in order."""
    if isinstance(value, dict):
        return [
            leaf
            for key, item in value.items()
            if key not in SECRET_NAMES and key != "chosen"
            for leaf in plain_leaves(item)
        ]
    if isinstance(value, list):
        return [leaf for item in value for leaf in plain_leaves(item)]
    return [value]


@given(trees)
def test_no_value_below_a_secret_key_survives_and_every_other_does(tree):
    masked = mask_tree(tree, {"chosen"})
    assert set(values_below_secrets(masked)) <= {"***"}
    assert plain_leaves(masked) == plain_leaves(tree)
    assert mask_tree(masked, {"chosen"}) == masked


@given(st.text(st.characters(exclude_categories=()), max_size=20))
def test_any_name_gets_an_answer(name):
    assert looks_secret(f"{name}_password") is True
    assert mask_tree({name: "x"}) in ({name: "x"}, {name: "***"})


@pytest.mark.parametrize("depth", [100, 400])
def test_secret_is_masked_as_deep_as_json_can_be_read(depth):
    tree = json.loads('{"a":[' * (depth // 2) + '{"password":"hunter2"}' + "]}" * (depth // 2))
    masked = mask_tree(tree)
    for _ in range(depth // 2):
        masked = masked["a"][0]
    assert masked == {"password": "***"}


@pytest.mark.parametrize(
    ("model", "field"),
    [
        *(("Token", "key"), ("AuthToken", "digest"), ("TOTPDevice", "key"), ("APIKey", "value")),
        *(("HOTPDevice", "key"), ("RecoveryCode", "code"), ("SecretsVersion", "data")),
    ],
)
def test_a_model_named_like_a_secret_holds_one(model: str, field: str) -> None:
    assert holds_secret(model, field)


@pytest.mark.parametrize(
    ("model", "field"),
    [
        *(("Token", "id"), ("Token", "user"), ("Token", "created"), ("Token", "description")),
        *(("Setting", "key"), ("Setting", "value"), ("Country", "code"), ("Keyword", "key")),
    ],
)
def test_other_fields_and_models_hold_none(model: str, field: str) -> None:
    assert not holds_secret(model, field)

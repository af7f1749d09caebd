"""Standard Webhooks signatures, checked against the specification's own library."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.signing import (
    TOLERANCE,
    key_of,
    new_secret,
    sign,
    signature_header,
    verify,
)

# Published by Svix, from whose scheme the specification was made:
# https://docs.svix.com/receiving/verifying-payloads/how
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def secret_of(key: bytes) -> str:
    return "whsec_" + base64.b64encode(key).decode()


OTHER_SECRET = secret_of(b"o" * 32)


def is_verified(**changes: object) -> bool:
    parts: dict[str, object] = {
        "secret": SECRET,
        "message_id": MESSAGE_ID,
        "timestamp": str(TIMESTAMP),
        "body": BODY,
        "header": SIGNATURE,
        "now": TIMESTAMP,
    }
    return verify(**{**parts, **changes})


# --- signing ------------------------------------------------------------------------------


def test_published_vector():
    assert sign(SECRET, MESSAGE_ID, TIMESTAMP, BODY) == SIGNATURE


@pytest.mark.parametrize("body", [b"", b"{}", '{"ü": "\U0001f600"}'.encode(), b"a.b\n"])
def test_the_library_verifies_what_is_signed_here(body):
    secret, now = new_secret(), int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature_header([secret], "evt_1", now, body),
    }
    receiver = standardwebhooks.Webhook(secret)
    assert receiver.verify(body, headers, json_parse=False) is None
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        receiver.verify(body + b" ", headers, json_parse=False)


def test_the_library_verifies_both_secrets_of_a_rotation():
    new, old, now = new_secret(), new_secret(), int(time.time())
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(now),
        "webhook-signature": signature_header([new, old], "evt_1", now, b"[5]"),
    }
    assert standardwebhooks.Webhook(new).verify(b"[5]", headers) == [5]
    assert standardwebhooks.Webhook(old).verify(b"[5]", headers) == [5]
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(new_secret()).verify(b"[5]", headers)


def test_header_holds_one_signature_for_each_secret_in_order():
    header = signature_header([SECRET, OTHER_SECRET], MESSAGE_ID, TIMESTAMP, BODY)
    assert header.split(" ") == [SIGNATURE, sign(OTHER_SECRET, MESSAGE_ID, TIMESTAMP, BODY)]


def test_id_timestamp_and_body_are_all_signed():
    signatures = {
        sign(SECRET, MESSAGE_ID, TIMESTAMP, BODY),
        sign(SECRET, MESSAGE_ID + "x", TIMESTAMP, BODY),
        sign(SECRET, MESSAGE_ID, TIMESTAMP + 1, BODY),
        sign(SECRET, MESSAGE_ID, TIMESTAMP, BODY + b" "),
        sign(OTHER_SECRET, MESSAGE_ID, TIMESTAMP, BODY),
    }
    assert len(signatures) == 5


# --- verifying ----------------------------------------------------------------------------


def test_published_vector_is_verified():
    assert is_verified()


@given(key=st.binary(min_size=24, max_size=64), body=st.text().map(str.encode))
def test_what_the_library_signs_is_verified_here(key, body):
    when = datetime.fromtimestamp(TIMESTAMP, UTC)
    header = standardwebhooks.Webhook(key).sign(MESSAGE_ID, when, body.decode())
    assert is_verified(secret=secret_of(key), body=body, header=header)
    assert not is_verified(secret=secret_of(key), body=body + b"\n", header=header)
    assert not is_verified(secret=OTHER_SECRET, body=body, header=header)


@pytest.mark.parametrize(
    "changes",
    [
        {"secret": OTHER_SECRET},
        {"message_id": "msg_other"},
        {"message_id": ""},
        {"timestamp": str(TIMESTAMP + 1)},
        {"body": BODY + b" "},
        {"body": b""},
        {"header": ""},
        {"header": "v1,"},
        {"header": SIGNATURE[3:]},
        {"header": SIGNATURE.replace("v1,", "v1a,")},
        {"header": SIGNATURE.replace("v1,", "v2,")},
        {"header": SIGNATURE[:-1]},
        {"header": SIGNATURE.swapcase()},
        {"header": SIGNATURE + ",x"},
    ],
)
def test_anything_else_is_not_verified(changes):
    assert is_verified(**changes) is False


def test_one_fitting_signature_among_others_is_enough():
    assert is_verified(header=f"v1a,xyz v1,AAAA {SIGNATURE} v1,")


@pytest.mark.parametrize("age", [-TOLERANCE, 0, TOLERANCE])
def test_timestamp_within_five_minutes_is_fresh(age):
    assert TOLERANCE == 300
    assert is_verified(now=TIMESTAMP + age)


@pytest.mark.parametrize("age", [-TOLERANCE - 0.5, TOLERANCE + 0.5, 10**9])
def test_other_timestamps_are_not_verified(age):
    assert is_verified(now=TIMESTAMP + age) is False


@pytest.mark.parametrize(
    "timestamp",
    [
        "",
        "x",
        "-1614265330",
        "1614265330.0",
        " 1614265330",
        "\u0661",
        "²",
        "9" * 5000,
        "0" * 10 + str(TIMESTAMP) + "1" * 5000,
        "\ud800",
    ],
)
def test_timestamp_that_is_none_is_not_verified(timestamp):
    assert is_verified(timestamp=timestamp) is False


@pytest.mark.parametrize("changes", [{"header": "v1,\ud800"}, {"header": "v1,ü"}])
def test_header_of_any_text_gets_an_answer(changes):
    assert is_verified(**changes) is False


# --- secrets ------------------------------------------------------------------------------


def test_new_secret_holds_32_random_bytes():
    secrets = {new_secret() for _ in range(50)}
    assert len(secrets) == 50
    assert {len(key_of(secret)) for secret in secrets} == {32}


@pytest.mark.parametrize("length", [24, 32, 64])
def test_key_of_a_secret(length):
    assert key_of(secret_of(b"\xfb" * length)) == b"\xfb" * length


@pytest.mark.parametrize(
    ("secret", "sentence"),
    [
        ("", 'A signing secret starts with "whsec_".'),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 'A signing secret starts with "whsec_".'),
        ("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", 'A signing secret starts with "whsec_".'),
        (" " + SECRET, 'A signing secret starts with "whsec_".'),
        ("whsec_", "A signing secret holds 24 to 64 bytes, this one 0."),
        (secret_of(b"x" * 23), "A signing secret holds 24 to 64 bytes, this one 23."),
        (secret_of(b"x" * 65), "A signing secret holds 24 to 64 bytes, this one 65."),
        ("whsec_not base64!", 'After "whsec_" a signing secret is base64 text.'),
        (SECRET + "\n", 'After "whsec_" a signing secret is base64 text.'),
        (SECRET[:-1], 'After "whsec_" a signing secret is base64 text.'),
        ("whsec_" + "ü" * 32, 'After "whsec_" a signing secret is base64 text.'),
        ("whsec_" + "-_" * 16, 'After "whsec_" a signing secret is base64 text.'),
        ("whsec_\ud800", 'After "whsec_" a signing secret is base64 text.'),
    ],
)
def test_text_that_is_no_secret_is_refused_without_repeating_it(secret, sentence):
    with pytest.raises(ValueError, match="signing secret") as caught:
        key_of(secret)
    assert str(caught.value) == sentence


def test_timestamp_of_more_than_twenty_digits_is_not_read():
    """It is text from anybody, and Python takes long for long numbers."""
    twenty, more = str(TIMESTAMP).zfill(20), str(TIMESTAMP).zfill(21)
    assert is_verified(timestamp=twenty)
    assert not is_verified(timestamp=more)


def test_only_a_space_stands_between_signatures():
    assert is_verified(header=f"v1,AAAA {SIGNATURE}")
    assert not is_verified(header=f"v1,AAAA\t{SIGNATURE}")

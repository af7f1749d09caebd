"""Typed access to the AUDITWEBHOOKS dict."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from auditwebhooks.conf import READ_LIMIT, Conf, conf, configured

DEFAULTS: dict[str, Any] = {
    "MODELS": {},
    "ENABLED": True,
    "SEND": True,
    "ALLOWED_SCHEMES": ("https",),
    "ALLOWED_PORTS": (443,),
    "ALLOWED_NETWORKS": (),
    "CA_FILE": None,
    "PROXY": None,
    "DEFAULT_TIMEOUT": 10,
    "MAX_TIMEOUT": 60,
    "RETRY_DELAYS": (5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400),
    "MAX_RESPONSE_BODY": 65536,
    "CONCURRENCY": 32,
    "PER_WEBHOOK_CONCURRENCY": 8,
    "DRAINERS": 2,
    "ENCRYPTION_KEYS": (),
    "RETENTION": {"events": None, "succeeded": 30, "failed": 90},
    "CLUSTER": None,
    "STRICT": False,
    "TRUSTED_PROXIES": 0,
}


def read(key: str) -> Any:
    return getattr(conf, key.lower())


@pytest.fixture
def given(settings):
    """Set nothing but these keys."""

    def give(**keys: Any) -> None:
        settings.AUDITWEBHOOKS = keys

    return give


# --- defaults -----------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "default"), DEFAULTS.items())
def test_default(key, default, given):
    given()
    assert read(key) == default
    assert type(read(key)) is type(default) or isinstance(default, int)


def test_known_keys_are_those_of_the_contract():
    assert sorted(conf.known_keys()) == sorted(DEFAULTS)


@pytest.mark.parametrize("value", [None, [], "text", 5, ()])
def test_setting_that_is_no_dict_leaves_the_defaults(settings, value):
    settings.AUDITWEBHOOKS = value
    assert configured() == {}
    assert {key: read(key) for key in DEFAULTS} == DEFAULTS
    assert list(conf.problems()) == []


def test_setting_that_is_absent_leaves_the_defaults(settings):
    del settings.AUDITWEBHOOKS
    assert {key: read(key) for key in DEFAULTS} == DEFAULTS


def test_defaults_are_not_changed_through_what_is_read(given):
    given()
    conf.retention["events"] = 5
    assert conf.retention == DEFAULTS["RETENTION"]


def test_read_limit_is_one_mebibyte():
    assert READ_LIMIT == 1_048_576


# --- values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "result"),
    [
        ("MODELS", {"a.B": {}}, {"a.B": {}}),
        ("ENABLED", False, False),
        ("SEND", False, False),
        ("STRICT", True, True),
        ("ALLOWED_SCHEMES", ("http", "https"), ("http", "https")),
        ("ALLOWED_PORTS", [1, 65535], (1, 65535)),
        (
            "ALLOWED_NETWORKS",
            ["10.0.0.0/8", "fd00::/8", "127.0.0.1"],
            (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("127.0.0.1/32")),
        ),
        ("CA_FILE", __file__, __file__),
        ("CA_FILE", Path(__file__), __file__),
        ("PROXY", "http://proxy.example:3128", "http://proxy.example:3128"),
        ("PROXY", "https://user:pass@proxy.example", "https://user:pass@proxy.example"),
        ("DEFAULT_TIMEOUT", 0.5, 0.5),
        ("DEFAULT_TIMEOUT", 3600, 3600.0),
        ("MAX_TIMEOUT", 1, 1),
        ("RETRY_DELAYS", [], ()),
        ("RETRY_DELAYS", (0, 1.5, 60), (0.0, 1.5, 60.0)),
        ("MAX_RESPONSE_BODY", 0, 0),
        ("MAX_RESPONSE_BODY", READ_LIMIT, READ_LIMIT),
        ("CONCURRENCY", 1, 1),
        ("CONCURRENCY", 1024, 1024),
        ("PER_WEBHOOK_CONCURRENCY", 1, 1),
        ("PER_WEBHOOK_CONCURRENCY", 1024, 1024),
        ("DRAINERS", 1, 1),
        ("DRAINERS", 64, 64),
        ("ENCRYPTION_KEYS", None, ()),
        ("RETENTION", {"events": 1}, {"events": 1, "succeeded": 30, "failed": 90}),
        ("RETENTION", {"failed": None}, {"events": None, "succeeded": 30, "failed": None}),
        ("RETENTION", {}, {"events": None, "succeeded": 30, "failed": 90}),
        ("CLUSTER", "webhooks", "webhooks"),
        ("TRUSTED_PROXIES", 32, 32),
    ],
)
def test_usable_value(key, value, result, given):
    given(**{key: value})
    assert read(key) == result
    assert list(conf.problems()) == []


def test_fernet_keys_are_usable(given):
    keys = [Fernet.generate_key().decode() for _ in range(2)]
    given(ENCRYPTION_KEYS=keys)
    assert conf.encryption_keys == tuple(keys)
    assert list(conf.problems()) == []


def test_values_are_read_live(given):
    given(SEND=False)
    assert conf.send is False
    given(SEND=True)
    assert conf.send is True


UNUSABLE = [
    ("MODELS", None),
    ("MODELS", ["a.B"]),
    ("ENABLED", 1),
    ("ENABLED", "yes"),
    ("SEND", None),
    ("STRICT", 0),
    ("ALLOWED_SCHEMES", []),
    ("ALLOWED_SCHEMES", "https"),
    ("ALLOWED_SCHEMES", ["https", "ftp"]),
    ("ALLOWED_SCHEMES", ["HTTPS"]),
    ("ALLOWED_SCHEMES", [["https"]]),
    ("ALLOWED_SCHEMES", [None]),
    ("ALLOWED_PORTS", []),
    ("ALLOWED_PORTS", 443),
    ("ALLOWED_PORTS", [0]),
    ("ALLOWED_PORTS", [65536]),
    ("ALLOWED_PORTS", ["443"]),
    ("ALLOWED_PORTS", [True]),
    ("ALLOWED_NETWORKS", "10.0.0.0/8"),
    ("ALLOWED_NETWORKS", ["10.0.0.1/8"]),
    ("ALLOWED_NETWORKS", ["localhost"]),
    ("ALLOWED_NETWORKS", [None]),
    ("ALLOWED_NETWORKS", [[]]),
    # ipaddress reads numbers and bytes as addresses: 10 as 0.0.0.10, True as 0.0.0.1.
    ("ALLOWED_NETWORKS", [10]),
    ("ALLOWED_NETWORKS", [True]),
    ("ALLOWED_NETWORKS", [b"\x0a\x00\x00\x00"]),
    ("CA_FILE", "/no/such/file.pem"),
    ("CA_FILE", "nul \x00"),
    ("CA_FILE", "/"),
    ("CA_FILE", 5),
    ("CA_FILE", ""),
    ("CA_FILE", False),
    ("PROXY", ""),
    ("PROXY", "proxy.example:3128"),
    ("PROXY", "http://"),
    ("PROXY", "http://[broken"),
    ("PROXY", "//proxy.example"),
    ("PROXY", "ftp://proxy.example"),
    ("PROXY", "http://proxy.example:99999"),
    ("PROXY", "http://proxy.example:x"),
    ("PROXY", 5),
    ("DEFAULT_TIMEOUT", 0),
    ("DEFAULT_TIMEOUT", -1),
    ("DEFAULT_TIMEOUT", 3601),
    ("DEFAULT_TIMEOUT", float("nan")),
    ("DEFAULT_TIMEOUT", float("inf")),
    ("DEFAULT_TIMEOUT", 10**400),
    ("DEFAULT_TIMEOUT", True),
    ("DEFAULT_TIMEOUT", "10"),
    ("DEFAULT_TIMEOUT", None),
    ("MAX_TIMEOUT", 0),
    ("MAX_TIMEOUT", 60.0),
    ("MAX_TIMEOUT", 3601),
    ("RETRY_DELAYS", 5),
    ("RETRY_DELAYS", "5"),
    ("RETRY_DELAYS", [-1]),
    ("RETRY_DELAYS", ["5"]),
    ("RETRY_DELAYS", [True]),
    ("RETRY_DELAYS", [None]),
    ("RETRY_DELAYS", [float("nan")]),
    # No timedelta and no date holds them.
    ("RETRY_DELAYS", [float("inf")]),
    ("RETRY_DELAYS", [1e300]),
    ("RETRY_DELAYS", [10**400]),
    ("MAX_RESPONSE_BODY", -1),
    ("MAX_RESPONSE_BODY", READ_LIMIT + 1),
    ("CONCURRENCY", 0),
    ("CONCURRENCY", 1025),
    ("PER_WEBHOOK_CONCURRENCY", 0),
    ("PER_WEBHOOK_CONCURRENCY", 1025),
    ("DRAINERS", 0),
    ("DRAINERS", 65),
    ("ENCRYPTION_KEYS", []),
    ("ENCRYPTION_KEYS", "key"),
    ("ENCRYPTION_KEYS", [None]),
    ("ENCRYPTION_KEYS", [b"key"]),
    ("ENCRYPTION_KEYS", ["no Fernet key"]),
    ("RETENTION", None),
    ("RETENTION", 30),
    ("RETENTION", {"event": 1}),
    ("RETENTION", {"events": 0}),
    ("RETENTION", {"events": -1}),
    ("RETENTION", {"events": True}),
    ("RETENTION", {"events": 1.5}),
    ("RETENTION", {"events": 36501}),
    ("CLUSTER", ""),
    ("CLUSTER", 5),
    ("TRUSTED_PROXIES", -1),
    ("TRUSTED_PROXIES", 33),
    ("TRUSTED_PROXIES", True),
    ("TRUSTED_PROXIES", None),
]


@pytest.mark.parametrize(("key", "value"), UNUSABLE)
def test_unusable_value_is_a_problem_and_the_default_stands_in(key, value, given):
    given(**{key: value})
    # What is used in its place: of keys nothing, so that nothing is encrypted by another one.
    if key != "ENCRYPTION_KEYS":
        assert read(key) == DEFAULTS[key]
    ((found, reason),) = conf.problems()
    assert found == key
    assert reason.startswith("must ")


def test_every_problem_is_told(given):
    given(ENABLED="x", SEND="y", STRICT=True)
    assert [key for key, _ in conf.problems()] == ["ENABLED", "SEND"]


def test_secret_of_a_setting_is_not_told(given):
    given(ENCRYPTION_KEYS=["hunter2"], PROXY="hunter2")
    assert "hunter2" not in repr(list(conf.problems()))


def test_unknown_keys_are_told_in_order(given):
    given(**{"SENDS": 1, "models": {}, "ENABLED": True})
    assert conf.unknown_keys() == ["SENDS", "models"]


def test_unknown_keys_of_any_type(settings):
    settings.AUDITWEBHOOKS = {5: 1, None: 2, "SEND": True}
    assert conf.unknown_keys() == ["5", "None"]
    assert list(conf.problems()) == []


def test_setting_is_read_on_the_class_too():
    assert Conf.trusted_proxies == conf.trusted_proxies

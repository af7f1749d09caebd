"""Typed access to the host's ``AUDITWEBHOOKS`` dict, read live.

A value that cannot be used never raises here: the default stands in for it and the system
checks name it (``problems()``), so a typing error in a setting cannot break a host's save.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from django.conf import settings

SETTING = "AUDITWEBHOOKS"

# How much of a response is read for judging; a longer one fails validation.
READ_LIMIT = 1024 * 1024

IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

T = TypeVar("T")


def configured() -> Mapping[str, Any]:
    """The host's dict as it stands now; empty when absent or not a dict."""
    value = getattr(settings, SETTING, None)
    return value if isinstance(value, dict) else {}


class Setting(Generic[T]):
    """One key of the dict. ``parse`` raises ValueError with a sentence for the check."""

    def __init__(self, default: object, parse: Callable[[Any], T]) -> None:
        self.default = default
        self.parse = parse

    def __set_name__(self, owner: type[Conf], name: str) -> None:
        self.key = name.upper()

    def __get__(self, instance: Conf, owner: type[Conf]) -> T:
        try:
            return self.parse(configured().get(self.key, self.default))
        except ValueError:
            return self.parse(self.default)

    def problem(self) -> str | None:
        """What is wrong with the host's value, or None."""
        try:
            self.parse(configured().get(self.key, self.default))
        except ValueError as error:
            return str(error)
        return None


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be True or False")
    return value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _seconds(value: Any) -> float:
    if not _is_number(value) or not 0 < value <= 3600:
        raise ValueError("must be a number of seconds above 0, at most 3600")
    return float(value)


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return parse


def _items(value: object, what: str) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise ValueError(f"must be a list of {what}")
    return value


_LONGEST_DELAY = 365 * 24 * 3600


def _delays(value: object) -> tuple[float, ...]:
    delays = _items(value, "seconds")
    if not all(_is_number(delay) and 0 <= delay <= _LONGEST_DELAY for delay in delays):
        raise ValueError("must be a list of seconds, from 0 to 31,536,000 (a year) each")
    return tuple(float(delay) for delay in delays)


def _schemes(value: object) -> tuple[str, ...]:
    schemes = _items(value, "schemes")
    if not schemes or not all(scheme in ("http", "https") for scheme in schemes):
        raise ValueError('must be a list of "https" or "http", with at least one of them')
    return tuple(schemes)


def _ports(value: object) -> tuple[int, ...]:
    port = _whole(1, 65535)
    ports = tuple(port(item) for item in _items(value, "port numbers"))
    if not ports:
        raise ValueError("must hold at least one port number")
    return ports


def _networks(value: object) -> tuple[IPNetwork, ...]:
    networks = _items(value, "networks (CIDR)")
    if not all(isinstance(network, str) for network in networks):
        raise ValueError("must be a list of networks in CIDR notation (text)")
    try:
        return tuple(ipaddress.ip_network(network) for network in networks)
    except ValueError as error:
        raise ValueError(f"must be a list of networks in CIDR notation: {error}") from None


def _models(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError('must be a dict such as {"shop.Order": {}}')
    return value


def _ca_file(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str | os.PathLike) or not os.path.isfile(value):
        raise ValueError("must be None or the path of a PEM file that exists")
    return os.fspath(value)


def _proxy(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not _is_proxy(value):
        raise ValueError("must be None or a URL such as http://proxy.example:3128")
    return value


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _cluster(value: object) -> str | None:
    if value is not None and not (isinstance(value, str) and value):
        raise ValueError("must be None or the name of a django-q2 cluster")
    return value


def _keys(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    keys = _items(value, "Fernet keys")
    if not keys or not all(isinstance(key, str) for key in keys):
        raise ValueError("must be None or a list of Fernet keys (text)")
    if not all(_is_fernet_key(key) for key in keys):
        raise ValueError("must hold keys made by cryptography.fernet.Fernet.generate_key()")
    return tuple(keys)


def _is_fernet_key(key: str) -> bool:
    """Told without importing cryptography, which takes longer than all the rest."""
    try:
        return len(base64.urlsafe_b64decode(key)) == 32
    except ValueError:
        return False


def _retention(value: object) -> dict[str, int | None]:
    default: dict[str, int | None] = {"events": None, "succeeded": 30, "failed": 90}
    if not isinstance(value, dict) or not set(value) <= set(default):
        raise ValueError("must be a dict with the keys events, succeeded and failed")
    for days in value.values():
        if days is not None:
            _whole(1, 36500)(days)
    return {**default, **value}


class Conf:
    """The settings of the README, one attribute each, in lower case."""

    models = Setting({}, _models)
    enabled = Setting(True, _flag)
    send = Setting(True, _flag)
    allowed_schemes = Setting(["https"], _schemes)
    allowed_ports = Setting([443], _ports)
    allowed_networks = Setting([], _networks)
    ca_file = Setting(None, _ca_file)
    proxy = Setting(None, _proxy)
    default_timeout = Setting(10, _seconds)
    max_timeout = Setting(60, _whole(1, 3600))
    retry_delays = Setting([5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400], _delays)
    max_response_body = Setting(65536, _whole(0, READ_LIMIT))
    concurrency = Setting(32, _whole(1, 1024))
    per_webhook_concurrency = Setting(8, _whole(1, 1024))
    drainers = Setting(2, _whole(1, 64))
    encryption_keys = Setting(None, _keys)
    retention = Setting({}, _retention)
    cluster = Setting(None, _cluster)
    strict = Setting(False, _flag)
    trusted_proxies = Setting(0, _whole(0, 32))

    def problems(self) -> Iterator[tuple[str, str]]:
        """Each key whose value cannot be used, with the reason."""
        for setting in self._settings():
            problem = setting.problem()
            if problem:
                yield setting.key, problem

    def problem_of(self, key: str) -> str | None:
        """What is wrong with the host's value of one key (upper case), or None."""
        return next((one.problem() for one in self._settings() if one.key == key), None)

    def unknown_keys(self) -> list[str]:
        known = {setting.key for setting in self._settings()}
        return sorted(str(key) for key in configured() if key not in known)

    def known_keys(self) -> list[str]:
        return [setting.key for setting in self._settings()]

    @staticmethod
    def _settings() -> list[Setting[Any]]:
        return [value for value in vars(Conf).values() if isinstance(value, Setting)]


conf = Conf()

"""Which addresses may be called. The tables here are written apart from the code's."""

from __future__ import annotations

import random
import socket
from bisect import bisect_right
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditwebhooks.exceptions import BlockedAddressError, UnknownHostError
from auditwebhooks.transport.guard import (
    connect,
    is_allowed,
    judge_spelled_out,
    judged_addresses,
)

# First and last address, and why.
REFUSED_V4 = [
    ("0.0.0.0", "0.255.255.255", "this network"),  # noqa: S104 - an address, not a bind
    ("10.0.0.0", "10.255.255.255", "private"),
    ("100.64.0.0", "100.127.255.255", "carrier-grade NAT"),
    ("127.0.0.0", "127.255.255.255", "loopback"),
    ("168.63.129.16", "168.63.129.16", "Azure's wire server"),
    ("169.254.0.0", "169.254.255.255", "link-local, cloud metadata"),
    ("172.16.0.0", "172.31.255.255", "private"),
    ("192.0.0.0", "192.0.0.255", "protocol assignments"),
    ("192.0.2.0", "192.0.2.255", "documentation"),
    ("192.88.99.0", "192.88.99.255", "6to4 relay"),
    ("192.168.0.0", "192.168.255.255", "private"),
    ("198.18.0.0", "198.19.255.255", "benchmarks"),
    ("198.51.100.0", "198.51.100.255", "documentation"),
    ("203.0.113.0", "203.0.113.255", "documentation"),
    ("224.0.0.0", "255.255.255.255", "multicast, future use, broadcast"),
]

ALLOWED_V4 = [
    "1.0.0.0",
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "168.63.129.15",
    "168.63.129.17",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
]

REFUSED_V6 = [
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b:1::1",
    "100::1",
    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    # Teredo, benchmarking, ORCHID: everything of 2001::/23.
    "2001::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    # 6to4, with a private address inside and with a public one.
    "2002::",
    "2002:7f00:1::",
    "2002:808:808::1",
    "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff::",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]

ALLOWED_V6 = [
    "2000::",
    "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:200::",
    "2001:4860:4860::8888",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::",
    "2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2003::",
    "2606:4700:4700::1111",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff:1000::",
]

METADATA = [
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    # The agent of EKS.
    "fd00:ec2::23",
    "fd20:ce::254",
    "fd00:42::42",
]


def embedded(address: str | IPv4Address) -> list[IPv6Address]:
    """The IPv6 forms that lead to an IPv4 address: mapped, and through NAT64."""
    number = int(IPv4Address(address))
    return [IPv6Address(0xFFFF << 32 | number), IPv6Address(0x64FF9B << 96 | number)]


def is_refused_v4(address: IPv4Address) -> bool:
    return any(
        int(IPv4Address(first)) <= int(address) <= int(IPv4Address(last))
        for first, last, _ in REFUSED_V4
    )


# Where the verdict on an IPv6 address changes: start, and whether it is refused from there on.
# Apart from these only the two embedded forms are judged by what they hold.
V6_BLOCKS = sorted(
    (int(IPv6Address(start)), refused)
    for start, refused in [
        ("::", True),
        ("2000::", False),
        ("2001::", True),
        ("2001:200::", False),
        ("2001:db8::", True),
        ("2001:db9::", False),
        ("2002::", True),
        ("2003::", False),
        ("3fff::", True),
        ("3fff:1000::", False),
        ("4000::", True),
    ]
)


def is_refused_v6(number: int) -> bool:
    if number >> 32 in (0xFFFF, 0x64FF9B << 64):
        return is_refused_v4(IPv4Address(number & 0xFFFFFFFF))
    return V6_BLOCKS[bisect_right(V6_BLOCKS, (number, True)) - 1][1]


def everything(*names: str) -> list[Any]:
    return [ip_network(name) for name in names or ("0.0.0.0/0", "::/0")]


# --- by itself ----------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "last", "why"), REFUSED_V4)
def test_special_ipv4_network_is_refused_from_end_to_end(first, last, why):
    for address in (IPv4Address(first), IPv4Address(last)):
        assert is_allowed(address) is False
        assert [is_allowed(form) for form in embedded(address)] == [False, False]


@pytest.mark.parametrize("address", ALLOWED_V4)
def test_public_ipv4_address_is_allowed(address):
    assert is_allowed(IPv4Address(address)) is True
    assert [is_allowed(form) for form in embedded(address)] == [True, True]


@pytest.mark.parametrize("address", REFUSED_V6)
def test_special_ipv6_address_is_refused(address):
    assert is_allowed(IPv6Address(address)) is False


@pytest.mark.parametrize("address", ALLOWED_V6)
def test_public_ipv6_address_is_allowed(address):
    assert is_allowed(IPv6Address(address)) is True


@pytest.mark.parametrize("address", ["2606:4700::1%eth0", "fe80::1%1", "::ffff:8.8.8.8%lo"])
def test_address_with_a_zone_is_refused(address):
    assert is_allowed(IPv6Address(address)) is False
    assert is_allowed(IPv6Address(address), everything()) is False


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_is_judged_as_the_table_says(address):
    assert is_allowed(address) is not is_refused_v4(address)
    for form in embedded(address):
        assert is_allowed(form) is is_allowed(address)
    if is_allowed(address):
        assert address.is_global
        assert not address.is_multicast


@given(st.data())
def test_every_address_of_a_refused_network_is_refused(data):
    first, last, _ = data.draw(st.sampled_from(REFUSED_V4))
    number = data.draw(st.integers(int(IPv4Address(first)), int(IPv4Address(last))))
    assert not is_allowed(IPv4Address(number))


@given(st.ip_addresses(v=6))
def test_ipv6_address_that_is_allowed_is_global_unicast(address):
    first = int(address) >> 112
    # Only unicast, and none of: protocol assignments, documentation, 6to4.
    expected = (
        0x2000 <= first <= 0x3FFF
        and not (first == 0x2001 and (int(address) >> 96 & 0xFFFF) < 0x200)
        and (int(address) >> 96) != 0x20010DB8
        and first != 0x2002
        and not (first == 0x3FFF and (int(address) >> 96 & 0xFFFF) < 0x1000)
    )
    if address.ipv4_mapped is None and address not in ip_network("64:ff9b::/96"):
        assert is_allowed(address) is expected


# --- with allowed networks ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("127.0.0.1", "127.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("100.64.0.1", "100.64.0.0/10"),
        ("::1", "::1/128"),
        ("fd12::5", "fd12::/16"),
        ("fe80::1", "fe80::/10"),
    ],
)
def test_allowed_network_is_excepted_from_the_refusal(address, network):
    assert is_allowed(ip_address(address)) is False
    assert is_allowed(ip_address(address), everything(network)) is True


def test_allowed_network_holds_for_the_embedded_forms_of_its_addresses():
    for form in embedded("10.0.0.1"):
        assert is_allowed(form, everything("10.0.0.0/8")) is True
        assert is_allowed(form, everything("::/0")) is False


def test_other_addresses_stay_refused():
    assert is_allowed(IPv4Address("10.0.1.0"), everything("10.0.0.0/24", "::/0")) is False
    assert is_allowed(IPv6Address("fd13::1"), everything("fd12::/16", "0.0.0.0/0")) is False


def test_allowed_network_does_not_narrow_the_public_ones():
    assert is_allowed(IPv4Address("8.8.8.8"), everything("10.0.0.0/8")) is True


@pytest.mark.parametrize("address", METADATA)
@pytest.mark.parametrize(
    "networks",
    [
        [],
        ["0.0.0.0/0", "::/0"],
        ["169.254.0.0/16", "100.64.0.0/10", "fd00::/8"],
        ["169.254.169.254/32", "100.100.100.200/32", "fd00:ec2::254/128"],
    ],
)
def test_metadata_is_refused_even_inside_an_allowed_network(address, networks):
    allowed = [ip_network(name) for name in networks]
    target = ip_address(address)
    assert is_allowed(target, allowed) is False
    if isinstance(target, IPv4Address):
        assert [is_allowed(form, allowed) for form in embedded(target)] == [False, False]


# --- resolving ----------------------------------------------------------------------------


@pytest.fixture
def answers(monkeypatch):
    """What the resolver finds; a test fills the list."""
    found: list[str] = []
    asked: list[tuple[Any, ...]] = []

    def getaddrinfo(host, port, *args, **kwargs):
        asked.append((host, port))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (
                socket.AF_INET6 if ":" in address else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (address, port, 0, 0) if ":" in address else (address, port),
            )
            for address in found
        ]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield found
    assert len(asked) <= 1, "a name is resolved once"


def test_public_answers_are_given_in_their_order(answers):
    answers += ["2606:4700::1", "8.8.8.8", "8.8.4.4"]
    assert judged_addresses("example.com", 443, 5.0) == ["2606:4700::1", "8.8.8.8", "8.8.4.4"]


def test_an_address_that_is_answered_twice_is_given_once(answers):
    answers += ["8.8.8.8", "8.8.8.8", "8.8.4.4"]
    assert judged_addresses("example.com", 443, 5.0) == ["8.8.8.8", "8.8.4.4"]


@pytest.mark.parametrize(
    "bad", ["127.0.0.1", "10.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "fe80::1%lo"]
)
@pytest.mark.parametrize("position", [0, 1, 5])
def test_one_bad_answer_refuses_the_host(answers, bad, position):
    answers += ["8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9"]
    answers.insert(position, bad)
    with pytest.raises(BlockedAddressError, match=r"^example\.com leads to .* not a public"):
        judged_addresses("example.com", 443, 5.0)


def test_allowed_networks_are_read_from_the_settings(answers, configure):
    answers += ["127.0.0.1"]
    configure(ALLOWED_NETWORKS=["127.0.0.0/8"])
    assert judged_addresses("localhost", 443, 5.0) == ["127.0.0.1"]


def test_metadata_is_refused_whatever_the_settings_allow(answers, configure):
    answers += ["169.254.169.254"]
    configure(ALLOWED_NETWORKS=["0.0.0.0/0"])
    with pytest.raises(BlockedAddressError):
        judged_addresses("metadata.test", 443, 5.0)


@pytest.mark.parametrize("spelling", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1"])
def test_odd_spelling_of_loopback_is_refused(spelling):
    """The resolver of the C library reads them; nothing is asked over the network."""
    with pytest.raises(BlockedAddressError):
        judged_addresses(spelling, 443, 5.0)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "::1", "10.0.0.1"]
)
def test_an_address_that_is_spelled_out_is_judged_for_a_proxy(host):
    with pytest.raises(BlockedAddressError):
        judge_spelled_out(host)


@pytest.mark.parametrize("host", ["8.8.8.8", "134744072", "2606:4700::1", "example.com"])
def test_names_and_public_addresses_are_left_to_the_proxy(host):
    judge_spelled_out(host)


def test_refusals_are_no_errors_of_the_operating_system():
    """Libraries take those for failed connections and try again."""
    assert not issubclass(BlockedAddressError, OSError)
    assert not issubclass(UnknownHostError, OSError)


# --- connecting ---------------------------------------------------------------------------


class Connection:
    def __init__(self) -> None:
        self.options: list[tuple[int, ...]] = []

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)


@pytest.fixture
def calls(monkeypatch):
    """Addresses that were called; those that begin with 9 do not answer."""
    made: list[tuple[Any, Any]] = []

    def create_connection(address, timeout=None, *args, **kwargs):
        made.append((address, timeout))
        if address[0].startswith("9."):
            raise ConnectionRefusedError(address[0])
        return Connection()

    monkeypatch.setattr(socket, "create_connection", create_connection)
    return made


def test_the_first_address_is_called(calls):
    connection = connect(["8.8.8.8", "8.8.4.4"], 443, lambda: 5.0)
    assert [address for address, timeout in calls] == [("8.8.8.8", 443)]
    assert (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) in connection.options


def test_next_address_is_called_after_one_that_is_dead(calls):
    connect(["9.0.0.1", "9.0.0.2", "8.8.8.8", "8.8.4.4"], 443, lambda: 5.0)
    assert [address[0] for address, timeout in calls] == ["9.0.0.1", "9.0.0.2", "8.8.8.8"]


def test_at_most_four_addresses_are_called(calls):
    with pytest.raises(ConnectionRefusedError):
        connect([f"9.0.0.{number}" for number in range(9)], 443, lambda: 5.0)
    assert len(calls) == 4


def test_error_of_the_last_address_is_raised(calls):
    with pytest.raises(ConnectionRefusedError, match=r"^9\.0\.0\.2$"):
        connect(["9.0.0.1", "9.0.0.2"], 443, lambda: 5.0)


def test_addresses_share_the_time_that_is_left(monkeypatch):
    """A dead one (of IPv6, say) must leave time for the next, and four must not take four times
    as long."""
    left = 12.0
    spent: list[float] = []

    def create_connection(address, timeout=None, *args, **kwargs):
        nonlocal left
        spent.append(timeout)
        left -= timeout
        raise TimeoutError

    monkeypatch.setattr(socket, "create_connection", create_connection)
    with pytest.raises(TimeoutError):
        connect(["9.0.0.1", "9.0.0.2", "9.0.0.3", "9.0.0.4"], 443, lambda: left)
    assert spent == [3.0, 3.0, 3.0, 3.0]


# --- a million addresses ------------------------------------------------------------------


def _boundaries() -> list[int]:
    """Where the tables change, and their neighbours."""
    edges = [int(ip_address(end)) for first, last, _ in REFUSED_V4 for end in (first, last)]
    return [edge + step for edge in edges for step in (-1, 0, 1) if 0 <= edge + step < 2**32]


def test_a_million_addresses_and_no_bypass():
    """Half of them IPv4, at random and around every boundary, as they are and embedded; half
    IPv6, most of them near the blocks that matter. The verdict is taken from the tables above."""
    rng = random.Random(20261124)  # noqa: S311 - the same addresses in every run
    boundaries = _boundaries()
    starts = [int(start) for start, _ in V6_BLOCKS]
    bypasses = 0
    for number in range(250_000):
        value = rng.choice(boundaries) if number % 4 == 0 else rng.getrandbits(32)
        address = IPv4Address(value)
        refused = is_refused_v4(address)
        forms = embedded(address)
        bypasses += is_allowed(address) is refused
        bypasses += is_allowed(forms[number % 2]) is refused
        near = rng.choice(starts) + rng.randrange(-3, 1 << rng.randrange(1, 112))
        for wide in (rng.getrandbits(128), near % 2**128):
            bypasses += is_allowed(IPv6Address(wide)) is is_refused_v6(wide)
    assert bypasses == 0


@pytest.mark.parametrize(
    ("host", "address", "sentence"),
    [
        (
            "internal.example",
            "10.0.0.1",
            "internal.example leads to 10.0.0.1, which is not a public address. Use a public "
            "host, or add its network to AUDITWEBHOOKS['ALLOWED_NETWORKS'].",
        ),
        (
            "169.254.169.254",
            "169.254.169.254",
            "169.254.169.254 is an address of cloud metadata. It is never called: use a public "
            "host.",
        ),
    ],
)
def test_refusal_says_what_to_do(answers, host, address, sentence):
    answers.append(address)
    with pytest.raises(BlockedAddressError) as refused:
        judged_addresses(host, 443, 5.0)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1"])
def test_refusal_for_a_proxy_names_the_host(host):
    with pytest.raises(BlockedAddressError, match=f"^{host} (is|leads to 127.0.0.1, which is) "):
        judge_spelled_out(host)


def test_no_address_is_an_error_that_says_so():
    with pytest.raises(OSError, match=r"^There is no address to connect to\.$"):
        connect([], 443, lambda: 1.0)


def test_host_port_and_time_are_handed_to_the_resolver(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "auditwebhooks.transport.guard.resolve", lambda *given: asked.append(given) or []
    )
    assert judged_addresses("hooks.example.com", 8443, 2.5) == []
    assert asked == [("hooks.example.com", 8443, 2.5)]

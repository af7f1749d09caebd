"""Which addresses our servers may call for a stranger's URL.

A name is resolved once, every answer is judged, and the connection goes to a judged address; the
name stays in place for Host, SNI and the certificate. The socket decides, not the form.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from auditwebhooks.conf import IPNetwork, conf
from auditwebhooks.exceptions import BlockedAddressError
from auditwebhooks.transport.resolver import resolve

IPAddress = IPv4Address | IPv6Address

# At most so many addresses of one name are tried.
_MAX_TRIED = 4


def _networks(*names: str) -> tuple[IPNetwork, ...]:
    return tuple(ip_network(name) for name in names)


# IANA IPv4 special-purpose registry, multicast, future use, and Azure's wire server.
_REFUSED_V4 = _networks(
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "168.63.129.16/32",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.0.2.0/24",
    "192.88.99.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "198.51.100.0/24",
    "203.0.113.0/24",
    "224.0.0.0/4",
    "240.0.0.0/4",
)

# Global unicast is the only part of IPv6 that is called, less its special-purpose blocks.
_GLOBAL_V6 = IPv6Network("2000::/3")
_REFUSED_V6 = _networks("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")

# An IPv4 address inside, reached through a translator or the own stack.
_NAT64 = IPv6Network("64:ff9b::/96")

# Credentials of the machine itself; refused even inside an allowed network. In their order: most
# clouds; Amazon, the agent of EKS included; Google; Alibaba; Azure; Oracle; Scaleway.
_METADATA = _networks(
    "169.254.0.0/16",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:42::42/128",
)


def is_allowed(address: IPAddress, allowed: Sequence[IPNetwork] = ()) -> bool:
    """Whether an address may be called; ``allowed``: networks excepted from the refusal."""
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return False
        inside = address.ipv4_mapped or _inside_nat64(address)
        if inside is not None:
            return is_allowed(inside, allowed)
    if _in_any(address, _METADATA):
        return False
    if _in_any(address, allowed):
        return True
    if isinstance(address, IPv4Address):
        return not _in_any(address, _REFUSED_V4)
    return address in _GLOBAL_V6 and not _in_any(address, _REFUSED_V6)


def _inside_nat64(address: IPv6Address) -> IPv4Address | None:
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def _in_any(address: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    return any(address in network for network in networks if network.version == address.version)


def judged_addresses(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a host, all of them judged, resolved within so many seconds.

    Raises UnknownHostError, and BlockedAddressError if any answer must not be called: a name
    that mixes public and private addresses is an attack or a mistake.
    """
    found = resolve(host, port, seconds)
    for text in found:
        _judge(host, ip_address(text))
    return found


def judge_spelled_out(host: str) -> None:
    """For calls through a proxy, which resolves the names: judges what is no name.

    Raises BlockedAddressError.
    """
    try:
        address: IPAddress = ip_address(host)
    except ValueError:
        try:
            # 127.1, 0x7f000001 and the like, which resolvers take for addresses.
            address = IPv4Address(socket.inet_aton(host))
        except OSError:
            return
    _judge(host, address)


def _judge(host: str, address: IPAddress) -> None:
    if is_allowed(address, conf.allowed_networks):
        return
    where = f"{host} is" if host == str(address) else f"{host} leads to {address}, which is"
    if _in_any(address, _METADATA):
        raise BlockedAddressError(
            f"{where} an address of cloud metadata. It is never called: use a public host."
        )
    raise BlockedAddressError(
        f"{where} not a public address. Use a public host, or add its network to "
        "AUDITWEBHOOKS['ALLOWED_NETWORKS']."
    )


def connect(addresses: Sequence[str], port: int, left: Callable[[], float]) -> socket.socket:
    """A TCP connection to the first of at most four addresses that answers.

    ``left``: seconds that remain; addresses that do not answer share them. Raises the OSError of
    the last address tried.
    """
    failure = OSError("There is no address to connect to.")
    tried = addresses[:_MAX_TRIED]
    for number, address in enumerate(tried):
        try:
            connection = socket.create_connection((address, port), left() / (len(tried) - number))
        except OSError as error:
            failure = error
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    raise failure

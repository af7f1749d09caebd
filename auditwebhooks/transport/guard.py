"""Which addresses our servers may call for a stranger's URL.

A name is resolved once, every answer is judged, and the connection goes to a judged address; the
name stays in place for Host, SNI and the certificate. The socket decides, not the form.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from auditwebhooks.conf import IPNetwork, conf
from auditwebhooks.exceptions import BlockedAddressError, UnknownHostError

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

# Credentials of the machine itself; refused even inside an allowed network.
_METADATA = _networks("169.254.0.0/16", "fd00:ec2::254/128", "100.100.100.200/32")


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


def judged_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host, all of them judged.

    Raises UnknownHostError, and BlockedAddressError if any answer must not be called: a name
    that mixes public and private addresses is an attack or a mistake.
    """
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise UnknownHostError(f"The host {host} is not known to DNS.") from None
    found = list(dict.fromkeys(str(answer[4][0]) for answer in answers))
    allowed = conf.allowed_networks
    for text in found:
        if not is_allowed(ip_address(text), allowed):
            raise BlockedAddressError(
                f"{host} leads to {text}, which is not a public address. Use a public host, "
                "or add its network to AUDITWEBHOOKS['ALLOWED_NETWORKS']."
            )
    return found[:_MAX_TRIED]


def connect(host: str, port: int, timeout: float | None) -> socket.socket:
    """A TCP connection to a judged address of the host.

    Raises UnknownHostError, BlockedAddressError, and OSError of the last address tried.
    """
    failure: OSError = OSError(f"No address of {host} could be reached.")
    deadline = None if timeout is None else time.monotonic() + timeout
    for address in judged_addresses(host, port):
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise TimeoutError
        try:
            connection = socket.create_connection((address, port), left)
        except OSError as error:
            failure = error
            continue
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection
    raise failure

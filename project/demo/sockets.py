"""Which ports of this machine are free."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack

from project.demo.errors import DemoError
from project.ports import HOST, Ports


def check_free(ports: Ports) -> None:
    """Raises DemoError with a sentence for each port that cannot be used."""
    refusals = []
    for variable, port in ports.named().items():
        try:
            with _listening(port):
                pass
        except OSError as error:
            refusals.append(_refusal(variable, port, error))
    if refusals:
        raise DemoError("\n".join(refusals))


def free_ports() -> Ports:
    """Three ports that nobody uses now."""
    with ExitStack() as held:
        taken = [held.enter_context(_listening(0)).getsockname()[1] for _ in range(3)]
    return Ports(server=taken[0], receiver=taken[1], page=taken[2])


def _listening(port: int) -> socket.socket:
    # The option is what the servers themselves set: a port of a program that has just ended is
    # free.
    return socket.create_server((HOST, port))


def _refusal(variable: str, port: int, error: OSError) -> str:
    way_out = f"choose another port, for example: make demo {variable}={_neighbour(port)}"
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} is in use. End the program that uses it, or {way_out}"
    return f"Port {port} cannot be used ({error.strerror}): {way_out}"


def _neighbour(port: int) -> int:
    return port + 1000 if port < 60000 else port - 1000

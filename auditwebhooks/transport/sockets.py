"""Sockets that keep the present call's bounds: each operation may take what is left of its time.

A timeout of requests is for one operation: a server that drips a byte now and then would hold a
call for ever.
"""

from __future__ import annotations

import socket
import ssl
from typing import Any

from auditwebhooks.enums import Phase
from auditwebhooks.transport.call import present


class BoundedSocket(socket.socket):
    """In the clear: to a proxy, or where the host allows http."""

    def recv(self, *args: Any) -> bytes:
        self.settimeout(present().left())
        received = super().recv(*args)
        present().count(len(received))
        return received

    def recv_into(self, *args: Any) -> int:
        self.settimeout(present().left())
        received = super().recv_into(*args)
        present().count(received)
        return received

    def send(self, *args: Any) -> int:
        self.settimeout(present().left())
        return super().send(*args)

    def sendall(self, *args: Any) -> None:
        self.settimeout(present().left())
        super().sendall(*args)


class BoundedTLSSocket(ssl.SSLSocket):
    """``recv`` and ``recv_into`` end in ``read``, ``sendall`` in ``send``."""

    def do_handshake(self, block: bool = False) -> None:
        call = present()
        call.enter(Phase.TLS)
        self.settimeout(call.left())
        super().do_handshake(block)
        call.enter(Phase.WAIT)

    def read(self, *args: Any) -> Any:
        call = present()
        self.settimeout(call.left())
        received: Any = super().read(*args)
        call.count(received if isinstance(received, int) else len(received))
        return received

    def send(self, *args: Any) -> int:
        self.settimeout(present().left())
        return super().send(*args)

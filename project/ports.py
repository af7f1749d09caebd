"""The three ports of the demo. They travel to every process in its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

HOST = "127.0.0.1"

# Field, environment variable, and the port where the variable is not set.
_VARIABLES = (
    ("server", "DEMO_PORT", 8000),
    ("receiver", "DEMO_RECEIVER_PORT", 8443),
    ("page", "DEMO_PAGE_PORT", 8080),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    # Django's server.
    server: int
    # Where deliveries arrive, over TLS.
    receiver: int
    # The page that shows them.
    page: int

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Ports:
        """Raises ValueError with a sentence when a value cannot be used."""
        found: dict[str, int] = {}
        for field, variable, default in _VARIABLES:
            port = _port(variable, environment.get(variable) or str(default))
            for other, other_variable, _default in _VARIABLES:
                if found.get(other) == port:
                    raise ValueError(
                        f"{variable} and {other_variable} are both {port}: "
                        "give them different ports."
                    )
            found[field] = port
        return cls(**found)

    def named(self) -> dict[str, int]:
        """Environment variable -> port."""
        return {variable: getattr(self, field) for field, variable, _default in _VARIABLES}

    @property
    def admin_url(self) -> str:
        return f"http://{HOST}:{self.server}/admin/"

    @property
    def page_url(self) -> str:
        return f"http://{HOST}:{self.page}/"

    @property
    def receiver_url(self) -> str:
        return f"https://{HOST}:{self.receiver}/audit"


def _port(variable: str, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise ValueError(f"{variable} is {text!r}: it must be a number from 1 to 65535.")

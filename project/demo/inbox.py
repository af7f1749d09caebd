"""What the receiver has got, read from the stream that its page reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests

from project.ports import Ports

_SECONDS = 10


def stored_deliveries(ports: Ports) -> Iterator[dict[str, Any]]:
    """Everything that has arrived until now, oldest first; requests' errors are raised."""
    with requests.Session() as session:
        session.trust_env = False
        with session.get(ports.page_url + "stream", stream=True, timeout=_SECONDS) as answer:
            answer.raise_for_status()
            # The stream has no end: a larger chunk would be waited for.
            for line in answer.iter_lines(chunk_size=1):
                # A comment: nothing more is stored, and the stream waits for what is to come.
                if line.startswith(b":"):
                    return
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))

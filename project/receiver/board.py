"""What arrived, kept for the page that shows it."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator

from auditwebhooks.receiver import Delivery

# So many are shown to a page that is opened later.
KEPT = 200

# A stream says so often that it lives, in seconds.
_SILENCE = 1.0


class Board:
    """The latest deliveries as JSON texts. Used from many threads."""

    def __init__(self) -> None:
        self._kept: deque[str] = deque(maxlen=KEPT)
        self._count = 0
        self._arrived = threading.Condition()

    def put(self, delivery: Delivery) -> None:
        with self._arrived:
            self._count += 1
            self._kept.append(json.dumps(shown(delivery, self._count)))
            self._arrived.notify_all()

    def follow(self) -> Iterator[str | None]:
        """What is kept, oldest first, then each delivery as it arrives. None in between: there
        is no more at the moment."""
        seen = 0
        patience = 0.0
        while True:
            seen, texts = self._after(seen, patience)
            yield from texts
            yield None
            patience = _SILENCE

    def _after(self, seen: int, patience: float) -> tuple[int, list[str]]:
        """How many have arrived, and those of them after the first ``seen``."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._count > seen, patience)
            new = self._count - seen
            return self._count, list(self._kept)[-new:] if new else []


def shown(delivery: Delivery, number: int) -> dict[str, object]:
    """A delivery as the page gets it."""
    return {
        "number": number,
        "received_at": delivery.received_at,
        "method": delivery.method,
        "path": delivery.path,
        "headers": list(delivery.headers.items()),
        "body": delivery.readable_body,
        "signature": delivery.signature,
    }

"""The rows of a webhook that wait for their call. Those of one target go one after another, in the
order of their events; different targets overtake each other freely. Reads no database."""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator

from auditwebhooks.models import Event, Invocation


def order_key(event: Event) -> int | None:
    """The same for all events of a target. Two targets that share one by chance only wait for
    each other. None: about no target, so in any order."""
    if not event.target_id:
        return None
    text = f"{event.target_type}\0{event.target_id}"
    digest = hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class Line:
    def __init__(self) -> None:
        self._ready: deque[Invocation] = deque()
        # Of each key that is ready or under way: the rows behind it.
        self._behind: dict[int, deque[Invocation]] = {}

    def __iter__(self) -> Iterator[Invocation]:
        yield from self._ready
        for rows in self._behind.values():
            yield from rows

    def __len__(self) -> int:
        return len(self._ready) + sum(map(len, self._behind.values()))

    def count_by_key(self) -> Counter[int]:
        """How many rows of each key there are, with those under way."""
        counts = Counter(dict.fromkeys(self._behind, 1))
        counts.update({key: len(rows) for key, rows in self._behind.items()})
        return counts

    @property
    def ready(self) -> int:
        """How many rows may be sent now."""
        return len(self._ready)

    def extend(self, rows: Iterable[Invocation]) -> None:
        for row in rows:
            key = row.order_key
            if key is not None and key in self._behind:
                self._behind[key].append(row)
                continue
            if key is not None:
                self._behind[key] = deque()
            self._ready.append(row)

    def pop(self) -> Invocation:
        """The next row to send; ``done`` must follow when its call has ended."""
        return self._ready.popleft()

    def put_back(self, row: Invocation) -> None:
        """It was not sent after all."""
        self._ready.appendleft(row)

    def done(self, row: Invocation) -> None:
        if row.order_key is None:
            return
        followers = self._behind[row.order_key]
        if followers:
            self._ready.append(followers.popleft())
        else:
            del self._behind[row.order_key]

    def clear(self) -> list[Invocation]:
        """Take out what is not under way."""
        rows = list(self)
        for row in self._ready:
            if row.order_key is not None:
                del self._behind[row.order_key]
        self._ready.clear()
        for followers in self._behind.values():
            followers.clear()
        return rows

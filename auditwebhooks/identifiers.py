"""What a delivery is called: the ``webhook-id`` of Standard Webhooks. Pure."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass

TEST_PREFIX = "test_"

_DELIVERY = re.compile(r"evt_([0-9a-f]{32})_([0-9a-f]{32})")


def message_id(event_id: str, webhook_id: uuid.UUID) -> str:
    """Stable per event and webhook; without a dot, which the signed text uses as separator."""
    return f"evt_{event_id.replace('-', '')}_{webhook_id.hex}"


def new_test_id() -> str:
    return f"{TEST_PREFIX}{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Which event went to which webhook."""

    event_id: str
    webhook_id: uuid.UUID


def parse_message_id(text: str) -> Delivery | None:
    """None: not one of ``message_id``, such as another sender's or a test's."""
    found = _DELIVERY.fullmatch(text)
    if found is None:
        return None
    event, webhook = map(uuid.UUID, found.groups())
    return Delivery(event_id=str(event), webhook_id=webhook)

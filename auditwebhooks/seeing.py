"""Who may see what is in events and calls, beside who changed which object when. Pure."""

from __future__ import annotations

from typing import Any

SEE_PAYLOAD = "auditwebhooks.see_payload"

# Columns of an invocation that hold what was sent of an event, and what was answered to it.
BODIES = ("request_body", "response_body")


def may_see_payload(user: Any) -> bool:
    """Of each row that the user may view."""
    return bool(user.has_perm(SEE_PAYLOAD))


def may_use_recorded(user: Any) -> bool:
    """Recorded events in a test or a preview: it shows what is in them."""
    return bool(user.has_perm("auditwebhooks.view_event")) and may_see_payload(user)

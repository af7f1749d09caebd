"""How the state of a webhook is told wherever it is: the colour of its dot, its words, and why."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from auditwebhooks.enums import WebhookState
from auditwebhooks.sentences import shown

ACTIVE = _("Active")
PAUSED = _("Paused")
INACTIVE = _("Inactive")
BY_SYSTEM = _("Inactive by the system")

_LOOKS: dict[WebhookState, tuple[str, Promise]] = {
    WebhookState.ACTIVE: ("green", ACTIVE),
    WebhookState.PAUSED: ("amber", PAUSED),
    WebhookState.OFF: ("white", INACTIVE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldState:
    # Of the dot.
    colour: str
    words: str
    # Why the system switched it off; empty where it did not.
    why: str = ""


def told(state: WebhookState, disabled_reason: str) -> ToldState:
    if disabled_reason:
        return ToldState(colour="white", words=str(BY_SYSTEM), why=shown(disabled_reason))
    colour, words = _LOOKS[state]
    return ToldState(colour=colour, words=str(words))

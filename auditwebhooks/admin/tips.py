"""What to look at when a call failed: one sentence for each kind of failure."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _

from auditwebhooks.enums import Outcome

_BY_OUTCOME: dict[str, Any] = {
    Outcome.VALIDATION: _(
        "The receiver answered, but not as the response validators expect: compare what was "
        "found with the expected values. It may have acted already."
    ),
    Outcome.TIMEOUT: _(
        "The receiver was too slow: let it answer at once and work afterwards, or raise Timeout "
        "in seconds. The phases tell where the time went."
    ),
    Outcome.CONNECTION: _(
        "Check that the receiver runs and listens on this port, and that no firewall stands "
        "between it and the machine of the worker."
    ),
    Outcome.TLS: _(
        "Check the receiver's certificate: that it is not expired, names this host and comes "
        "with its whole chain. An authority of your own is named in AUDITWEBHOOKS['CA_FILE']."
    ),
    Outcome.DNS: _(
        "Check the host name in the URL, and that the machine of the worker can resolve it."
    ),
    Outcome.BLOCKED_ADDRESS: _(
        "The host resolves to an address that is not public. If the receiver is yours, except "
        "its network in AUDITWEBHOOKS['ALLOWED_NETWORKS']."
    ),
    Outcome.INVALID_URL: _("Correct the URL of the webhook; what waits is sent afterwards."),
    Outcome.TEMPLATE: _(
        "Correct the body template of the webhook, and press Send again: this event is not tried "
        "again by itself."
    ),
    Outcome.CONFIG: _(
        "Type the URL, the headers and the signing secret of the webhook again: what is stored "
        "cannot be read, or was typed for another host. What waits is sent afterwards."
    ),
    Outcome.ERROR: _("This is a fault of the delivery itself: look at the worker's log."),
}

_BY_STATUS: dict[int, Any] = {
    400: _("The receiver does not take this body: compare the body template with what it asks."),
    401: _("Check the Authorization header of the webhook: the token may be wrong or expired."),
    403: _(
        "Check the Authorization header of the webhook, and that its token may write there. "
        "Some receivers let in known addresses only."
    ),
    404: _("Check the path of the URL: the receiver has nothing there."),
    405: _("Check the Method of the webhook: the receiver takes another one."),
    407: _("Check the credentials in AUDITWEBHOOKS['PROXY']."),
    410: _("The receiver is gone for good: enter another URL, or delete the webhook."),
    411: _("The receiver wants a body: fill in the body template."),
    413: _("The body is too large for the receiver: let the body template send less."),
    415: _("Check the Content-Type header: the receiver takes another kind of body."),
    422: _("The receiver does not take this body: compare the body template with what it asks."),
    429: _("The receiver gets too many calls: set Most calls a minute on the webhook."),
}

_BY_CLASS: dict[int, Any] = {
    3: _("Redirects are not followed: enter the URL that this one leads to."),
    4: _("The receiver refuses the request: its answer may say why."),
    5: _("The receiver failed: look at its log. Later attempts may succeed."),
}


def tip(outcome: str, status: int | None) -> str:
    """``status``: the HTTP status that came back. Empty where nothing is to be mended."""
    if outcome == Outcome.HTTP_STATUS and status is not None:
        return str(_BY_STATUS.get(status) or _BY_CLASS.get(status // 100, ""))
    return str(_BY_OUTCOME.get(outcome, ""))

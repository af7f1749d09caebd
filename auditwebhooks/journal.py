"""What people did by hand, noted in Django's admin log where the host has one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.utils.translation import gettext_lazy

SENT_AGAIN = gettext_lazy("Sent again.")
REPLAY_STARTED = gettext_lazy("Started.")
REPLAY_CANCELLED = gettext_lazy("Cancelled.")
SWITCHED_ON = gettext_lazy("Switched on.")
SWITCHED_OFF = gettext_lazy("Switched off.")
DISCARDED = gettext_lazy("Discarded what waited: %d")
SECRET_ROTATED = gettext_lazy("New signing secret.")
TESTED = gettext_lazy("Tested: %s")

# django.contrib.admin.models.CHANGE: that module cannot be imported without its app.
_CHANGE = 2


def note(user: Any, objects: Collection[Model], message: object) -> None:
    """One entry for each object, in the user's language. Does nothing for somebody who is no user
    of the host's model: the log has no place for them."""
    if not objects or not isinstance(user, get_user_model()):
        return
    if not apps.is_installed("django.contrib.admin"):
        return
    entries: Any = apps.get_model("admin", "LogEntry")
    entries.objects.log_actions(user.pk, objects, _CHANGE, str(message))

"""What people did by hand, noted in Django's admin log where the host has one."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.utils.translation import gettext_noop

from auditwebhooks.storable import storable

SENT_AGAIN = gettext_noop("Sent again.")
REPLAY_STARTED = gettext_noop("Started.")
REPLAY_CANCELLED = gettext_noop("Cancelled.")
SWITCHED_ON = gettext_noop("Switched on.")
SWITCHED_OFF = gettext_noop("Switched off.")
DISCARDED = gettext_noop("Discarded what waited: %(number)s")
SECRET_ROTATED = gettext_noop("New signing secret.")
TESTED = gettext_noop("Tested: %(result)s")
# Of no single row, so no page shows them. What: all rows, or the filters of the list.
EXPORTED = "Exported as %(format)s: %(what)s."
ALL_SENT_AGAIN = "Sent again, %(count)d deliveries: %(what)s."

# django.contrib.admin.models.CHANGE: that module cannot be imported without its app.
_CHANGE = 2


def note(user: Any, objects: Collection[Model], message: str) -> None:
    """One entry for each object, in English: others read it, in languages of their own (see
    ``sentences``). Does nothing for somebody who is no user of the host's model: the log has no
    place for them."""
    entries = _entries_of(user)
    if objects and entries is not None:
        entries.objects.log_actions(user.pk, objects, _CHANGE, message)


def note_many(user: Any, model: type[Model], message: str) -> None:
    """One entry for what was done with more rows than are named one by one."""
    entries = _entries_of(user)
    if entries is not None:
        entries.objects.create(
            user_id=user.pk,
            content_type=apps.get_model("contenttypes", "ContentType").objects.get_for_model(
                model
            ),
            object_repr=model._meta.verbose_name_raw,
            action_flag=_CHANGE,
            # The filters of a list are whatever its URL has.
            change_message=storable(message),
        )


def _entries_of(user: Any) -> Any:
    """The model of the entries; None: there is no place for this user's."""
    if not isinstance(user, get_user_model()) or not apps.is_installed("django.contrib.admin"):
        return None
    return apps.get_model("admin", "LogEntry")

from __future__ import annotations

import json
from typing import Any, NoReturn

from django.db import models
from django.utils.translation import gettext_lazy as _

from auditwebhooks.enums import ActorType
from auditwebhooks.querysets import EventQuerySet, refuse_change

# Longer names are cut in the columns, which only serve filters; the payload keeps them whole.
COLUMN_LENGTH = 255


class Event(models.Model):
    """One change, written by the transaction of the change. Append-only."""

    id = models.BigAutoField(primary_key=True)
    # Text, so that it reads the same in the row, the payload and the headers.
    event_id = models.CharField(_("event ID"), max_length=36)
    event_type = models.CharField(_("event type"), max_length=COLUMN_LENGTH)
    created_at = models.DateTimeField(_("time"))
    action = models.CharField(_("action"), max_length=COLUMN_LENGTH)
    actor_id = models.CharField(_("actor ID"), max_length=COLUMN_LENGTH)
    actor_name = models.CharField(_("actor"), max_length=COLUMN_LENGTH)
    actor_type = models.CharField(
        _("actor type"), max_length=COLUMN_LENGTH, choices=ActorType.choices
    )
    source = models.CharField(_("source"), max_length=COLUMN_LENGTH)
    target_type = models.CharField(_("target type"), max_length=COLUMN_LENGTH, blank=True)
    # Null where a bulk write's rows cannot be told.
    target_id = models.CharField(  # noqa: DJ001
        _("target ID"), max_length=COLUMN_LENGTH, null=True, blank=True
    )
    target_name = models.CharField(_("target"), max_length=COLUMN_LENGTH, blank=True)
    # The JSON text as it was recorded: databases reorder and rewrite JSON columns.
    payload_text = models.TextField(_("payload"))
    # Null until every webhook has got its invocation.
    fanned_out_at = models.DateTimeField(_("fanned out at"), null=True, blank=True)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        default_permissions = ("view",)
        # Invocations hold it, too.
        permissions = [("see_payload", "Can see payloads and bodies")]
        constraints = [
            models.UniqueConstraint(fields=["event_id"], name="auditwebhooks_event_id"),
        ]
        indexes = [
            # What waits for the fan-out, oldest first.
            models.Index(fields=["fanned_out_at", "id"], name="auditwebhooks_event_fanout"),
            # The audit log, newest first, with what it may be filtered by: rows that do not match
            # are passed over without being read. MariaDB's keys hold no third long text.
            models.Index(
                fields=["created_at", "id", "action", "source"], name="auditwebhooks_event_time"
            ),
            # The same for what few or no events have: of a million none is passed over.
            models.Index(fields=["action", "created_at", "id"], name="auditwebhooks_event_action"),
            models.Index(fields=["source", "created_at", "id"], name="auditwebhooks_event_source"),
            models.Index(
                fields=["target_type", "id", "actor_type"], name="auditwebhooks_event_kind"
            ),
            models.Index(fields=["target_id", "id"], name="auditwebhooks_event_target"),
            models.Index(fields=["actor_id", "id"], name="auditwebhooks_event_actor"),
            models.Index(fields=["event_type", "id"], name="auditwebhooks_event_type"),
        ]

    def __str__(self) -> str:
        return f"{self.event_type} {self.target_name}".strip()

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            refuse_change()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse_change()

    @property
    def payload(self) -> dict[str, Any]:
        """The payload as a dict, made anew from the stored text."""
        loaded: dict[str, Any] = json.loads(self.payload_text)
        return loaded

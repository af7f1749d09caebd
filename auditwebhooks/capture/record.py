"""``auditwebhooks.record()``: an event of the host's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models, router

from auditwebhooks.capture.change import is_recording
from auditwebhooks.capture.recording import draft, insert
from auditwebhooks.capture.subject import defer_again, describe, name_of, subject_of
from auditwebhooks.exceptions import AuditWebhooksError
from auditwebhooks.models import Event
from auditwebhooks.registry import ModelClass, Options


def record(
    action: str,
    *,
    target: models.Model | None = None,
    event_type: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Event | None:
    """Record an event of the host's own, in the present transaction.

    ``action``: the host's word, such as ``"approve"``. ``event_type``: by default
    ``<app_label>.<model_name>.<action>`` of the target, else the action. ``metadata``: JSON data
    beside what the context knows. Actor and source come from ``context()``.

    Raises AuditWebhooksError for what is none of these. Returns the event; None while nothing is
    recorded (ENABLED, ``paused()``).
    """
    if not isinstance(action, str) or not action:
        raise AuditWebhooksError("record() needs the name of an action, such as 'approve'.")
    # ``__class__`` looks through the lazy object that ``request.user`` is.
    if target is not None and not issubclass(target.__class__, models.Model):
        raise AuditWebhooksError("record() needs a model instance as its target, or none.")
    if metadata is not None and not isinstance(metadata, Mapping):
        raise AuditWebhooksError("record() needs a dict as its metadata, or none.")
    if not is_recording():
        return None
    using = router.db_for_write(Event)
    if target is None:
        return insert(draft(action, event_type or action, metadata=metadata), using)
    model: ModelClass = target.__class__
    subject = subject_of(model) or describe(model, Options())
    deferred = target.get_deferred_fields()
    values = {one: getattr(target, one) for one in subject.attnames}
    defer_again(target, deferred)
    drafted = subject.draft(
        action,
        subject.key_of(target),
        name_of(target),
        event_type=event_type or f"{subject.model._meta.label_lower}.{action}",
        current=subject.snapshot(values),
        metadata=metadata,
    )
    return insert(drafted, using)

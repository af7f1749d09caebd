"""Events are appended, never changed."""

from __future__ import annotations

import json

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from auditwebhooks.exceptions import AppendOnlyError
from auditwebhooks.models import Event
from tests.factories import make_event

pytestmark = pytest.mark.django_db


def test_the_payload_is_the_text_as_it_was_recorded() -> None:
    text = '{"z": 1, "a": "\\u0000\\ud800", "n": 1.50}'
    event = make_event(payload_text=text)

    event.refresh_from_db()

    assert event.payload_text == text
    assert event.payload == json.loads(text)


def test_a_recorded_event_is_not_saved_again() -> None:
    event = make_event()
    event.action = "forged"

    with pytest.raises(AppendOnlyError, match="RETENTION"):
        event.save()

    event.refresh_from_db()
    assert event.action == "update"


def test_a_recorded_event_is_not_deleted() -> None:
    event = make_event()

    with pytest.raises(AppendOnlyError):
        event.delete()
    with pytest.raises(AppendOnlyError):
        Event.objects.filter(pk=event.pk).delete()

    assert Event.objects.filter(pk=event.pk).exists()


def test_querysets_change_nothing_but_the_fan_out() -> None:
    event = make_event()

    with pytest.raises(AppendOnlyError):
        Event.objects.update(action="forged")
    with pytest.raises(AppendOnlyError):
        Event.objects.update(fanned_out_at=timezone.now(), action="forged")
    with pytest.raises(AppendOnlyError):
        Event.objects.bulk_update([event], ["action"])

    assert Event.objects.update(fanned_out_at=timezone.now()) == 1


def test_an_event_id_is_never_repeated() -> None:
    event = make_event()

    with pytest.raises(IntegrityError), transaction.atomic():
        make_event(event_id=event.event_id)

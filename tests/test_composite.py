"""A model with a composite primary key is recorded like any other."""

from __future__ import annotations

from typing import Any

import pytest

from auditwebhooks.capture import bulk
from auditwebhooks.models import Event
from tests.testapp.models import Seat

pytestmark = pytest.mark.django_db


def told() -> list[tuple[str, str | None, Any]]:
    return [
        (one.action, one.target_id, one.payload["data"]["metadata"].get("changed_fields"))
        for one in Event.objects.order_by("id")
    ]


def test_saves_and_deletes() -> None:
    seat = Seat.objects.create(row="A", number=1)
    seat.taken = True
    seat.save()
    seat.delete()

    key = '["A",1]'
    assert told() == [("create", key, None), ("update", key, ["taken"]), ("delete", key, None)]
    data = Event.objects.earliest("id").payload["data"]
    assert data["current_target_object"] == {"row": "A", "number": 1, "taken": False}
    assert data["target_name"] == "A1"


def test_bulk_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "PAGE", 2)
    Seat.objects.bulk_create([Seat(row="B", number=number) for number in range(3)])
    Seat.objects.filter(row="B").update(taken=True)
    Seat.objects.filter(number__gt=0).delete()

    keys = [f'["B",{number}]' for number in range(3)]
    assert told()[:6] == [
        *(("create", key, None) for key in keys),
        *(("update", key, ["taken"]) for key in keys),
    ]
    # Django takes them from the end.
    assert told()[6:] == [("delete", key, None) for key in keys[:0:-1]]

"""Rows as the database holds them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

import auditwebhooks
from auditwebhooks import rows
from auditwebhooks.rows import let_others_write, read_row
from tests.testapp.models import Article, Cafe, Draft, Everything, Seat

pytestmark = pytest.mark.django_db


def read(model: Any, pk: Any, *attnames: str) -> dict[str, Any] | None:
    with transaction.atomic():
        return read_row(model, attnames, pk, "default")


def test_values_are_converted_as_by_the_orm() -> None:
    key = uuid.uuid4()
    stored = Everything.objects.create(flag=True, key=key, data={"a": [1]}, ratio=0.5)
    fields = ("id", "flag", "key", "data", "ratio", "day")

    assert read(Everything, stored.pk, *fields) == {
        "id": stored.pk,
        "flag": True,
        "key": key,
        "data": {"a": [1]},
        "ratio": 0.5,
        "day": None,
    }


@pytest.mark.parametrize("model", [Article, Draft, Cafe, Seat])
def test_a_row_that_is_not_there(model: Any) -> None:
    keys = {Draft: uuid.uuid4(), Seat: ("A", 1)}
    assert read(model, keys.get(model, 4711), model._meta.concrete_fields[-1].attname) is None


def test_keys_of_every_kind() -> None:
    with auditwebhooks.paused():
        draft = Draft.objects.create(text="a")
        cafe = Cafe.objects.create(name="b", seats=3)
        seat = Seat.objects.create(row="A", number=1)

    assert read(Draft, draft.pk, "text") == {"text": "a"}
    assert read(Draft, str(draft.pk), "text") == {"text": "a"}
    assert read(Cafe, cafe.pk, "name", "seats") == {"name": "b", "seats": 3}
    assert read(Seat, seat.pk, "number") == {"number": 1}


def test_the_compiled_statement_follows_the_time_zone_setting(settings: Any) -> None:
    moment = datetime(2026, 5, 1, 12, tzinfo=UTC)
    article = Article.objects.create(title="a", published_at=moment)
    assert read(Article, article.pk, "published_at") == {"published_at": moment}

    settings.USE_TZ = False
    row = read(Article, article.pk, "published_at")
    assert timezone.is_naive(row["published_at"])


def test_between_batches_others_get_the_only_lock_of_sqlite(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(rows.time, "sleep", slept.append)
    let_others_write("default")

    assert slept == ([] if connection.features.has_select_for_update else [0.1])

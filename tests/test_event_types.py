"""The event types that there are."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient

from auditwebhooks import event_types
from auditwebhooks.models import Event
from tests.factories import make_event, someone

pytestmark = pytest.mark.django_db

URL = "/api/audit/event-types/"


def test_those_of_audited_models_are_known_beforehand() -> None:
    assert not Event.objects.exists()

    known = event_types.event_types()

    assert {"testapp.article.created", "testapp.article.updated"} <= set(known)
    assert {"auditwebhooks.webhook.created", "auth.user.login_failed"} <= set(known)
    assert known == sorted(set(known))
    assert not any("section" in name for name in known)


def test_recorded_ones_are_known_each_once() -> None:
    for name in ("own.b", "own.a", "own.b", "own.c", "testapp.article.updated"):
        make_event(event_type=name)

    assert [one for one in event_types.recorded() if one.startswith("own")] == [
        "own.a",
        "own.b",
        "own.c",
    ]
    assert event_types.event_types().count("testapp.article.updated") == 1


def test_only_actions_that_are_recorded_make_types(monkeypatch: pytest.MonkeyPatch) -> None:
    from auditwebhooks.registry import Options, Registry
    from tests.testapp.models import Section

    registry = Registry()
    registry.add(Section, Options.parse({"actions": ["delete"]}))
    monkeypatch.setattr(event_types, "registry", registry)

    assert list(event_types.of_models()) == ["testapp.section.deleted"]


def test_each_type_takes_one_look_at_the_index(django_assert_num_queries: Any) -> None:
    for number in range(30):
        make_event(event_type=f"own.{number % 3}")

    with django_assert_num_queries(4):
        assert list(event_types.recorded()) == ["own.0", "own.1", "own.2"]


def test_the_looks_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_types, "MOST", 2)
    for number in range(5):
        make_event(event_type=f"own.{number}")

    assert list(event_types.recorded()) == ["own.0", "own.1"]


@pytest.mark.parametrize(
    ("permissions", "code"),
    [((), 403), (("view_invocation",), 403), (("view_event",), 200), (("view_webhook",), 200)],
)
def test_who_may_read_them(permissions: tuple[str, ...], code: int) -> None:
    answer = someone(*permissions).get(URL)

    assert answer.status_code == code
    if code == 200:
        assert answer.json() == event_types.event_types()


def test_without_a_login_they_are_not_answered() -> None:
    assert APIClient().get(URL).status_code in (401, 403)

"""How many tests a person may make in a minute."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.cache import cache
from django.utils.functional import SimpleLazyObject

from auditwebhooks.delivery import allowance
from auditwebhooks.delivery.allowance import MOST, refusal, take_test

ADA, BOB = User(pk=1), User(pk=2)


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """In the middle of a minute."""
    now = [1_764_000_030.0]
    assert now[0] % 60 == 30
    monkeypatch.setattr(allowance.time, "time", lambda: now[0])
    return now


def spend(user: Any) -> None:
    assert [take_test(user) for _number in range(MOST)] == [0] * MOST


def test_so_many_are_made_and_then_one_waits_for_the_next_minute(clock: list[float]) -> None:
    spend(ADA)

    assert take_test(ADA) == 31
    clock[0] += 31
    spend(ADA)


def test_what_another_does_does_not_count() -> None:
    spend(ADA)

    assert take_test(BOB) == 0


def test_the_user_of_a_request_is_the_same_everywhere() -> None:
    spend(SimpleLazyObject(lambda: ADA))

    assert take_test(ADA) > 0


def test_a_key_of_any_kind_can_be_counted() -> None:
    for key in ("a b\nc", "é" * 300, None):
        user = AnonymousUser() if key is None else User(username="x")
        user.pk = key
        assert take_test(user) == 0


def test_a_cache_that_keeps_nothing_limits_nothing(settings: Any) -> None:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}

    assert {take_test(ADA) for _number in range(3 * MOST)} == {0}


def test_a_cache_that_is_down_stops_nobody(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*args: Any) -> None:
        raise ConnectionError("secret address")

    monkeypatch.setattr(cache, "add", down)
    with caplog.at_level(logging.WARNING, "auditwebhooks"):
        assert take_test(ADA) == 0
    assert "ConnectionError" in caplog.text
    assert "secret" not in caplog.text


def test_caches_that_processes_share_count_together(settings: Any, tmp_path: Any) -> None:
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.filebased.FileBasedCache",
            "LOCATION": str(tmp_path),
        }
    }
    spend(ADA)

    assert take_test(ADA) > 0
    assert list(tmp_path.iterdir())


def test_the_refusal_says_how_long() -> None:
    assert refusal(31) == "A person may make 20 tests a minute. Try again in 31 seconds."

"""What a person is told to look at."""

from __future__ import annotations

import pytest

from auditwebhooks.admin.tips import tip
from auditwebhooks.enums import Outcome

NOTHING_TO_MEND = {Outcome.SUCCESS, Outcome.CANCELLED}


@pytest.mark.parametrize("outcome", Outcome.values)
def test_each_failure_has_a_tip(outcome: str) -> None:
    assert bool(tip(outcome, 500)) is (outcome not in NOTHING_TO_MEND)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "Redirects are not followed"),
        (401, "Authorization header"),
        (404, "path of the URL"),
        (418, "its answer may say why"),
        (503, "look at its log"),
    ],
)
def test_a_status_has_a_tip_of_its_own(status: int, words: str) -> None:
    assert words in tip("http_status", status)


def test_a_status_beyond_all_has_none() -> None:
    assert tip("http_status", 999) == ""
    assert tip("http_status", None) == ""
    assert tip("", None) == ""

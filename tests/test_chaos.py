"""A short run of the conservation benchmark: what is recorded is received, whatever dies."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.live import ROOT, need


@pytest.mark.parametrize(("database", "broker"), [("sqlite", "orm"), ("postgresql", "redis")])
def test_what_was_recorded_is_what_was_received(database: str, broker: str) -> None:
    need(database)
    need(broker)

    run = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks.chaos", "--events", "300"),
            *("--database", database, "--broker", broker),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "what was recorded is what was received" in run.stdout

"""A project with a user model of its own. Django reads which at start-up, so it runs by itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCENARIOS = Path(__file__).parent / "swapped" / "scenarios.py"


def test_a_user_model_of_the_host_s_own() -> None:
    name = os.environ.get("DATABASE_NAME", "auditwebhooks")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SCENARIOS)]
    done = subprocess.run(
        [*command, "--ds", "tests.swapped.settings", "--create-db"],
        cwd=SCENARIOS.parents[2],
        env={**os.environ, "DATABASE_NAME": f"{name}_swapped"},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stdout + done.stderr

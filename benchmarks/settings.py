"""A host project for the benchmarks. DATABASE: sqlite (default) or postgresql."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import AUDITWEBHOOKS, DATABASES

DATABASES["default"] = {**DATABASES["default"], "CONN_MAX_AGE": None}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }

AUDITWEBHOOKS = {**AUDITWEBHOOKS, **json.loads(os.environ.get("BENCHMARK", "{}"))}

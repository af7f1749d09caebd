"""Settings of a host project in processes of its own: see ``tests.live``."""

from __future__ import annotations

import json
import os

from tests.settings import *  # noqa: F403
from tests.settings import AUDITWEBHOOKS, DATABASES, INSTALLED_APPS, Q_CLUSTER

_live = json.loads(os.environ["LIVE"])

DATABASES["default"] = {**DATABASES["default"], "CONN_MAX_AGE": 60}
if _live["database"] == "sqlite":
    DATABASES["default"]["OPTIONS"] = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }

Q_CLUSTER = {**Q_CLUSTER, "name": _live["name"], "workers": 2, "poll": 0.1}
Q_CLUSTER |= json.loads(os.environ.get("LIVE_CLUSTER", "{}"))

AUDITWEBHOOKS = {**AUDITWEBHOOKS, **_live["auditwebhooks"]}

INSTALLED_APPS = [*INSTALLED_APPS, *_live["apps"]]

# The first signs and encrypts; the others are still read.
SECRET_KEY, *SECRET_KEY_FALLBACKS = json.loads(os.environ.get("LIVE_KEYS", '["only for tests"]'))

"""What a host pays for having the app: modules and time, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

HOST = """
import json, sys, time
from django.conf import settings

settings.configure(
    SECRET_KEY="only for tests",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.messages",
        "django.contrib.sessions",
        "django_q",
        *sys.argv[1:],
    ],
    Q_CLUSTER={"orm": "default", "timeout": 60, "retry": 120},
    AUDITWEBHOOKS={"MODELS": {"auth.User": {}}},
)
import django

django.setup()
"""

WHOLE = """
from django.contrib import admin

import auditwebhooks.middleware, auditwebhooks.tasks, auditwebhooks.delivery.turn

admin.site.urls
roots = {name.partition(".")[0] for name in sys.modules}
print(json.dumps(sorted(roots & {"rest_framework", "django_filters", "drf_spectacular"})))
print(json.dumps([name for name in sys.modules if name.startswith("auditwebhooks.api")]))
"""

TIMED = """
started = time.process_time()
import auditwebhooks
print(json.dumps((time.process_time() - started) * 1000))
"""


def told(code: str, *apps: str) -> list[Any]:
    done = subprocess.run(
        [sys.executable, "-c", HOST + code, *apps],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_host_without_the_api_never_imports_its_frameworks() -> None:
    """Admin, middleware and workers included; the frameworks are installed here."""
    assert told(WHOLE, "auditwebhooks") == [[], []]


def test_importing_the_package_is_quick() -> None:
    """The fastest of some: what else the machine does is not what is measured."""
    assert min(told(TIMED)[0] for _ in range(5)) < 50

"""The schedules of this app come and go with its tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed_apps
from django.db import router
from django.db.models.signals import post_migrate

from auditwebhooks import queue, retention, wake
from auditwebhooks.models import Event
from auditwebhooks.queue import Errand

SWEEP_TASK = "auditwebhooks.tasks.sweep"
PRUNE_TASK = "auditwebhooks.tasks.prune"


def errands() -> list[Errand]:
    # The scheduler looks about every 30 seconds and a schedule is due once a minute at most, so
    # two that are half a minute apart keep a lost wake-up below 60 seconds.
    sweeps = [
        Errand(
            name=f"auditwebhooks sweep {number}",
            task=SWEEP_TASK,
            minutes=1,
            timeout=wake.longest_run(),
            after=timedelta(seconds=after),
        )
        for number, after in ((1, 0), (2, 30))
    ]
    prune = Errand(
        name="auditwebhooks prune",
        task=PRUNE_TASK,
        minutes=60,
        # A batch that was begun in time, on a slow disk.
        timeout=retention.RUN_SECONDS + 60,
        after=timedelta(minutes=10),
    )
    return [*sweeps, prune]


def connect(config: AppConfig) -> None:
    post_migrate.connect(_follow_migration, config, dispatch_uid="auditwebhooks.schedule")


def _follow_migration(using: str, apps: Any = installed_apps, **kwargs: Any) -> None:
    """``apps`` is the project's state after the migration: without our models after ``zero``."""
    if router.db_for_write(Event) != using:
        return
    try:
        apps.get_model("auditwebhooks", "Event")
    except LookupError:
        queue.drop_schedules(errands(), using=using)
    else:
        queue.keep_schedules(errands(), using=using)

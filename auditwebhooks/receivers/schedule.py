"""The sweep's schedule comes and goes with the tables of this app."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.apps import apps as installed_apps
from django.db import router
from django.db.models.signals import post_migrate

from auditwebhooks import queue, wake
from auditwebhooks.models import Event

SWEEP_TASK = "auditwebhooks.tasks.sweep"


def connect(config: AppConfig) -> None:
    post_migrate.connect(_follow_migration, config, dispatch_uid="auditwebhooks.schedule")


def _follow_migration(using: str, apps: Any = installed_apps, **kwargs: Any) -> None:
    """``apps`` is the project's state after the migration: without our models after ``zero``."""
    if router.db_for_write(Event) != using:
        return
    try:
        apps.get_model("auditwebhooks", "Event")
    except LookupError:
        queue.drop_schedule(using=using)
    else:
        queue.keep_schedule(SWEEP_TASK, timeout=wake.longest_run(), using=using)

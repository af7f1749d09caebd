"""django-easy-audit, which records every model."""

from benchmarks.peers.settings import *  # noqa: F403
from benchmarks.peers.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django.contrib.sessions", "easyaudit"]

RECORDS = ("easyaudit.CRUDEvent", "event_type", {"create": 1, "update": 2, "delete": 3})

"""django-auditlog."""

from benchmarks.peers.settings import *  # noqa: F403
from benchmarks.peers.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "auditlog"]
AUDITLOG_INCLUDE_TRACKING_MODELS = ["peers.Article"]

RECORDS = ("auditlog.LogEntry", "action", {"create": 0, "update": 1, "delete": 2})

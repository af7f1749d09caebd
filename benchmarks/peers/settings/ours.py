"""django-auditwebhooks."""

from benchmarks.peers.settings import *  # noqa: F403
from benchmarks.peers.settings import INSTALLED_APPS
from tests.settings import Q_CLUSTER

INSTALLED_APPS = ["auditwebhooks", *INSTALLED_APPS, "django_q"]
Q_CLUSTER = {**Q_CLUSTER, "log_level": "WARNING"}
AUDITWEBHOOKS = {"MODELS": {"peers.Article": {}}}

RECORDS = (
    "auditwebhooks.Event",
    "action",
    {"create": "create", "update": "update", "delete": "delete"},
)

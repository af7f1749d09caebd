"""django-simple-history. ``benchmarks.peers.models`` registers the model."""

from benchmarks.peers.settings import *  # noqa: F403
from benchmarks.peers.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "simple_history"]

RECORDS = (
    "peers.HistoricalArticle",
    "history_type",
    {"create": "+", "update": "~", "delete": "-"},
)

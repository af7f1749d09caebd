"""django-webhook with Celery, as its documentation says: every call is stored as an event."""

import os

import requests.adapters

from benchmarks.peers.settings import *  # noqa: F403
from benchmarks.peers.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "django_webhook"]
DJANGO_WEBHOOK = {"MODELS": ["peers.Article"]}

# It has no setting for an authority of one's own, and sends past requests' environment.
requests.adapters.DEFAULT_CA_BUNDLE_PATH = os.environ["CA_FILE"]

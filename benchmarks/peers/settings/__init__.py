"""What all sides have in common: the model, its database, and who may be an author."""

from __future__ import annotations

from benchmarks.settings import DATABASES, DEFAULT_AUTO_FIELD, SECRET_KEY, USE_TZ

__all__ = ["DATABASES", "DEFAULT_AUTO_FIELD", "INSTALLED_APPS", "SECRET_KEY", "USE_TZ"]

INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "benchmarks.peers"]

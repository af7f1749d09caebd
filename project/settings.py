"""Settings of the demo project: for the developer's own machine only."""

from __future__ import annotations

import secrets

from project import storage
from project.ports import Ports

DATA = storage.folder()

DEBUG = True
SECRET_KEY = storage.kept_secret("secret_key", lambda: secrets.token_urlsafe(50))
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
TIME_ZONE = "UTC"
USE_TZ = True
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    # Before the admin, so that audited objects get a link to their history.
    "auditwebhooks",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_filters",
    "django_q",
    "rest_framework",
    "project.access",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    # The pages speak the language of the browser.
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "auditwebhooks.middleware.AuditContextMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "CONN_MAX_AGE": 60,
        # Server and worker write at the same time; with SQLite's own defaults some of their
        # transactions end with "database is locked".
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        },
    }
}

Q_CLUSTER = {
    "name": "auditwebhooks-demo",
    "label": "Queue",
    "orm": "default",
    "workers": 2,
    "queue_limit": 2,
    "bulk": 1,
    "timeout": 120,
    "retry": 400,
    "ack_failures": True,
    "catch_up": False,
}

_CA_FILE = DATA / storage.CA_FILE

AUDITWEBHOOKS = {
    "MODELS": {
        "access.*": {},
        "auth.User": {"exclude": ["last_login"]},
    },
    # The local receiver: this machine, on its own port, with a certificate of its own authority,
    # which is there once the demo has been started.
    "ALLOWED_NETWORKS": ["127.0.0.0/8"],
    "ALLOWED_PORTS": [443, Ports.read().receiver],
    "CA_FILE": _CA_FILE if _CA_FILE.exists() else None,
}

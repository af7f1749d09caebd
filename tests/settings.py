"""Settings of the test suite. DATABASE chooses where it runs: sqlite (default), postgresql or
mariadb; BROKER how tasks travel: orm (default) or redis. Servers are local, on their usual ports.
"""

from __future__ import annotations

import os
import tempfile

DATABASE = os.environ.get("DATABASE", "sqlite")

if DATABASE == "mariadb":
    # A driver without a compiler; Django asks for the name and a version of mysqlclient.
    import pymysql

    pymysql.version_info = (2, 2, 1, "final", 0)
    pymysql.install_as_MySQLdb()

_FOLDER = tempfile.gettempdir()

_SERVERS = {
    # A file, so that threads and processes share it; transactions begin DEFERRED, as Django's
    # default is, so that taking the write lock in time is tested.
    "sqlite": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ.get("DATABASE_NAME", os.path.join(_FOLDER, "auditwebhooks.db")),
        "OPTIONS": {
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
        "TEST": {"NAME": os.path.join(_FOLDER, f"auditwebhooks-{os.getpid()}.db")},
    },
    "postgresql": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("POSTGRES_HOST", "127.0.0.1"),
        "NAME": os.environ.get("DATABASE_NAME", "auditwebhooks"),
        "USER": os.environ.get("POSTGRES_USER", "postgres"),
        "PASSWORD": os.environ.get("POSTGRES_PASSWORD", ""),
    },
    "mariadb": {
        "ENGINE": "django.db.backends.mysql",
        "HOST": os.environ.get("MARIADB_HOST", "127.0.0.1"),
        "NAME": os.environ.get("DATABASE_NAME", "auditwebhooks"),
        "USER": os.environ.get("MARIADB_USER", "root"),
        "PASSWORD": os.environ.get("MARIADB_PASSWORD", ""),
        "OPTIONS": {"charset": "utf8mb4"},
    },
}

DATABASES = {"default": _SERVERS[DATABASE]}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

SECRET_KEY = "only for tests"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "tests.urls"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "auditwebhooks",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_q",
    "rest_framework",
    "rest_framework.authtoken",
    "django_filters",
    "tests.testapp",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
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

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


Q_CLUSTER = {"name": "auditwebhooks-tests", "workers": 1, "timeout": 200, "retry": 700}
if os.environ.get("BROKER") == "redis":
    Q_CLUSTER["redis"] = {
        "host": os.environ.get("REDIS_HOST", "127.0.0.1"),
        "port": int(os.environ.get("REDIS_PORT", "6379")),
        "db": 0,
        "socket_timeout": 5,
    }
else:
    Q_CLUSTER["orm"] = "default"

AUDITWEBHOOKS = {
    "MODELS": {
        "testapp.Article": {},
        "testapp.Account": {"mask": ["iban"], "exclude": ["internal_note"]},
        "testapp.Place": {},
        "testapp.Everything": {},
        "auth.User": {"exclude": ["last_login"]},
    }
}

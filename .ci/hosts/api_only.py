"""An API and nothing else: no sessions, no admin, no messages, a user model of its own with UUIDs
for keys; people register by djoser and come with a token of simplejwt."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from uuid import UUID

from host import SQLITE, Host, Inbox, Visitor

SETTINGS = """
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "rest_framework",
    "rest_framework_simplejwt.token_blacklist",
    "djoser",
    "people",
]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
AUTH_USER_MODEL = "people.Person"
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework_simplejwt.authentication.JWTAuthentication"
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "UNAUTHENTICATED_USER": None,
}
DJOSER = {"TOKEN_MODEL": None}
SIMPLE_JWT = {"AUTH_HEADER_TYPES": ("JWT",)}
SECRET_KEY = "only on this machine, and longer than thirty-two bytes"
"""

MODELS = """
import uuid

from django.contrib.auth.models import AbstractUser
from django.db import models


class Person(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    nickname = models.CharField(max_length=50, blank=True)
    REQUIRED_FIELDS = ["email", "nickname"]
"""

URLS = """
from django.urls import include, path

urlpatterns = [path("auth/", include("djoser.urls")), path("auth/", include("djoser.urls.jwt"))]
"""

# The optional step: the app's own API under the host's prefix.
API = """
INSTALLED_APPS += ["django_filters"]
"""
API_URL = 'urlpatterns += [path("api/audit/", include("auditwebhooks.api.urls"))]\n'

WORD = {"password": "correct horse battery"}


def token(visitor: Visitor, name: str) -> dict[str, str]:
    answer = visitor.request("POST", "/auth/jwt/create/", json={"username": name, **WORD})
    return {"Authorization": f"JWT {answer.json()['access']}"}


def change(visitor: Visitor, inbox: Inbox) -> None:
    ada = {"username": "ada", "email": "ada@example.com", "nickname": "Countess", **WORD}
    key = visitor.request("POST", "/auth/users/", json=ada).json()["id"]
    assert str(UUID(key)) == key
    made = inbox.expect("people.person.created", target_id=key, actor_type="anonymous")
    assert made["current_target_object"]["id"] == key
    assert made["current_target_object"]["password"] == "***"

    headers = token(visitor, "ada")
    inbox.expect("token_blacklist.outstandingtoken.created")
    by_ada = {"actor_id": "ada@example.com", "actor_type": "user", "source": "API"}
    visitor.request("PATCH", "/auth/users/me/", json={"nickname": "Enchantress"}, headers=headers)
    told = inbox.expect("people.person.updated", "nickname", target_id=key, **by_ada)
    assert told["previous_target_object"]["nickname"] == "Countess"
    assert told["metadata"]["actor_pk"] == key

    plan = {**headers, "User-Agent": "HashiCorp Terraform/1.9"}
    words = {"current_password": WORD["password"], "new_password": "another horse battery"}
    visitor.request("POST", "/auth/users/set_password/", json=words, headers=plan)
    inbox.expect("people.person.updated", "password", **{**by_ada, "source": "Terraform"})

    events = "/api/audit/events/"
    refused = visitor.session.get(visitor.base + events, headers=headers, timeout=10)
    assert refused.status_code == 403, refused.status_code
    operator = token(visitor, "operator")
    told = visitor.request("GET", f"{events}?target_id={key}", headers=operator).json()["results"]
    assert {one["event_type"] for one in told} == {
        "people.person.created",
        "people.person.updated",
    }

    gone = {"current_password": words["new_password"]}
    visitor.request("DELETE", "/auth/users/me/", json=gone, headers=headers)
    inbox.expect("people.person.deleted", target_id=key, **by_ada)


def main(folder: Path) -> None:
    django = [sys.executable, "-m", "django"]
    subprocess.run([*django, "startproject", "service", "."], cwd=folder, check=True)
    (folder / "people/migrations").mkdir(parents=True)
    (folder / "people/__init__.py").touch()
    (folder / "people/migrations/__init__.py").touch()
    (folder / "people/models.py").write_text(MODELS)
    urls = folder / "service/urls.py"
    urls.write_text(URLS)
    with (folder / "service/settings.py").open("a") as settings:
        settings.write(SETTINGS)
    host = Host("API only, UUIDs", folder, folder / "service/settings.py", ["manage.py"])
    host.manage("makemigrations", "--verbosity", "0", "people")
    host.manage("migrate", "--verbosity", "0")
    host.shell(
        "from people.models import Person\n"
        f'Person.objects.create_superuser("operator", password="{WORD["password"]}")'
    )
    host.try_out(change, SQLITE + API, also={urls: API_URL})


main(Path(sys.argv[1]))

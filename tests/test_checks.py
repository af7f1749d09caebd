"""System checks name what is wrong and the way out."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.checks import CheckMessage, run_checks
from django.db import models

from auditwebhooks import checks
from auditwebhooks.registry import Options, Registry
from tests.testapp.models import Article, Place


def found(*, deploy: bool = False) -> list[CheckMessage]:
    return run_checks(tags=[checks.TAG], include_deployment_checks=deploy)


def ids(**options: bool) -> list[str]:
    return [str(message.id) for message in found(**options)]


def deployment() -> list[str]:
    """Without what workers run on: see ``tests.test_workers``."""
    return [str(message.id) for message in checks.check_deployment(None)]


def test_a_good_project_gets_no_message() -> None:
    assert found() == []


def test_where_the_app_is_not_installed_nothing_is_missing(settings: Any) -> None:
    """As in a test of the host's that has other apps."""
    settings.INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth"]
    settings.MIDDLEWARE = []

    assert found() == []


def test_every_message_has_an_id_and_a_hint(settings: Any) -> None:
    settings.AUDITWEBHOOKS = {
        "NO_SUCH_KEY": 1,
        "ENABLED": "yes",
        "DEFAULT_TIMEOUT": 100,
        "ALLOWED_SCHEMES": ["http"],
        "ALLOWED_PORTS": [80],
        "ALLOWED_NETWORKS": ["10.0.0.0/8"],
    }
    settings.MIDDLEWARE = []
    messages = found(deploy=True)

    assert len(messages) >= 9
    assert all(message.id.startswith("auditwebhooks.") and message.hint for message in messages)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([], "auditwebhooks.E001"),
        ({"ENABLED": "yes"}, "auditwebhooks.E002"),
        ({"RETRY_DELAYS": [5, -1]}, "auditwebhooks.E002"),
        ({"ALLOWED_NETWORKS": ["10.0.0.1/8"]}, "auditwebhooks.E002"),
        ({"CA_FILE": "/no/such/file.pem"}, "auditwebhooks.E002"),
        ({"ENCRYPTION_KEYS": "one"}, "auditwebhooks.E002"),
        ({"RETENTION": {"event": 5}}, "auditwebhooks.E002"),
        ({"MAX_TIMEOUTS": 5}, "auditwebhooks.E003"),
        ({"DEFAULT_TIMEOUT": 100}, "auditwebhooks.E004"),
    ],
)
def test_a_bad_setting_is_an_error(settings: Any, value: object, expected: str) -> None:
    settings.AUDITWEBHOOKS = value

    assert expected in ids()


def test_a_missing_queue_is_an_error(settings: Any) -> None:
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app != "django_q"]

    assert "auditwebhooks.E005" in ids()


def test_a_missing_middleware_is_a_warning(settings: Any) -> None:
    settings.MIDDLEWARE = [one for one in settings.MIDDLEWARE if one != checks.MIDDLEWARE]

    assert ids() == ["auditwebhooks.W001"]


def test_a_middleware_before_authentication_is_a_warning(settings: Any) -> None:
    settings.MIDDLEWARE = [checks.MIDDLEWARE, *settings.MIDDLEWARE[:-1]]

    assert ids() == ["auditwebhooks.W002"]


def test_models_that_cannot_be_audited_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    registry.load(
        {
            "no.Such": {},
            "testapp.Nothing": {},
            "nowhere.*": {},
            "django_q.Task": {},
            "auditwebhooks.Event": {},
            "testapp.Article": {"exclud": []},
            "testapp.Account": {"mask": "iban"},
            "testapp.Place": {"actions": ["read"]},
        }
    )
    monkeypatch.setattr(checks, "registry", registry)
    messages = checks.check_models(None)

    assert {message.id for message in messages} == {"auditwebhooks.E006"}
    assert len(messages) == 8


def test_options_with_unknown_fields_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    registry.add(
        Article,
        Options.parse({"mask": ["titel"], "exclude": ["text"], "m2m": ["title", "labels"]}),
    )
    monkeypatch.setattr(checks, "registry", registry)
    messages = checks.check_models(None)

    assert [message.id for message in messages] == [
        "auditwebhooks.E007",
        "auditwebhooks.E008",
        "auditwebhooks.E008",
    ]
    assert "'titel'" in messages[0].msg
    assert "title" in messages[0].hint


def test_deployment_warns_of_what_is_insecure_or_endless(settings: Any) -> None:
    assert deployment() == ["auditwebhooks.W006", "auditwebhooks.W007"]

    settings.AUDITWEBHOOKS = {
        **settings.AUDITWEBHOOKS,
        "ALLOWED_SCHEMES": ["https", "http"],
        "ALLOWED_PORTS": [443, 8443],
        "ALLOWED_NETWORKS": ["10.0.0.0/8"],
        "ENCRYPTION_KEYS": [Fernet.generate_key().decode()],
        "RETENTION": {"events": 365},
    }
    assert deployment() == ["auditwebhooks.W003", "auditwebhooks.W004", "auditwebhooks.W005"]


def test_endless_events_are_told_with_the_setting_that_ends_them() -> None:
    [warning] = [one for one in found(deploy=True) if one.id == "auditwebhooks.W007"]

    assert '["RETENTION"] to {"events": days}' in warning.hint
    assert "to come" not in warning.hint


def test_a_model_on_another_database_is_told(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    class ArticlesElsewhere:
        def db_for_write(self, model: Any, **hints: Any) -> str | None:
            return "elsewhere" if model is Article else None

    registry = Registry()
    registry.add(Article, Options())
    registry.add(Place, Options())
    monkeypatch.setattr(checks, "registry", registry)
    settings.DATABASE_ROUTERS = [ArticlesElsewhere()]

    [warning] = checks.check_models(None)
    assert warning.id == "auditwebhooks.W010"
    assert "testapp.Article" in warning.msg


def test_a_delete_that_changes_rows_unseen_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry()
    registry.add(Article, Options())
    monkeypatch.setattr(checks, "registry", registry)
    assert checks.check_models(None) == []

    section = Article._meta.get_field("section")
    for seen in (models.CASCADE, models.SET_NULL, models.SET(5), models.PROTECT):
        monkeypatch.setattr(section.remote_field, "on_delete", seen)
        assert checks.check_models(None) == []
    for unseen in (models.SET_DEFAULT, models.SET(lambda: 5), lambda *args: None):
        monkeypatch.setattr(section.remote_field, "on_delete", unseen)
        [warning] = checks.check_models(None)
        assert warning.id == "auditwebhooks.W020"
        assert "testapp.Article.section" in warning.msg

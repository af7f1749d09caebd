"""System checks: what is wrong with settings, installation and registrations, and the way out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.exceptions import FieldDoesNotExist
from django.db import router
from django.db.models import CASCADE, DO_NOTHING, PROTECT, RESTRICT, ManyToManyField

from auditwebhooks.capture.audited import sees_bulk_writes
from auditwebhooks.conf import SETTING, conf, configured
from auditwebhooks.models import Event
from auditwebhooks.registry import ModelClass, Options, registry

TAG = "auditwebhooks"

MIDDLEWARE = "auditwebhooks.middleware.AuditContextMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"


def check_settings(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return list(_settings_problems())


def _settings_problems() -> Iterator[CheckMessage]:
    value = getattr(settings, SETTING, None)
    if value is not None and not isinstance(value, dict):
        yield Error(
            f"{SETTING} must be a dict.",
            hint='For example AUDITWEBHOOKS = {"MODELS": {"shop.Order": {}}}.',
            id="auditwebhooks.E001",
        )
    for key, problem in conf.problems():
        yield Error(
            f"{SETTING}[{key!r}] {problem}.",
            hint="Until it is mended the default is used in its place.",
            id="auditwebhooks.E002",
        )
    for key in conf.unknown_keys():
        yield Error(
            f"{SETTING} has an unknown key {key!r}.",
            hint=f"Known keys: {', '.join(conf.known_keys())}.",
            id="auditwebhooks.E003",
        )
    if conf.default_timeout > conf.max_timeout:
        yield Error(
            f"{SETTING}['DEFAULT_TIMEOUT'] is larger than MAX_TIMEOUT.",
            hint="Calls end after MAX_TIMEOUT seconds; lower the one or raise the other.",
            id="auditwebhooks.E004",
        )


def check_installation(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    if not apps.is_installed("auditwebhooks"):
        # A test of the host's has other apps.
        return problems
    if not apps.is_installed("django_q"):
        problems.append(
            Error(
                "django_q is not installed: nothing is recorded and nothing can be delivered.",
                hint='Add "django_q" to INSTALLED_APPS.',
                id="auditwebhooks.E005",
            )
        )
    middleware = list(settings.MIDDLEWARE)
    if MIDDLEWARE not in middleware:
        problems.append(
            CheckWarning(
                "The audit middleware is missing: events will not know their actor.",
                hint=f'Add "{MIDDLEWARE}" at the end of MIDDLEWARE.',
                id="auditwebhooks.W001",
            )
        )
    elif AUTHENTICATION in middleware[middleware.index(MIDDLEWARE) :]:
        problems.append(
            CheckWarning(
                "The audit middleware stands before AuthenticationMiddleware.",
                hint="Move it behind it, best to the end of MIDDLEWARE.",
                id="auditwebhooks.W002",
            )
        )
    return problems


def check_models(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = [
        Error(
            f"{problem.label} cannot be audited: {problem.reason}.",
            hint=f"Mend its entry in {SETTING}['MODELS'], or its registration in code.",
            id="auditwebhooks.E006",
        )
        for problem in registry.problems
    ]
    for model, options in registry.models():
        problems.extend(_unknown_fields(model, options))
        problems.extend(_unseen_on_delete(model))
        if router.db_for_write(model) != router.db_for_write(Event):
            problems.append(
                CheckWarning(
                    f"{model._meta.label} is written to another database than the events.",
                    hint="Its events are written after its commit: a crash in between loses them. "
                    "Route both to one database, or accept it.",
                    id="auditwebhooks.W010",
                )
            )
        if not sees_bulk_writes(model):
            problems.append(
                CheckWarning(
                    f"Bulk writes of {model._meta.label} are not recorded: its _meta is of a "
                    "class of its own.",
                    hint="Record them in your code with auditwebhooks.record().",
                    id="auditwebhooks.W009",
                )
            )
    return problems


def _unseen_on_delete(model: ModelClass) -> Iterator[CheckMessage]:
    """What Django, or the database, writes past the managers when the target is deleted."""
    for field in model._meta.local_concrete_fields:
        on_delete = getattr(field.remote_field, "on_delete", None)
        if on_delete is None or on_delete in _SEEN or getattr(on_delete, "lazy_sub_objs", False):
            continue
        yield CheckWarning(
            f"What {model._meta.label}.{field.name} becomes when its target is deleted is not "
            "recorded.",
            hint="SET_NULL, CASCADE, and SET() with a plain value are. Else record it in your "
            "code with auditwebhooks.record(), or accept it.",
            id="auditwebhooks.W020",
        )


# None of them changes a row unseen; SET_NULL and SET() with a value say so themselves.
_SEEN = (CASCADE, PROTECT, RESTRICT, DO_NOTHING)


def _unknown_fields(model: ModelClass, options: Options) -> Iterator[CheckMessage]:
    concrete = {field.name for field in model._meta.concrete_fields}
    for option in ("fields", "exclude", "mask"):
        for name in sorted((getattr(options, option) or set()) - concrete):
            yield Error(
                f"Option {option!r} of {model._meta.label} names {name!r}, "
                "which is no concrete field.",
                hint=f"Its fields: {', '.join(sorted(concrete))}.",
                id="auditwebhooks.E007",
            )
    for name in sorted(options.m2m or set()):
        if not _is_many_to_many(model, name):
            yield Error(
                f"Option 'm2m' of {model._meta.label} names {name!r}, "
                "which is no many-to-many field.",
                hint="Name a ManyToManyField of the model.",
                id="auditwebhooks.E008",
            )


def _is_many_to_many(model: ModelClass, name: str) -> bool:
    try:
        return isinstance(model._meta.get_field(name), ManyToManyField)
    except FieldDoesNotExist:
        return False


def check_deployment(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    return list(_deployment_problems())


def _deployment_problems() -> Iterator[CheckMessage]:
    if "http" in conf.allowed_schemes:
        yield CheckWarning(
            f"{SETTING}['ALLOWED_SCHEMES'] allows http: events and tokens travel in the clear.",
            hint='Allow "https" only.',
            id="auditwebhooks.W003",
        )
    if set(conf.allowed_ports) != {443}:
        yield CheckWarning(
            f"{SETTING}['ALLOWED_PORTS'] allows other ports than 443.",
            hint="Webhooks can then reach services that were not meant to be called.",
            id="auditwebhooks.W004",
        )
    if conf.allowed_networks:
        yield CheckWarning(
            f"{SETTING}['ALLOWED_NETWORKS'] lets webhooks call addresses that are not public.",
            hint="Whoever may add a webhook can call everything in these networks.",
            id="auditwebhooks.W005",
        )
    if not conf.encryption_keys:
        yield CheckWarning(
            f"{SETTING}['ENCRYPTION_KEYS'] is not set: secrets are encrypted with SECRET_KEY.",
            hint="Set it to a list of keys made by cryptography.fernet.Fernet.generate_key().",
            id="auditwebhooks.W006",
        )
    if conf.retention["events"] is None:
        yield CheckWarning(
            "Events are kept for ever.",
            hint="Plan for 1 to 2 kB an event, and silence this if it is meant. "
            f'Otherwise set {SETTING}["RETENTION"] to {{"events": days}}.',
            id="auditwebhooks.W007",
        )
    if not configured().get("MODELS") and not any(
        model._meta.app_label != "auditwebhooks" for model, _ in registry.models()
    ):
        yield CheckWarning(
            "No model is audited.",
            hint=f'Name models in {SETTING}["MODELS"].',
            id="auditwebhooks.W008",
        )

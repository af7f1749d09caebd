"""Which models are audited, and how. Data only: ``instrument`` and ``receivers`` act on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, overload

from django.apps import apps
from django.db.models import Model

from auditwebhooks.enums import Action
from auditwebhooks.exceptions import RegistrationError

ModelClass = type[Model]
M = TypeVar("M", bound=Model)

# Never audited: their rows are written by the delivery itself.
OWN_APP = "auditwebhooks"
QUEUE_APP = "django_q"

# What "*" and "app.*" leave out: bookkeeping whose every write would be an event.
_NOT_BY_WILDCARD = frozenset({OWN_APP, QUEUE_APP, "sessions", "contenttypes", "migrations"})
_NOT_BY_WILDCARD_MODELS = frozenset({"admin.LogEntry"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How one model is recorded.

    ``fields``: only these concrete fields; None: all. ``exclude``: but these.
    ``mask``: stored as ``***`` beside those whose name looks like a secret.
    ``m2m``: many-to-many fields whose changes are recorded; None: all.
    ``actions``: of create, update and delete. ``name``: ``target_type`` in place of the
    verbose name.
    """

    fields: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    mask: frozenset[str] = frozenset()
    m2m: frozenset[str] | None = None
    actions: frozenset[str] = frozenset(Action.values)
    name: str | None = None
    # Field -> how its value is shown; for this app's own models, not for hosts.
    disguise: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    @classmethod
    def parse(cls, given: Mapping[str, Any]) -> Options:
        """Options as the host wrote them. Raises RegistrationError with a sentence."""
        if not isinstance(given, Mapping):
            raise RegistrationError('options must be a dict such as {"mask": ["iban"]}')
        known = {option.name for option in fields(cls)} - {"disguise"}
        unknown = sorted(map(str, set(given) - known))
        if unknown:
            raise RegistrationError(
                f"unknown option {', '.join(map(repr, unknown))}; known: "
                f"{', '.join(sorted(known))}"
            )
        parsed: dict[str, Any] = {
            key: _names(key, value) for key, value in given.items() if key != "name"
        }
        name = given.get("name")
        if name is not None and not (isinstance(name, str) and name):
            raise RegistrationError("option 'name' must be a text")
        if not parsed.get("actions", frozenset()) <= set(Action.values):
            raise RegistrationError(
                f"option 'actions' may hold {', '.join(sorted(Action.values))}"
            )
        return cls(**parsed, name=name)


def _names(key: str, value: object) -> frozenset[str]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise RegistrationError(f"option {key!r} must be a list of names")
    if not all(isinstance(item, str) for item in value):
        raise RegistrationError(f"option {key!r} must hold names (text) only")
    return frozenset(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A registration that cannot be used; the system checks show it."""

    label: str
    reason: str


class Registry:
    def __init__(self) -> None:
        self._options: dict[ModelClass, Options] = {}
        self._audited: dict[ModelClass, tuple[ModelClass, Options] | None] = {}
        self._listener: Callable[[ModelClass], None] | None = None
        self.problems: list[Problem] = []

    def add(self, model: ModelClass, options: Options) -> None:
        """Audit a concrete model; a later call for the same model replaces its options."""
        concrete = model._meta.concrete_model
        if concrete is None or model._meta.abstract:
            self.problems.append(
                Problem(label=model.__qualname__, reason="an abstract model has no rows")
            )
            return
        if concrete._meta.swapped:
            self.problems.append(
                Problem(label=concrete._meta.label, reason=_swapped_reason(concrete))
            )
            return
        label = concrete._meta.app_label
        if label == QUEUE_APP or (label == OWN_APP and concrete.__name__ != "Webhook"):
            self.problems.append(
                Problem(
                    label=concrete._meta.label,
                    reason="the delivery itself writes its rows: auditing it would never end",
                )
            )
            return
        self._options[concrete] = options
        self._audited.clear()
        if self._listener:
            self._listener(concrete)

    def load(self, models: Mapping[str, Any]) -> None:
        """The MODELS setting; what a wildcard finds gives way to what is named."""
        # Concrete model -> its label in the setting.
        labels: dict[ModelClass | None, str] = {}
        named: dict[ModelClass, Options] = {}
        found: dict[ModelClass, Options] = {}
        # The most general first, so that "app.*" goes before "*" whatever their order.
        for label, given in sorted(models.items(), key=lambda item: item[0] != "*"):
            try:
                options = Options.parse(given if given is not None else {})
                into = found if str(label).endswith("*") else named
                for model in _models_called(str(label)):
                    if into is named:
                        _check_is_new(model, str(label), labels)
                    into[model] = options
            except (RegistrationError, TypeError) as error:
                self.problems.append(Problem(label=str(label), reason=str(error)))
        for model, options in found.items():
            if model not in self._options:
                self.add(model, options)
        for model, options in named.items():
            self.add(model, options)

    def on_add(self, listener: Callable[[ModelClass], None]) -> None:
        """Have the listener act on every model: those known now, and those added later."""
        self._listener = listener
        for model in list(self._options):
            listener(model)

    def audited_as(self, model: ModelClass) -> tuple[ModelClass, Options] | None:
        """The model whose name a write of ``model`` is recorded under, with its options.

        A proxy is recorded as its concrete model, a multi-table child that is not audited
        itself as its nearest audited parent. None: not audited.
        """
        try:
            return self._audited[model]
        except KeyError:
            return self._audited.setdefault(model, self._find(model))

    def _find(self, model: ModelClass) -> tuple[ModelClass, Options] | None:
        for candidate in model.__mro__:
            if candidate in self._options:
                return candidate, self._options[candidate]
        return None

    def models(self) -> Iterator[tuple[ModelClass, Options]]:
        yield from self._options.items()


def _check_is_new(model: ModelClass, label: str, labels: dict[ModelClass | None, str]) -> None:
    """A proxy's rows are its concrete model's: two sets of options would be for one table."""
    known = labels.setdefault(model._meta.concrete_model, label)
    if known != label:
        raise RegistrationError(f"its rows are those of {known}, which is named too")


def _models_called(label: str) -> Iterator[ModelClass]:
    """The concrete models of ``app.Model``, ``app.*`` or ``*``."""
    if label.removesuffix(".*") == QUEUE_APP:
        raise RegistrationError("auditing the queue would never end")
    if label == "*" or (label.endswith(".*") and label != ".*"):
        yield from _models_by_wildcard(label.removesuffix("*").removesuffix("."))
        return
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        raise RegistrationError("there is no model of this name (app_label.ModelName)") from None
    if model._meta.swapped:
        raise RegistrationError(_swapped_reason(model))
    yield model


def _swapped_reason(model: ModelClass) -> str:
    return f"the project uses {model._meta.swapped} in its place: name that one"


def _models_by_wildcard(app_label: str) -> Iterator[ModelClass]:
    if app_label and not any(config.label == app_label for config in apps.get_app_configs()):
        raise RegistrationError(f"there is no installed app with the label {app_label!r}")
    for model in apps.get_models():
        meta = model._meta
        if app_label and meta.app_label != app_label:
            continue
        if meta.app_label in _NOT_BY_WILDCARD or meta.label in _NOT_BY_WILDCARD_MODELS:
            continue
        if not meta.proxy and not meta.auto_created:
            yield model


registry = Registry()


@overload
def register(model: type[M], /, **options: Any) -> type[M]: ...
@overload
def register(model: None = None, /, **options: Any) -> Callable[[type[M]], type[M]]: ...
def register(model: Any = None, /, **options: Any) -> Any:
    """Audit a model: ``register(Model, **options)``, ``@register`` or ``@register(**options)``.

    Options that cannot be used are shown by the system checks, never raised here.
    """
    if model is None:
        return lambda decorated: register(decorated, **options)
    try:
        registry.add(model, Options.parse(options))
    except RegistrationError as error:
        registry.problems.append(Problem(label=model.__qualname__, reason=str(error)))
    return model

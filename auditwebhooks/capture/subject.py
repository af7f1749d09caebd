"""An audited model: which fields are recorded, and how a change of one of its rows is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, TypeVar

from django.db import connections, models, router, transaction

from auditwebhooks.capture.conversion import AnyField, plain
from auditwebhooks.capture.recording import (
    Draft,
    Object,
    Surroundings,
    Target,
    draft,
    insert_alike,
    insert_all,
)
from auditwebhooks.capture.snapshot import masked, snapshot
from auditwebhooks.enums import Action
from auditwebhooks.masking import MASK, holds_secret
from auditwebhooks.models import Event
from auditwebhooks.registry import ModelClass, Options, registry

logger = logging.getLogger(__name__)

Values = Mapping[str, Any]
T = TypeVar("T")

# The word that ends an event type.
_PAST = {one.value: one.past for one in Action}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """``model``: the name that its rows are recorded under. ``fields``: its concrete fields that
    are recorded."""

    model: ModelClass
    options: Options
    fields: tuple[AnyField, ...] = field(repr=False)
    attnames: tuple[str, ...] = field(repr=False)
    # Its ``target_type``.
    type: str
    # Names of the fields that are stored as ***.
    secret: frozenset[str] = field(repr=False)
    secret_attnames: frozenset[str] = field(repr=False)
    # Then no event tells which row it is: a token of Django REST Framework is its own key.
    is_key_secret: bool

    def records(self, action: Action) -> bool:
        return action in self.options.actions

    def snapshot(self, values: Values) -> dict[str, Any]:
        """Raw values by attname as JSON values by field name. Not masked: to compare, not to
        store."""
        return snapshot(self.fields, values)

    def draft(
        self,
        action: str,
        pk: Any,
        name: str,
        *,
        event_type: str | None = None,
        current: Values | None = None,
        previous: Values | None = None,
        changed: Sequence[str] | None = None,
        metadata: Values | None = None,
        around: Surroundings | None = None,
    ) -> Draft:
        """The event of one row's change; both objects as ``snapshot`` gave them."""
        told = _PAST.get(action, action)
        return draft(
            action,
            event_type or f"{self.model._meta.label_lower}.{told}",
            target=Target(
                id=None if pk is None else self._id(pk),
                type=self.type,
                name=name,
            ),
            current_object=None if current is None else self._shown(current),
            previous_object=None if previous is None else self._shown(previous),
            changed=changed,
            metadata=metadata,
            around=around,
        )

    def object_of(self, pk: Any, name: str, current: Values) -> Object:
        """For ``write_alike``."""
        return Object(target_id=self._id(pk), target_name=name, current=self._shown(current))

    def key_of(self, instance: models.Model) -> Any:
        """The key of its row of ``model``, past a ``pk`` of the host's own, as Django saves it."""
        return getattr(instance, self.key_in(instance.__class__).attname)

    def key_in(self, model: ModelClass) -> AnyField:
        """The field of such a class that holds it."""
        return model._meta.pk if _has_keys_of(model, self.model) else self.model._meta.pk

    def nameless(self, pk: Any) -> str:
        """A row whose words are not known."""
        return _by_key(self.model, MASK if self.is_key_secret else pk)

    def _id(self, pk: Any) -> str:
        return MASK if self.is_key_secret else key_text(pk)

    def _shown(self, values: Values) -> dict[str, Any]:
        """What may be stored of an object's values."""
        disguise = self.options.disguise
        if disguise:
            values = {
                name: disguise[name](value) if name in disguise else value
                for name, value in values.items()
            }
        return masked(values, self.secret)


@cache
def _has_keys_of(model: Any, ancestor: Any) -> bool:
    """Whether its rows have the keys of the ancestor's: those of its second parent it has not."""
    key = model._meta.pk
    while key is not ancestor._meta.pk:
        if key.remote_field is None or not key.remote_field.parent_link:
            return False
        key = key.target_field
    return True


def subject_of(model: ModelClass) -> Subject | None:
    """What a write of this class is recorded as; None: it is not audited."""
    audited = registry.audited_as(model)
    if audited is None:
        return None
    known = _subjects.get(model)
    if known is None or known.options is not audited[1]:
        known = _subjects[model] = describe(*audited)
    return known


# Of every class that was written; options that are given anew make a new one.
_subjects: dict[ModelClass, Subject] = {}


def describe(model: ModelClass, options: Options) -> Subject:
    fields = tuple(
        one
        for one in model._meta.concrete_fields
        if one.name not in options.exclude
        and (options.fields is None or one.name in options.fields)
    )
    attnames = tuple(one.attname for one in fields)
    # Those that are not recorded too: the object's words may tell them.
    everything = model._meta.concrete_fields
    secret = frozenset(one.name for one in everything if is_secret(one, options.mask))
    return Subject(
        model=model,
        options=options,
        fields=fields,
        attnames=attnames,
        type=type_of(model, options),
        secret=secret,
        secret_attnames=frozenset(one.attname for one in everything if one.name in secret),
        is_key_secret=any(one.name in secret for one in model._meta.pk_fields),
    )


def is_secret(one: AnyField, named: Collection[str] = ()) -> bool:
    """Whether the whole value of a field is stored as ``***``. ``named``: by the host, beside
    those that look like a secret. A foreign key holds what its target is known by."""
    if one.name in named or holds_secret(one.model.__name__, one.name):
        return True
    if not isinstance(one, models.ForeignKey):
        return False
    target: AnyField = one.target_field
    audited = registry.audited_as(target.model)
    return is_secret(target, audited[1].mask if audited else ())


def type_of(model: ModelClass, options: Options) -> str:
    """The ``target_type`` of its rows: the same whatever language is active."""
    return options.name or model._meta.verbose_name_raw.lower()


def key_text(pk: Any) -> str:
    """The ``target_id`` of a row: a composite key as a compact JSON list."""
    if isinstance(pk, tuple):
        return json.dumps(plain(pk), ensure_ascii=False, separators=(",", ":"))
    return str(pk)


def name_of(instance: models.Model) -> str:
    """The object in words; a ``__str__`` that raises costs the words only."""
    try:
        return words_of(instance)
    except Exception as error:  # noqa: BLE001 - a host's __str__ may raise anything
        logger.warning(
            "%s.__str__ raised %s",
            instance._meta.label,
            type(error).__name__,
            exc_info=True,
        )
        return nameless(instance)


def words_of(instance: models.Model) -> str:
    """What ``__str__`` says, unless it tells what is masked. Raises what it raises."""
    deferred = instance.get_deferred_fields()
    try:
        name = str(instance)
        return nameless(instance) if _tells_a_secret(instance, name) else name
    finally:
        defer_again(instance, deferred)


def defer_again(instance: models.Model, attnames: Iterable[str]) -> None:
    """What was loaded for an event the host's next save would write, over what others wrote
    meanwhile."""
    for attname in attnames:
        instance.__dict__.pop(attname, None)


def _tells_a_secret(instance: models.Model, name: str) -> bool:
    subject = _described(instance)
    if not subject.secret_attnames:
        return False
    # What is not loaded even now has not been told.
    loaded = subject.secret_attnames - instance.get_deferred_fields()
    texts = (str(getattr(instance, one, None)) for one in loaded)
    return any(text in name for text in texts if text not in _NOTHING_SECRET)


_NOTHING_SECRET = frozenset({"", "None", "True", "False", "{}", "[]"})


def nameless(instance: models.Model) -> str:
    pk = MASK if _described(instance).is_key_secret else instance.pk
    return _by_key(instance.__class__, pk)


def _by_key(model: ModelClass, pk: Any) -> str:
    return f"{model._meta.object_name} object ({pk})"


def _described(instance: models.Model) -> Subject:
    # ``__class__`` looks through a lazy object.
    model: ModelClass = instance.__class__
    return subject_of(model) or describe(model, Options())


def write(drafts: Iterable[Draft], using: str) -> None:
    """Write events beside the change that was made on this database, as ``insert_all`` does."""
    _write_beside(insert_all, drafts, using)


def write_alike(common: Draft, objects: Iterable[Object], using: str) -> None:
    """``write`` of events that are as ``common`` but for their object."""
    _write_beside(partial(insert_alike, common), objects, using)


def _write_beside(
    insert: Callable[[Iterable[T], str], None], told: Iterable[T], using: str
) -> None:
    events_are_on, connection = router.db_for_write(Event), connections[using]
    if using == events_are_on:
        insert(told, using)
    elif not (connection.in_atomic_block or connection.get_autocommit()):
        # The host commits by hand, and Django tells nobody.
        insert(told, events_are_on)
    else:
        # The weaker promise: the events follow the commit of the other database.
        made = list(told)
        transaction.on_commit(lambda: insert(made, events_are_on), using=using, robust=True)

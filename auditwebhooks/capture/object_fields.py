"""What an event tells of the objects of each audited model: its fields as JSON, for people who
write a body template. Asks no database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from auditwebhooks.capture.subject import Subject, describe, type_of
from auditwebhooks.registry import ModelClass, registry

# Pages translate them. The words of JSON themselves stay.
TYPES = (
    gettext_noop("string or null"),
    gettext_noop("object or null"),
    gettext_noop("integer or null"),
    gettext_noop("number or null"),
    gettext_noop("boolean or null"),
    gettext_noop("array or object"),
)

# Of longer lists of choices the first.
MOST_VALUES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectField:
    name: str
    # In the words of JSON; empty: the host's own kind, which may be anything.
    type: str
    meaning: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectFields:
    # app_label.model, as event types begin.
    label: str
    # What ``target_type`` says.
    name: str
    fields: tuple[ObjectField, ...]


def object_fields() -> Iterator[ObjectFields]:
    """Of every audited model, by its label."""
    for model, options in sorted(registry.models(), key=lambda one: one[0]._meta.label_lower):
        subject = describe(model, options)
        yield ObjectFields(
            label=model._meta.label_lower,
            name=type_of(model, options),
            fields=(*_concrete(subject), *_members(model, subject)),
        )


def _concrete(subject: Subject) -> Iterator[ObjectField]:
    for field in subject.fields:
        if field.name in subject.secret:
            yield ObjectField(name=field.name, type="string", meaning=_("masked: ***"))
        else:
            yield ObjectField(
                name=field.name,
                type=_nullable(_json_type(field), field),
                meaning=_meaning(field),
                values=_values(field),
            )


def _members(model: ModelClass, subject: Subject) -> Iterator[ObjectField]:
    wanted = subject.options.m2m
    for field in model._meta.many_to_many:
        if wanted is None or field.name in wanted:
            yield ObjectField(
                name=field.name,
                type="array or object",
                meaning=_("%s: the keys, only where they changed; of very many their number")
                % _meaning(field),
            )


def _nullable(type_: str, field: Any) -> str:
    return f"{type_} or null" if type_ and field.null else type_


def _json_type(field: Any) -> str:
    if isinstance(field, models.ForeignKey):
        return _json_type(field.target_field)
    kinds = ((kind, told) for kind, told in _TYPES if isinstance(field, kind))
    return next(kinds, (None, ""))[1]


# As ``snapshot`` makes them.
_TYPES: tuple[tuple[Any, str], ...] = (
    (models.BooleanField, "boolean"),
    (models.IntegerField, "integer"),
    (models.FloatField, "number"),
    (models.BinaryField, "object"),
    (
        (
            models.CharField,
            models.DateField,
            models.DecimalField,
            models.DurationField,
            models.FileField,
            models.GenericIPAddressField,
            models.TextField,
            models.TimeField,
            models.UUIDField,
        ),
        "string",
    ),
)


def _meaning(field: Any) -> str:
    if field.is_relation:
        label = field.related_model._meta.label_lower
        return _("%(name)s (%(model)s)") % {"name": field.verbose_name, "model": label}
    return str(field.verbose_name)


def _values(field: Any) -> tuple[str, ...]:
    """Those that a field with choices may have; choices from a database are not asked for."""
    choices = field.choices
    if not isinstance(choices, list | tuple):
        return ()
    flat = [str(value) for value, _word in field.flatchoices if value not in (None, "")]
    more = ("...",) if len(flat) > MOST_VALUES else ()
    return (*flat[:MOST_VALUES], *more)

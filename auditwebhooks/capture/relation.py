"""Recorded many-to-many fields, by the models in between, whose rows are changes of an owner."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import models

from auditwebhooks.capture.change import is_recording
from auditwebhooks.capture.subject import Subject, subject_of
from auditwebhooks.enums import Action
from auditwebhooks.registry import ModelClass, registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """A recorded many-to-many field. ``source`` and ``target``: the keys in between that lead to
    the owner and to the member."""

    owner: ModelClass
    field: Any
    source: Any
    target: Any

    @property
    def subject(self) -> Subject | None:
        return subject_of(self.owner)


_relations: dict[ModelClass, list[Relation]] = defaultdict(list)


def watch(owner: ModelClass) -> Iterator[ModelClass]:
    """Have the members of the model's own fields recorded; gives the models in between."""
    fields: Iterable[Any] = owner._meta.many_to_many
    for one in fields:
        if not isinstance(one, models.ManyToManyField):
            # Such as django-taggit's: only the host knows which rows are its members.
            continue
        through: Any = one.remote_field.through
        relation = Relation(
            owner=owner,
            field=one,
            source=through._meta.get_field(one.m2m_field_name()),
            target=through._meta.get_field(one.m2m_reverse_field_name()),
        )
        if relation not in _relations[through]:
            _relations[through].append(relation)
        yield through


def relations_of(through: ModelClass) -> list[Relation]:
    """What writes of a model change of others. Nothing where its rows are told as themselves."""
    if through not in _relations or not is_recording() or subject_of(through) is not None:
        return []
    return [one for one in _relations[through] if _is_recorded(one)]


def _is_recorded(relation: Relation) -> bool:
    subject = relation.subject
    if subject is None or not subject.records(Action.UPDATE):
        return False
    declared = relation.field.model
    if declared is not relation.owner and registry.audited_as(declared) is not None:
        # A field of an audited parent is told as the parent's.
        return False
    wanted = subject.options.m2m
    return wanted is None or relation.field.name in wanted

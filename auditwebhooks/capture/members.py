"""Members of many-to-many fields: a row of the model in between is a change of its owner.

Whatever Django's related managers, the admin, forms and cascades do ends in writes of that model,
so those are watched; its signals tell less (``m2m_changed`` is silent where the far side goes).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models import Case, Value, When
from django.db.models.lookups import In
from django.db.models.sql.where import WhereNode

from auditwebhooks.capture.change import harmless, is_recording
from auditwebhooks.capture.conversion import to_json
from auditwebhooks.capture.delete import is_going
from auditwebhooks.capture.names import Names
from auditwebhooks.capture.recording import Draft, Surroundings, surroundings
from auditwebhooks.capture.subject import Subject, is_secret, subject_of, write
from auditwebhooks.enums import Action
from auditwebhooks.masking import MASK
from auditwebhooks.registry import ModelClass, registry
from auditwebhooks.rows import (
    Rows,
    database_of,
    in_transaction,
    instances,
    keys_of,
    keyset,
    locked,
    pages,
    read_whole,
    take_write_lock,
)

T = TypeVar("T")

# Longer lists of members are told as their number, and what was added and removed.
LISTED = 1000

# Owners whose members are read and told with one statement.
_PAGE = 1000


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


def create(
    relations: Collection[Relation],
    rows: Rows,
    objects: Iterable[models.Model],
    execute: Callable[[list[models.Model]], T],
    *,
    may_conflict: bool,
) -> T:
    """``bulk_create`` of rows in between. ``may_conflict``: some may not be inserted."""
    made = list(objects)
    using = database_of(rows)
    # MySQL's INSERT IGNORE leaves out rows of members that are gone, too.
    is_mysql = connections[using].vendor == "mysql"
    if may_conflict and (is_mysql or not rows.model._meta.auto_created):
        # Between the host's own constraints nobody knows what was inserted.
        def owners_of(relation: Relation) -> set[Any]:
            return {one.__dict__.get(relation.source.attname) for one in made} - {None}

        with changing(relations, owners_of, using):
            return execute(made)
    with in_transaction(using):
        before = [Before.of_objects(one, made, using) for one in relations]
        result = execute(made)
        for one in filter(None, before):
            one.record_added(made)
    return result


def delete(relations: Collection[Relation], rows: Rows, using: str, execute: Callable[[], T]) -> T:
    """A DELETE of rows in between."""
    if _is_told.get():
        return execute()
    relations = [one for one in relations if not _go_with_their_owners(one, rows, using)]
    with in_transaction(using):
        before = [Before.of_rows(one, rows, using) for one in relations]
        token = _is_told.set(True)
        try:
            result = execute()
        finally:
            _is_told.reset(token)
        for one in filter(None, before):
            one.record_left()
    return result


# Inside of ``delete()``, which may end in ``_raw_delete``.
_is_told: ContextVar[bool] = ContextVar("auditwebhooks_members_told", default=False)


def _go_with_their_owners(relation: Relation, rows: Rows, using: str) -> bool:
    """Whether Django deletes them because it deletes their owners, which is no change of these.
    Told from the one condition that Django makes for that; any other takes reading the rows."""
    condition = rows.query.where
    while isinstance(condition, WhereNode) and len(condition.children) == 1:
        if condition.negated:
            return False
        condition = condition.children[0]
    if not isinstance(condition, In) or getattr(condition.lhs, "target", None) != relation.source:
        return False
    if not relation.source.target_field.primary_key or not isinstance(condition.rhs, list):
        return False
    return all(is_going(relation.owner, pk, using) for pk in condition.rhs)


@contextmanager
def changing(
    relations: Collection[Relation], owners_of: Callable[[Relation], Collection[Any]], using: str
) -> Iterator[None]:
    """Any other write: the members are read anew after it. ``owners_of``: the keys of the owners
    that the rows belong to now and will belong to."""
    with in_transaction(using):
        before = [Before.of_keys(one, owners_of(one), using) for one in relations]
        yield
        for one in filter(None, before):
            one.record_now()


def update(
    relations: Collection[Relation],
    rows: Rows,
    values: Mapping[str, Any],
    execute: Callable[[], int],
) -> int:
    """``update()`` of rows in between."""
    using = database_of(rows)

    def owners_of(relation: Relation) -> set[Any]:
        stored = locked(rows.using(using).order_by(), using)
        keys = set(stored.values_list(relation.source.attname, flat=True))
        new = values.get(relation.source.name, values.get(relation.source.attname))
        if hasattr(new, "resolve_expression"):
            # Which owner it names, only the database knows.
            return keys
        return keys | {getattr(new, relation.source.target_field.attname, new)} - {None}

    with changing(relations, owners_of, using):
        return execute()


@contextmanager
def writing(instance: models.Model, using: str) -> Iterator[None]:
    """Around the save or the delete of one row in between."""
    relations = relations_of(type(instance))

    def owners_of(relation: Relation) -> set[Any]:
        attname = relation.source.attname
        stored: Any = models.QuerySet(relation.source.model, using=using)
        keys = set(stored.filter(pk=instance.pk).values_list(attname, flat=True))
        return keys | {instance.__dict__.get(attname)} - {None}

    with changing(relations, owners_of, using) if relations else nullcontext():
        yield


# Owner's key -> [(member, whether its row goes)]: a member may stand there twice.
_Between = Mapping[Any, list[tuple[Any, bool]]]


def _rows_of(relation: Relation, owners: Iterable[Any], using: str, going: Any) -> _Between:
    rows: dict[Any, list[tuple[Any, bool]]] = defaultdict(list)
    source, target = relation.source.attname, relation.target.attname
    for page in pages(owners, _PAGE):
        between: Any = models.QuerySet(relation.source.model, using=using)
        between = between.filter(**{f"{source}__in": page}).annotate(_going=going)
        for owner, member, goes in between.values_list(source, target, "_going"):
            rows[owner].append((member, bool(goes)))
    return rows


def _members_in(rows: _Between, owner: Any) -> set[Any]:
    return {member for member, _goes in rows.get(owner, ())}


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """The owners, locked, and their members."""

    relation: Relation
    subject: Subject
    using: str
    # Owner's key in the rows between -> its primary key.
    owners: Mapping[Any, Any]
    # Primary key -> the owner as it is stored; of many only the first, for the sake of memory.
    stored: Mapping[Any, models.Model] = field(repr=False)
    rows: _Between = field(repr=False)

    @classmethod
    def of_objects(
        cls, relation: Relation, made: Iterable[models.Model], using: str
    ) -> Before | None:
        keys = {one.__dict__.get(relation.source.attname) for one in made}
        return cls.of_keys(relation, keys - {None}, using)

    @classmethod
    @harmless
    def of_keys(cls, relation: Relation, keys: Any, using: str) -> Before | None:
        return cls._read(relation, keys, using, Value(False))

    @classmethod
    @harmless
    def of_rows(cls, relation: Relation, rows: Rows, using: str) -> Before | None:
        keys = keys_of(rows)
        going = Case(When(pk__in=keys, then=Value(True)), default=Value(False))
        return cls._read(relation, keys.values(relation.source.attname), using, going)

    @classmethod
    def _read(cls, relation: Relation, keys: Any, using: str, going: Any) -> Before | None:
        subject = relation.subject
        if subject is None:
            return None
        take_write_lock(connections[using], relation.owner)
        key = relation.source.target_field
        every: Any = models.QuerySet(relation.owner, using=using).filter(
            **{f"{key.name}__in": keys}
        )
        first = locked(every.order_by("pk"), using)[:_PAGE]
        stored = {one.pk: one for one in instances(relation.owner, first, using)}
        owners = {one.__dict__[key.attname]: pk for pk, one in stored.items()}
        if len(stored) == _PAGE:
            others = every.filter(pk__gt=next(reversed(stored)))
            for some in keyset(others, [key.attname], using, _PAGE):
                owners.update((one, pk) for pk, one in some)
        return cls(
            relation=relation,
            subject=subject,
            using=using,
            owners=owners,
            stored=stored,
            rows=_rows_of(relation, owners, using, going),
        )

    def _members(self, owner: Any) -> set[Any]:
        return _members_in(self.rows, owner)

    @harmless
    def record_added(self, made: Iterable[models.Model]) -> None:
        added: dict[Any, set[Any]] = defaultdict(set)
        for one in made:
            owner = one.__dict__.get(self.relation.source.attname)
            added[owner].add(one.__dict__.get(self.relation.target.attname))
        self._record(self.owners, lambda owner: self._members(owner) | added[owner])

    @harmless
    def record_left(self) -> None:
        self._record(
            self.owners,
            lambda owner: {member for member, goes in self.rows.get(owner, ()) if not goes},
        )

    @harmless
    def record_now(self) -> None:
        for page in pages(self.owners, _PAGE):
            now = _rows_of(self.relation, page, self.using, Value(False))
            self._record(page, partial(_members_in, now))

    def _record(self, owners: Iterable[Any], after: Callable[[Any], set[Any]]) -> None:
        """``after``: owner's key -> its members now."""
        changed = (
            (owner, members)
            for owner in owners
            if (members := after(owner)) != self._members(owner)
            and not is_going(self.relation.owner, self.owners[owner], self.using)
        )
        for page in pages(changed, _PAGE):
            stored = self._stored([self.owners[owner] for owner, _members in page])
            # Before names are told without a query: to know the user may take one.
            around = surroundings()
            with Names(self.relation.owner, self.using) as names:
                drafts = [
                    self._draft(instance, owner, members, names, around)
                    for owner, members in page
                    if (instance := stored.get(self.owners[owner])) is not None
                ]
            write(drafts, self.using)

    def _stored(self, pks: list[Any]) -> Mapping[Any, models.Model]:
        if all(map(self.stored.__contains__, pks)):
            return self.stored
        return read_whole(self.relation.owner, pks, self.using)

    def _draft(
        self,
        instance: models.Model,
        owner: Any,
        members: set[Any],
        names: Names,
        around: Surroundings,
    ) -> Draft:
        name = self.relation.field.name
        before = self._members(owner)
        stored = self.subject.snapshot(instance.__dict__)
        if max(len(before), len(members)) <= LISTED:
            told: tuple[Any, Any] = (self._listed(before), self._listed(members))
        else:
            told = (
                {"count": len(before)},
                {
                    "count": len(members),
                    "added": self._listed(members - before),
                    "removed": self._listed(before - members),
                },
            )
        return self.subject.draft(
            Action.UPDATE.value,
            instance.pk,
            names.of(instance),
            previous={**stored, name: told[0]},
            current={**stored, name: told[1]},
            changed=[name],
            around=around,
        )

    def _listed(self, members: Iterable[Any]) -> list[Any]:
        key = self.relation.target
        if is_secret(key):
            return [MASK for _member in members]
        try:
            ordered = sorted(members)
        except TypeError:
            ordered = sorted(members, key=str)
        return [to_json(key, member) for member in ordered]

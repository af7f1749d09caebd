"""The owners of rows in between: their members before a write, and what the write made of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import connections, models
from django.db.models import Case, Value, When

from auditwebhooks.capture.change import harmless
from auditwebhooks.capture.conversion import to_json
from auditwebhooks.capture.delete import is_going
from auditwebhooks.capture.names import Names
from auditwebhooks.capture.recording import Draft, Surroundings, surroundings
from auditwebhooks.capture.relation import Relation
from auditwebhooks.capture.subject import Subject, is_secret, write
from auditwebhooks.enums import Action
from auditwebhooks.masking import MASK
from auditwebhooks.rows import (
    Rows,
    instances,
    keys_of,
    keyset,
    locked,
    pages,
    read_whole,
    take_write_lock,
)

# Longer lists of members are told as their number, and what was added and removed.
LISTED = 1000

# Owners whose members are read and told with one statement.
_PAGE = 1000

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

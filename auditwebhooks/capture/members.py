"""Members of many-to-many fields: a row of the model in between is a change of its owner.

Whatever Django's related managers, the admin, forms and cascades do ends in writes of that model,
so those are watched; its signals tell less (``m2m_changed`` is silent where the far side goes).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, TypeVar

from django.db import connections, models
from django.db.models.lookups import In
from django.db.models.sql.where import WhereNode

from auditwebhooks.capture.delete import is_going
from auditwebhooks.capture.owners import Before
from auditwebhooks.capture.relation import Relation, relations_of
from auditwebhooks.rows import Rows, database_of, in_transaction, locked

T = TypeVar("T")


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

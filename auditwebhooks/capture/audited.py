"""The managers and querysets of an audited model: Django's and the host's own classes, with one
class between theirs and Django's, so that bulk writes are seen.

Nothing of Django is patched, and no other model is touched: the class of the model's own ``_meta``
is replaced by a subclass whose managers are copies of the host's with a subclass of their class.
The classes carry the names of those they stand for, so that migrations and pickles see no change.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models.fields.related_descriptors import ReverseManyToOneDescriptor
from django.db.models.manager import BaseManager
from django.db.models.options import Options, make_immutable_fields_list
from django.utils.functional import cached_property

from auditwebhooks.capture import bulk, members, upserts
from auditwebhooks.capture.relation import relations_of
from auditwebhooks.registry import ModelClass

if TYPE_CHECKING:
    QuerySet = models.QuerySet[Any]
else:
    QuerySet = models.QuerySet


class AuditedQuerySet(QuerySet):
    """Stands right before Django's class, behind the host's: what reaches it is what is written.

    ``bulk_update`` and the asynchronous forms end here too. ``Model.save`` uses ``_update`` and
    ``_insert`` and is recorded by its signals.
    """

    def update(self, **values: Any) -> int:
        if relations := relations_of(self.model):
            write = super().update
            return members.update(relations, self, values, lambda: write(**values))
        return bulk.update(self, values, lambda rows: models.QuerySet.update(rows, **values))

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(
        self,
        objs: Iterable[Any],
        batch_size: int | None = None,
        ignore_conflicts: bool = False,
        update_conflicts: bool = False,
        update_fields: Collection[str] | None = None,
        unique_fields: Collection[str] | None = None,
    ) -> list[Any]:
        create = super().bulk_create
        if relations := relations_of(self.model):
            return members.create(
                relations,
                self,
                objs,
                lambda made: create(
                    made,
                    batch_size,
                    ignore_conflicts,
                    update_conflicts,
                    update_fields,
                    unique_fields,
                ),
                may_conflict=ignore_conflicts or update_conflicts,
            )
        if not (ignore_conflicts or update_conflicts):
            return bulk.create(self, objs, lambda made: create(made, batch_size))
        return upserts.merge(
            self,
            objs,
            unique_fields,
            lambda made: create(
                made, batch_size, ignore_conflicts, update_conflicts, update_fields, unique_fields
            ),
        )

    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def delete(self) -> Any:
        delete = super().delete
        if self.model._meta.auto_created and (relations := relations_of(self.model)):
            # Whether it ends in ``_raw_delete`` or not: any receiver of deletes prevents that.
            # Rows of a model of the host's own tell by their signals.
            return members.delete(relations, self, self.db, delete)
        return bulk.delete_each(self, delete)

    delete.alters_data = True  # type: ignore[attr-defined]
    delete.queryset_only = True  # type: ignore[attr-defined]

    def _raw_delete(self, using: Any) -> int:
        delete = super()._raw_delete
        if relations := relations_of(self.model):
            return members.delete(relations, self, using, lambda: delete(using))
        return bulk.delete(self, using, lambda: delete(using))

    _raw_delete.alters_data = True  # type: ignore[attr-defined]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _remade(self, super().__reduce_ex__(protocol))


class _AuditedManager(BaseManager):  # type: ignore[type-arg]
    """Outermost: whatever queryset the host's manager makes becomes an audited one."""

    def get_queryset(self, *args: Any, **kwargs: Any) -> QuerySet:
        rows = super().get_queryset(*args, **kwargs)
        rows.__class__ = queryset_class(type(rows))
        return rows

    def __eq__(self, other: object) -> bool:
        """Equal to the manager that it stands for, from either side."""
        if not isinstance(other, _standing_for(type(self))):
            return False
        return bool(self._constructor_args == other._constructor_args)  # type: ignore[attr-defined]

    __hash__ = BaseManager.__hash__

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _remade(self, super().__reduce_ex__(protocol))


class _AuditedOptions(Options):  # type: ignore[type-arg]
    @cached_property
    def managers(self) -> Any:
        return make_immutable_fields_list("managers", map(_audited, super().managers))

    @cached_property
    def base_manager(self) -> Any:
        return _audited(super().base_manager)


def audit_managers(model: ModelClass) -> None:
    """Have the bulk writes of this class recorded. A ``_meta`` of a class of the host's own is
    left alone: see ``sees_bulk_writes``."""
    options = model._meta
    if type(options) is Options:
        options.__class__ = _AuditedOptions
        options._expire_cache()  # type: ignore[attr-defined]
        _forget_related_managers(model)


def sees_bulk_writes(model: ModelClass) -> bool:
    return isinstance(model._meta, _AuditedOptions)


@cache
def queryset_class(host: Any) -> Any:
    if issubclass(host, AuditedQuerySet):
        return host
    bases = (AuditedQuerySet,) if host is models.QuerySet else (host, AuditedQuerySet)
    return _named_like(host, bases)


def _audited(manager: Any) -> Any:
    """A manager of its own: an object of a class that has ``Generic`` before Django's among its
    bases cannot be given another one."""
    kind: Any = type(manager)
    if issubclass(kind, _AuditedManager):
        return manager
    audited: Any = object.__new__(manager_class(kind))
    vars(audited).update(vars(manager))
    return audited


@cache
def manager_class(host: Any) -> Any:
    if issubclass(host, _AuditedManager):
        return host
    # django-stubs looks a manager made by ``from_queryset`` up by the name of its first base.
    base = host.__bases__[0]
    generated = issubclass(base, models.Manager)
    bases = (manager_class(base) if generated else _AuditedManager, host)
    audited = _named_like(host, bases)
    # What a method of the host's manager gets by ``super().get_queryset()``.
    audited._queryset_class = queryset_class(host._queryset_class)
    return audited


def _named_like(host: Any, bases: tuple[Any, ...]) -> Any:
    names = {
        "__module__": host.__module__,
        "__qualname__": host.__qualname__,
        "__doc__": host.__doc__,
        "_auditwebhooks_host": host,
    }
    return type(host.__name__, bases, names)


def _standing_for(audited: Any) -> Any:
    """Its subclasses, such as Django's related managers, stand for themselves."""
    return vars(audited).get("_auditwebhooks_host", audited)


def _remade(instance: Any, reduced: Any) -> Any:
    """A pickle names the host's class; what is loaded from it is audited again."""
    own: Any = type(instance).__reduce__
    if own is not object.__reduce__:
        # The host's own way.
        return reduced
    _function, _arguments, *state = reduced
    return (_make, (_standing_for(type(instance)), isinstance(instance, models.QuerySet)), *state)


def _make(host: Any, is_queryset: bool) -> Any:
    audited = queryset_class(host) if is_queryset else manager_class(host)
    return audited.__new__(audited)


def _forget_related_managers(model: ModelClass) -> None:
    """Related managers are subclasses of the default manager's class; those that an app has used
    already, while apps were loading, are made anew."""
    for relation in model._meta.get_fields(include_hidden=True):
        other = relation.related_model
        for owner in (model, other if isinstance(other, type) else model):
            for descriptor in vars(owner).values():
                if isinstance(descriptor, ReverseManyToOneDescriptor):
                    vars(descriptor).pop("related_manager_cls", None)

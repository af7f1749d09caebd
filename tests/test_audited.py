"""Managers and querysets of audited models: everything of the host's holds as before."""

from __future__ import annotations

import copy
import pickle
from typing import Any, Generic, TypeVar

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import models
from django.db.models.options import Options
from django.test.utils import isolate_apps

from auditwebhooks import checks
from auditwebhooks.capture import audited
from auditwebhooks.models import Event, Webhook
from auditwebhooks.registry import Options as AuditOptions
from auditwebhooks.registry import Registry
from tests.testapp.models import (
    Article,
    ArticleProxy,
    Book,
    BookManager,
    BookQuerySet,
    Cafe,
    Place,
    Restaurant,
    Section,
    Tag,
)

AUDITED = [Article, ArticleProxy, Book, Cafe, Place, Restaurant, Tag, Webhook]


def is_audited(manager: Any) -> bool:
    return isinstance(manager.all(), audited.AuditedQuerySet)


@pytest.mark.parametrize("model", AUDITED)
def test_every_manager_of_an_audited_model_is_seen(model: Any) -> None:
    for manager in (*model._meta.managers, model._base_manager, model._default_manager):
        assert is_audited(manager)
        assert is_audited(manager.db_manager("default"))
        assert is_audited(copy.copy(manager))
        assert manager.model is model


@pytest.mark.parametrize("model", [Section, Event])
def test_other_models_keep_their_classes(model: Any) -> None:
    assert type(model._meta) is Options
    assert not is_audited(model._default_manager)
    assert not is_audited(model._base_manager)
    assert type(Section.objects) is models.Manager
    assert type(Section.objects.all()) is models.QuerySet


def test_the_host_s_classes_stay_what_they_were() -> None:
    assert isinstance(Book.objects, BookManager)
    assert isinstance(Book.everything.all(), BookQuerySet)
    assert isinstance(Book.objects.all().thick(), audited.AuditedQuerySet)
    assert Book._default_manager.name == "objects"
    assert [manager.name for manager in Book._meta.managers] == ["objects", "everything"]
    assert type(Book.everything.all()).__name__ == "BookQuerySet"
    assert type(Book.objects).__qualname__ == "BookManager"


@pytest.mark.django_db
def test_querysets_keep_being_audited_along_the_way() -> None:
    rows = Article.objects.filter(stars=0).exclude(title="").order_by("pk").distinct()
    for one in (rows, rows.values("title"), rows[:3], rows | rows, rows.using("default")):
        assert isinstance(one, audited.AuditedQuerySet)


def test_related_managers_are_audited_though_they_were_used_before() -> None:
    """An app that touched one while apps were loading has cached its class."""
    descriptor = vars(Section)["article_set"]
    assert issubclass(descriptor.related_manager_cls, type(Article._default_manager))
    assert "related_manager_cls" in vars(descriptor)
    audited._forget_related_managers(Article)
    assert "related_manager_cls" not in vars(descriptor)
    assert is_audited(Section(pk=1).article_set)


@pytest.mark.django_db
def test_pickled_querysets_and_managers_are_audited_again() -> None:
    Article.objects.create(title="kept")
    rows = pickle.loads(pickle.dumps(Article.objects.filter(title="kept")))  # noqa: S301

    assert [one.title for one in rows] == ["kept"]
    assert isinstance(rows, audited.AuditedQuerySet)
    manager = pickle.loads(pickle.dumps(Book.objects))  # noqa: S301
    assert is_audited(manager)


@pytest.mark.django_db
def test_related_managers_are_copied_as_what_they_are() -> None:
    """Django does so for create(), using() and db_manager()."""
    section = Section.objects.create(title="News")
    article = section.article_set.create(title="a")
    tag = article.tags.create(name="t")
    other = tag.articles.create(title="b")
    section.article_set.get_or_create(title="c")
    article.tags.update_or_create(name="t", defaults={"weight": 2})

    for manager in (section.article_set, article.tags, tag.articles):
        assert type(manager.db_manager("default")) is type(manager)
        assert type(copy.copy(manager)) is type(manager)
        assert is_audited(manager.db_manager("default"))
    assert list(section.article_set.using("default").order_by("title")) == [
        article,
        *section.article_set.filter(title="c"),
    ]
    assert list(tag.articles.using("default").order_by("pk")) == [article, other]


def test_managers_are_equal_to_those_they_stand_for() -> None:
    plain = copy.copy(Book._meta.local_managers[0])
    assert type(plain) is BookManager
    assert Book.objects == plain
    assert plain == Book.objects
    assert hash(Book.objects) != hash(Tag.objects)


@pytest.mark.django_db
def test_related_managers_create_and_stay_what_they_are() -> None:
    """Django asks a copy of them to create."""
    author: Any = User.objects.create_user("ada")
    book = author.books.create(title="new")
    article = Article.objects.create(title="about it")
    tag, _is_new = article.tags.get_or_create(name="first")
    tag.articles.create(title="another")

    assert list(author.books.all()) == [book]
    assert set(tag.articles.values_list("title", flat=True)) == {"about it", "another"}
    assert type(copy.copy(author.books)) is type(author.books)
    assert author.books == author.books.db_manager("default")
    assert author.article_set != author.membership_set


Row = TypeVar("Row", bound=models.Model)


class TypedMixin(Generic[Row]):
    pass


class TypedQuerySet(TypedMixin[Any], models.QuerySet[Any]):
    pass


class TypedManager(TypedMixin[Any], models.Manager[Any]):
    def __init__(self, shelf: str) -> None:
        super().__init__()
        self.shelf = shelf

    def get_queryset(self) -> TypedQuerySet:
        return TypedQuerySet(self.model, using=self._db)


@isolate_apps("tests.testapp")
def test_managers_may_have_bases_of_another_layout() -> None:
    """As those of django-model-utils have."""

    class Shelf(models.Model):  # noqa: DJ008
        objects = TypedManager("upper")
        lower = TypedManager.from_queryset(TypedQuerySet)("lower")

        class Meta:
            app_label = "testapp"
            base_manager_name = "lower"

    audited.audit_managers(Shelf)

    assert is_audited(Shelf.objects)
    assert is_audited(Shelf.lower)
    assert Shelf._base_manager is Shelf.lower
    assert isinstance(Shelf.objects, TypedManager)
    assert isinstance(Shelf.objects.all(), TypedQuerySet)
    assert (Shelf.objects.shelf, Shelf.lower.shelf) == ("upper", "lower")


@pytest.mark.django_db
def test_migrations_see_the_host_s_managers() -> None:
    assert Book.objects.deconstruct()[1] == "tests.testapp.models.BookManager"
    as_manager, _manager, queryset, _args, _kwargs = Book.everything.deconstruct()
    assert (as_manager, queryset) == (True, "tests.testapp.models.BookQuerySet")
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_asynchronous_writes_are_recorded() -> None:
    async def write() -> None:
        await Tag.objects.abulk_create([Tag(name="a")])
        await Tag.objects.aupdate(weight=3)
        await Tag.objects.acreate(name="b")
        tag = await Tag.objects.aget(name="a")
        tag.weight = 4
        await tag.asave()
        await Tag.objects.filter(name="a").adelete()

    async_to_sync(write)()

    assert list(Event.objects.order_by("id").values_list("action", "target_name")) == [
        ("create", "a"),
        ("update", "a"),
        ("create", "b"),
        ("update", "a"),
        ("delete", "a"),
    ]


def test_a_meta_class_of_the_host_s_own_is_left_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    class OwnOptions(Options):
        pass

    monkeypatch.setattr(Section._meta, "__class__", OwnOptions)
    registry = Registry()
    registry.add(Section, AuditOptions())
    monkeypatch.setattr(checks, "registry", registry)
    audited.audit_managers(Section)

    assert type(Section._meta) is OwnOptions
    [warning] = checks.check_models(None)
    assert warning.id == "auditwebhooks.W009"
    assert "testapp.Section" in warning.msg

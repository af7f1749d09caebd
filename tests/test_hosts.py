"""What hosts do around their writes: handlers, managers and querysets of their own. Nothing of
theirs changes, and every write is still told once."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Case, F, Value, When
from django.db.models.functions import Upper
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.dispatch import Signal
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject

import auditwebhooks
from auditwebhooks.capture.audited import manager_class, queryset_class
from auditwebhooks.context import Context, within
from auditwebhooks.models import Event
from auditwebhooks.receivers import changes
from auditwebhooks.registry import Options
from auditwebhooks.rows import take_write_lock
from tests.testapp.models import Article, Book, Draft, Membership, Seat, Tag, Team

pytestmark = pytest.mark.django_db


def told() -> list[tuple[str, str | None, Any]]:
    return [
        (one.action, one.target_id, one.payload["data"]["metadata"].get("changed_fields"))
        for one in Event.objects.order_by("id")
    ]


@contextmanager
def listening(signal: Signal, handler: Callable[..., Any], sender: Any = None) -> Iterator[None]:
    signal.connect(handler, sender)
    try:
        yield
    finally:
        signal.disconnect(handler, sender)


@pytest.fixture
def article() -> Article:
    with auditwebhooks.paused():
        article = Article.objects.create(title="a")
        article.tags.add(Tag.objects.create(name="t"))
    return article


# --- managers and querysets ---------------------------------------------------------------


class _Shelf(models.Manager[Book]):
    def get_queryset(self, lost: bool = False) -> Any:
        return super().get_queryset().filter(lost=lost)

    def lost(self) -> Any:
        return self.get_queryset(lost=True)

    def whole(self) -> Any:
        return super().get_queryset()


def shelf() -> Any:
    manager = _Shelf()
    manager.model = Book
    manager.__class__ = manager_class(_Shelf)
    return manager


def test_a_manager_may_take_arguments() -> None:
    with auditwebhooks.paused():
        Book.everything.create(title="Lost", lost=True)
    assert shelf().lost().update(pages=1) == 1
    assert [changed for _action, _key, changed in told()] == [["pages"]]


def test_what_a_manager_gets_from_its_parent_is_audited() -> None:
    with auditwebhooks.paused():
        Book.everything.create(title="Lost", lost=True)
    assert shelf().whole().update(pages=1) == 1
    assert [changed for _action, _key, changed in told()] == [["pages"]]


class _Own(models.QuerySet[Article]):
    def __reduce__(self) -> Any:
        return (str, ("the host's own",))

    def filter(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the host's own filter is not asked")


def test_a_queryset_with_a_pickle_of_its_own_keeps_it() -> None:
    rows = queryset_class(_Own)(Article)
    assert pickle.loads(pickle.dumps(rows)) == "the host's own"  # noqa: S301


def test_updated_rows_are_read_anew_and_the_host_s_filter_is_not_asked(article: Article) -> None:
    rows = queryset_class(_Own)(Article)
    assert [one.stars for one in rows] == [0]
    assert rows.update(stars=5) == 1
    assert [one.stars for one in rows] == [5]
    assert rows._for_write


def test_locks_of_the_host_do_not_reach_a_subquery(article: Article) -> None:
    with transaction.atomic():
        rows = Article.objects.select_for_update()
        assert rows.distinct().update(stars=1) == 1
        assert rows.annotate(more=F("stars") + 1).update(stars=2) == 1


def test_a_first_column_that_the_database_makes_is_not_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if connection.vendor != "sqlite":
        pytest.skip("only SQLite has no row locks")
    monkeypatch.setattr(Article._meta.local_concrete_fields[0], "generated", True)
    with transaction.atomic():
        take_write_lock(connection, Article)


# --- saves --------------------------------------------------------------------------------


def test_update_fields_may_name_the_column(article: Article) -> None:
    with auditwebhooks.paused():
        ada = User.objects.create(username="ada")
    article.author_id = ada.pk
    article.save(update_fields=["author_id"])
    assert told() == [("update", str(article.pk), ["author"])]


def test_a_forced_update_is_no_create() -> None:
    with auditwebhooks.paused():
        draft = Draft.objects.create(text="old")
    Draft(id=draft.pk, text="new").save(force_update=True)
    assert told() == [("update", str(draft.pk), ["text"])]


def test_a_decimal_is_told_as_the_database_rounds_it() -> None:
    article = Article.objects.create(title="x", price=Decimal("1.005"))
    stored = str(Article.objects.get(pk=article.pk).price)
    [event] = Event.objects.all()
    assert event.payload["data"]["current_target_object"]["price"] == stored


def test_a_key_given_as_text_finds_its_row() -> None:
    Article.objects.bulk_create([Article(pk="500", title=Upper(Value("x")))])
    [event] = Event.objects.all()
    assert event.payload["data"]["current_target_object"]["title"] == "X"


# --- handlers -----------------------------------------------------------------------------


def test_a_receiver_of_all_deletes_does_not_hide_members(article: Article) -> None:
    tag = article.tags.get()
    for signal in (pre_delete, post_delete):
        with listening(signal, lambda **kwargs: None):
            article.tags.remove(tag)
        article.tags.add(tag)
    key = str(article.pk)
    assert told() == [("update", key, ["tags"])] * 4


def test_a_delete_that_failed_hides_nothing_later(article: Article) -> None:
    def refuse(**kwargs: Any) -> None:
        raise RuntimeError

    with (
        listening(pre_delete, refuse, Article),
        pytest.raises(RuntimeError),
        transaction.atomic(),
    ):
        article.delete()
    article.tags.clear()
    article.delete()
    key = str(article.pk or Event.objects.latest("id").target_id)
    assert told() == [("update", key, ["tags"]), ("delete", key, None)]


def test_a_delete_that_a_receiver_rolls_back_is_not_told(article: Article) -> None:
    with auditwebhooks.paused():
        other = Tag.objects.create(name="other")

    def try_it(**kwargs: Any) -> None:
        try:
            with transaction.atomic():
                Tag.objects.get(pk=other.pk).delete()
                raise ValueError
        except ValueError:
            pass

    with listening(pre_delete, try_it, Article):
        Article.objects.all().delete()
    assert Tag.objects.filter(pk=other.pk).exists()
    assert [action for action, _key, _changed in told()] == ["delete"]


def test_a_row_that_a_receiver_updates_first_is_told_as_it_was() -> None:
    with auditwebhooks.paused():
        for number in range(3):
            Article.objects.create(title=str(number))

    def touch(instance: Article, **kwargs: Any) -> None:
        Article.objects.filter(stars=0).exclude(pk=instance.pk).update(stars=5)

    with listening(pre_delete, touch, Article):
        Article.objects.order_by("pk").delete()
    deleted = [
        one.payload["data"]["previous_target_object"]["stars"]
        for one in Event.objects.filter(action="delete").order_by("id")
    ]
    assert sorted(deleted) == [0, 5, 5]


@contextmanager
def listening_before_us(signal: Signal, handler: Callable[..., Any]) -> Iterator[None]:
    """As a receiver in the host's models.py, which is connected while apps are loading."""
    ours = signal.receivers
    signal.receivers = []
    signal.connect(handler, Article)
    signal.receivers += ours
    changes.connect(Article, Options())
    try:
        yield
    finally:
        signal.disconnect(handler, Article)


def test_what_a_receiver_writes_is_told_after_the_change_that_it_follows() -> None:
    def save(instance: Article, **kwargs: Any) -> None:
        if instance.stars < 2:
            instance.stars += 1
            instance.save()

    with listening_before_us(post_save, save):
        article = Article.objects.create(title="a")
    told = [one.payload["data"] for one in Event.objects.order_by("id")]
    assert [one["action"] for one in told] == ["create", "update", "update"]
    assert [one["current_target_object"]["stars"] for one in told] == [0, 1, 2]
    assert [one["previous_target_object"]["stars"] for one in told[1:]] == [0, 1]

    def update(instance: Article, **kwargs: Any) -> None:
        Article.objects.filter(pk=instance.pk).update(stars=9)

    article.title = "b"
    with listening_before_us(post_save, update):
        article.save()
    told = [one.payload["data"] for one in Event.objects.order_by("id")][3:]
    assert [one["metadata"]["changed_fields"] for one in told] == [["title"], ["stars"]]


def test_what_a_receiver_writes_before_the_save_is_not_told_again(article: Article) -> None:
    def update(**kwargs: Any) -> None:
        Article.objects.filter(pk=article.pk).update(stars=5)

    article.title = "b"
    with listening(pre_save, update, Article):
        article.save(update_fields=["title"])
    told = [one.payload["data"] for one in Event.objects.order_by("id")]
    assert [one["metadata"]["changed_fields"] for one in told] == [["stars"], ["title"]]
    assert told[1]["previous_target_object"] == told[0]["current_target_object"]
    assert told[1]["current_target_object"]["stars"] == 5


def test_what_a_receiver_makes_of_a_deleted_row_is_told_after_it(article: Article) -> None:
    def remake(instance: Article, **kwargs: Any) -> None:
        Article.objects.create(pk=instance.pk, title="again")

    with listening_before_us(post_delete, remake):
        article.delete()
    assert [action for action, _key, _changed in told()] == ["delete", "create"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("signal", [pre_save, post_save])
def test_an_error_that_a_receiver_catches_does_not_take_the_save_along(signal: Signal) -> None:
    """Without us its own write would have stood alone."""
    Tag.objects.create(name="there")

    def try_it(instance: Article, **kwargs: Any) -> None:
        with suppress(IntegrityError):
            Tag(name="there").save()

    with listening(signal, try_it, Article):
        Article.objects.create(title="kept")
    assert Article.objects.get().title == "kept"
    assert told()[-1][0] == "create"


@pytest.mark.django_db(transaction=True)
def test_a_loss_that_a_receiver_caused_is_told_and_not_silent() -> None:
    """A caught error of a model that is not audited has no savepoint."""

    def break_it(**kwargs: Any) -> None:
        transaction.set_rollback(True)

    with (
        listening(post_save, break_it, Article),
        pytest.raises(transaction.TransactionManagementError, match="signal receiver"),
    ):
        Article.objects.create(title="lost")
    assert not Article.objects.exists()
    assert told() == []


# --- keys and rows in between -------------------------------------------------------------


def test_an_update_of_a_key_is_told_with_what_is_known() -> None:
    with auditwebhooks.paused():
        Seat.objects.create(row="A", number=1)
    Seat.objects.filter(row="A").update(row="B")
    [event] = Event.objects.all()
    data = event.payload["data"]
    assert told() == [("update", '["A",1]', ["row"])]
    assert data["previous_target_object"]["row"] == "A"
    assert data["current_target_object"] is None
    assert data["metadata"]["incomplete"] == "key"


def test_rows_that_take_each_other_s_keys_are_told_each() -> None:
    with auditwebhooks.paused():
        for number in (1, 2):
            Seat.objects.create(row="A", number=number)
    # So that no database meets one key twice on the way.
    Seat.objects.order_by("number").update(
        number=Case(When(number=1, then=Value(0)), default=F("number") - 1)
    )
    assert told() == [("update", '["A",1]', ["number"]), ("update", '["A",2]', ["number"])]


def test_rows_in_between_that_conflict_are_told_as_they_are() -> None:
    with auditwebhooks.paused():
        ada = User.objects.create(username="ada")
        team = Team.objects.create(name="Red")
    made = Membership(pk=7, team=team, user=ada)
    Membership.objects.bulk_create([made], ignore_conflicts=True)
    with auditwebhooks.paused():
        bob = User.objects.create(username="bob")
    Membership.objects.bulk_create([Membership(pk=7, team=team, user=bob)], ignore_conflicts=True)
    assert told() == [("update", str(team.pk), ["members"])]


def test_a_bulk_update_of_rows_in_between_tells_the_old_owner() -> None:
    with auditwebhooks.paused():
        ada = User.objects.create(username="ada")
        red, blue = Team.objects.create(name="Red"), Team.objects.create(name="Blue")
        membership = Membership.objects.create(team=red, user=ada)
    membership.team = blue
    Membership.objects.bulk_update([membership], ["team"])
    assert told() == [("update", str(red.pk), ["members"])]


# --- who acts -----------------------------------------------------------------------------


def test_whoever_asks_for_the_user_may_write() -> None:
    """As an authentication backend that keeps when somebody was last seen."""
    with auditwebhooks.paused():
        ada = User.objects.create(username="ada")

    def load() -> User:
        User.objects.filter(pk=ada.pk).update(first_name="Seen")
        return User.objects.get(pk=ada.pk)

    request = RequestFactory().get("/")
    request.user = SimpleLazyObject(load)  # type: ignore[assignment]
    with within(Context(request=request)):
        Article.objects.create(title="a")
    actors = [(one.event_type, one.actor_id) for one in Event.objects.order_by("id")]
    assert actors == [("auth.user.updated", "system"), ("testapp.article.created", "ada")]


@pytest.mark.parametrize(
    "write",
    [
        lambda article: Tag.objects.bulk_create([Tag(name="x")]),
        lambda article: Tag.objects.bulk_create([Tag(name="x")], ignore_conflicts=True),
        lambda article: Article.objects.update(stars=9),
        lambda article: Article.objects.all().delete(),
        lambda article: article.tags.clear(),
        lambda article: article.tags.get().articles.clear(),
    ],
)
def test_a_user_who_was_not_asked_for_yet_is_known_in_bulk_writes(
    article: Article, write: Callable[[Article], object], rf: RequestFactory
) -> None:
    """Names are told without a query; the user of a session takes one."""
    with auditwebhooks.paused():
        ada = User.objects.create(username="ada")
    request = rf.post("/")
    request.user = SimpleLazyObject(lambda: User.objects.get(pk=ada.pk))
    with within(Context(request=request)):
        write(article)
    assert set(Event.objects.values_list("actor_id", flat=True)) == {"ada"}

"""The UPDATE and the DELETE of one row tell how it stood before."""

from __future__ import annotations

import copy
import pickle
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, models, transaction
from django.db.models import F, Value
from django.db.models.functions import Concat, Upper
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.test.utils import CaptureQueriesContext

import auditwebhooks
from auditwebhooks import instrument, rows
from auditwebhooks.capture import writes
from auditwebhooks.models import Event
from tests.testapp.models import Article, ArticleProxy, Cafe, Everything, Place, Seat, Tag

pytestmark = pytest.mark.django_db

ON_POSTGRESQL = connection.vendor == "postgresql"


def last() -> dict[str, Any]:
    event = Event.objects.order_by("id").last()
    assert event is not None
    data: dict[str, Any] = event.payload["data"]
    return data


def previous() -> dict[str, Any]:
    row: dict[str, Any] = last()["previous_target_object"]
    return row


def statements(write: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        write()
    return [query["sql"] for query in queries]


@contextmanager
def receiving(signal: Any, function: Callable[..., None]) -> Iterator[None]:
    signal.connect(function, Article)
    try:
        yield
    finally:
        signal.disconnect(function, Article)


def meanwhile(function: Callable[[], Any]) -> None:
    """On a connection of its own, to the end."""

    def run() -> None:
        try:
            function()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


@pytest.fixture
def article() -> Article:
    return Article.objects.create(title="a")


def _pickled(instance: Any) -> Any:
    return pickle.loads(pickle.dumps(instance))  # noqa: S301 - made here


def everything() -> Everything:
    with auditwebhooks.paused():
        made = Everything.objects.create(
            flag=True,
            number=2**40,
            ratio=0.1,
            amount=Decimal("12.3400"),
            day=date(2026, 2, 3),
            moment=datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC),
            clock=time(1, 2, 3, 4),
            span=timedelta(days=1, microseconds=2),
            key=uuid.UUID(int=7),
            blob=b"\x00\x01",
            file="a/b.txt",
            data={"a": [1, None, "x"], "b": {"c": 1.5}},
            address="2001:db8::1",
        )
    return Everything.objects.get(pk=made.pk)


TOLD = {
    "flag": True,
    "number": 2**40,
    "ratio": 0.1,
    "amount": "12.3400",
    "day": "2026-02-03",
    "moment": "2026-02-03T04:05:06.000789Z",
    "clock": "01:02:03.000004",
    "span": "P1DT00H00M00.000002S",
    "key": str(uuid.UUID(int=7)),
    "file": "a/b.txt",
    "data": {"a": [1, None, "x"], "b": {"c": 1.5}},
    "address": "2001:db8::1",
}


@pytest.mark.parametrize("write", ["update", "delete"])
def test_every_kind_of_value_is_told_as_it_was(write: str) -> None:
    row = everything()
    if write == "update":
        row.flag = False
        row.save()
    else:
        row.delete()

    told = previous()
    assert {name: told[name] for name in TOLD} == TOLD
    assert told["blob"]["bytes"] == 2


def test_what_the_last_writer_left_is_told_and_not_what_memory_holds() -> None:
    article = Article.objects.create(title="in memory")
    models.QuerySet(Article).filter(pk=article.pk).update(title="in the database", stars=3)

    article.stars = 4
    article.save(update_fields=["stars"])
    assert (previous()["title"], previous()["stars"]) == ("in the database", 3)
    assert last()["current_target_object"]["title"] == "in the database"

    article.delete()
    assert (previous()["title"], previous()["stars"]) == ("in the database", 4)


@pytest.mark.parametrize(
    ("value", "becomes"),
    [
        (F("title"), "old"),
        (Upper("title"), "OLD"),
        (Concat(F("title"), Value("er")), "older"),
        (Value("100 %s"), "100 %s"),
        ("100%", "100%"),
    ],
)
def test_expressions_are_written_as_django_writes_them(value: Any, becomes: str) -> None:
    article = Article.objects.create(title="old")
    article.title = value
    article.stars = 1
    article.save()

    article.refresh_from_db()
    assert article.title == becomes
    assert previous()["title"] == "old"
    assert last()["current_target_object"]["title"] == becomes


def test_an_update_that_finds_no_row_is_a_create_or_fails_as_without_audit() -> None:
    Article(pk=12345, title="by hand").save()
    assert (last()["action"], last()["target_id"]) == ("create", "12345")

    recorded = Event.objects.count()
    gone = Article(pk=54321, title="gone")
    with pytest.raises(DatabaseError), transaction.atomic():
        gone.save(force_update=True)
    with pytest.raises(DatabaseError), transaction.atomic():
        gone.save(update_fields=["title"])
    assert Event.objects.count() == recorded
    assert gone.__dict__.keys() == Article(pk=1).__dict__.keys()


def test_a_row_that_another_has_deleted_is_not_told_again() -> None:
    article = Article.objects.create(title="a")
    same = Article.objects.get(pk=article.pk)
    assert article.delete()[0] == 1
    recorded = Event.objects.count()

    assert same.delete()[0] == 0
    assert Event.objects.count() == recorded


def test_deletes_count_rows_as_without_audit() -> None:
    article = Article.objects.create(title="a")
    article.tags.set([Tag.objects.create(name="x"), Tag.objects.create(name="y")])

    assert article.delete() == (3, {"testapp.Article": 1, "testapp.Article_tags": 2})


def test_a_proxy_a_child_and_a_composite_key_are_told_too() -> None:
    proxy = ArticleProxy.objects.create(title="proxy")
    proxy.title = "changed"
    proxy.save()
    assert previous()["title"] == "proxy"
    proxy.delete()
    assert (last()["action"], previous()["title"]) == ("delete", "changed")

    cafe = Cafe.objects.create(name="cafe", seats=2)
    Place.objects.filter(pk=cafe.pk).update(name="place")
    cafe = Cafe.objects.get(pk=cafe.pk)
    cafe.seats = 3
    cafe.save()
    assert (previous()["name"], previous()["seats"]) == ("place", 2)
    cafe.delete()
    assert (last()["action"], previous()["seats"]) == ("delete", 3)

    keys = {
        one.name: 1
        for one in Seat._meta.concrete_fields
        if not one.has_default() and one.get_internal_type() in ("IntegerField", "BigIntegerField")
    }
    seat = Seat.objects.create(**keys)
    seat.delete()
    assert last()["action"] == "delete"


def test_no_statement_of_its_own_reads_the_row() -> None:
    article = Article.objects.create(title="a")
    article.title = "b"
    update, delete = statements(article.save), statements(article.delete)

    reads = [one for one in (*update, *delete) if one.startswith("SELECT")]
    # Elsewhere the UPDATE cannot tell.
    assert len(reads) == (0 if ON_POSTGRESQL else 1)
    assert not [one for one in delete if one.startswith("SELECT")]


@pytest.mark.parametrize("change", ["filtering", "annotating"])
def test_a_base_manager_of_the_hosts_own_is_asked(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Own(models.Manager[Any]):
        def get_queryset(self) -> Any:
            every = super().get_queryset()
            if change == "filtering":
                return every.exclude(title="hidden")
            return every.annotate(loud=Upper("title"))

    shown, hidden = (Article.objects.create(title=one) for one in ("shown", "hidden"))
    own = Own()
    own.model = Article
    own.name = "own"
    monkeypatch.setitem(Article._meta.__dict__, "base_manager", own)
    shown.stars = hidden.stars = 5
    shown.save(update_fields=["stars"])
    assert (previous()["stars"], last()["current_target_object"]["stars"]) == (0, 5)

    if change == "filtering":
        recorded = Event.objects.count()
        with pytest.raises(DatabaseError), transaction.atomic():
            hidden.save(update_fields=["stars"])
        assert Event.objects.count() == recorded


def test_django_looks_first_where_the_host_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    article = Article.objects.create(title="a")
    monkeypatch.setattr(Article._meta, "select_on_save", True)
    article.title = "b"
    article.save()

    assert (previous()["title"], last()["current_target_object"]["title"]) == ("a", "b")


@pytest.mark.parametrize("write", ["update", "delete"])
def test_what_is_not_managed_is_read_by_itself(
    write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a view."""
    article = Article.objects.create(title="a")
    monkeypatch.setattr(Article._meta, "managed", False)
    article.title = "b"
    done = statements(article.save if write == "update" else article.delete)

    assert len([one for one in done if one.startswith("SELECT")]) == 1
    assert previous()["title"] == "a"


def test_a_failed_delete_leaves_nothing_behind() -> None:
    article = Article.objects.create(title="a")
    recorded = Event.objects.count()

    def refuse(**kwargs: Any) -> None:
        raise ZeroDivisionError

    with (
        receiving(pre_delete, refuse),
        pytest.raises(ZeroDivisionError),
        transaction.atomic(),
    ):
        article.delete()

    assert connection.execute_wrappers == []
    assert article.__dict__.keys() == Article.objects.get(pk=article.pk).__dict__.keys()
    assert Event.objects.count() == recorded


def test_the_hosts_own_wrappers_stay() -> None:
    article = Article.objects.create(title="a")
    seen: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        article.delete()
        assert connection.execute_wrappers == [watch]
    assert any(one.startswith("DELETE") for one in seen)
    assert previous()["title"] == "a"


@pytest.mark.parametrize("name", ["set_null", "another_row"])
def test_other_statements_on_the_table_before_the_delete_are_no_part_of_it(name: str) -> None:
    """As Django sets a key to NULL, in a row that goes as well."""
    article, other = (Article.objects.create(title=one) for one in ("a", "other"))
    plain = models.QuerySet(Article)

    def write(instance: Article, **kwargs: Any) -> None:
        if name == "set_null":
            plain.filter(pk=article.pk).update(title="on its way out")
        elif instance.pk == article.pk:
            other.delete()

    with receiving(pre_delete, write):
        article.delete()

    told = [one.payload["data"] for one in Event.objects.order_by("id")]
    deleted = [one["previous_target_object"]["title"] for one in told if one["action"] == "delete"]
    assert deleted == (["a"] if name == "set_null" else ["other", "a"])


def test_many_rows_that_go_at_once_are_each_told() -> None:
    tags = [Tag.objects.create(name=str(number)) for number in range(3)]
    article = Article.objects.create(title="a")
    article.tags.set(tags)
    recorded = Event.objects.count()

    Tag.objects.all().delete()

    told = [one.payload["data"] for one in Event.objects.order_by("id")][recorded:]
    names = [one["previous_target_object"]["name"] for one in told if one["action"] == "delete"]
    assert sorted(names) == ["0", "1", "2"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("write", ["update", "delete"])
def test_what_another_commits_before_the_write_is_told(write: str) -> None:
    article = Article.objects.create(title="a")

    def change() -> None:
        Article.objects.filter(pk=article.pk).update(stars=7)

    def interfere(**kwargs: Any) -> None:
        meanwhile(change)

    if write == "update" and not ON_POSTGRESQL:
        # There the row is locked by the time that receivers of the host come.
        with auditwebhooks.paused():
            meanwhile(change)
        article.title = "b"
        article.save()
    else:
        with receiving(pre_save if write == "update" else pre_delete, interfere):
            article.title = "b"
            article.save(update_fields=["title"]) if write == "update" else article.delete()

    assert previous()["stars"] == 7
    assert previous()["title"] == "a"


@pytest.mark.django_db(transaction=True)
def test_two_who_delete_one_row_tell_it_once() -> None:
    article = Article.objects.create(title="a")
    same = Article.objects.get(pk=article.pk)
    counts: list[int] = []

    def faster(instance: Article, **kwargs: Any) -> None:
        if instance is article:
            meanwhile(lambda: counts.append(same.delete()[0]))

    with receiving(pre_delete, faster):
        counts.append(article.delete()[0])

    assert counts == [1, 0]
    assert Event.objects.filter(action="delete").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("first", [0, 1])
def test_of_two_deletes_under_way_the_one_that_deletes_is_told(first: int) -> None:
    article = Article.objects.create(title="a")
    both = [Article.objects.get(pk=article.pk) for _ in range(2)]
    reached, go = ([threading.Event(), threading.Event()] for _ in range(2))

    def pause(instance: Article, **kwargs: Any) -> None:
        number = 0 if instance is both[0] else 1
        reached[number].set()
        assert go[number].wait(30)

    def delete(number: int) -> None:
        try:
            both[number].delete()
        finally:
            connection.close()

    with receiving(pre_delete, pause):
        threads = [threading.Thread(target=delete, args=(number,)) for number in range(2)]
        for number in range(2):
            threads[number].start()
            assert reached[number].wait(30)
        for number in (first, 1 - first):
            go[number].set()
            threads[number].join(30)

    assert Event.objects.filter(action="delete").count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "sqlite", reason="only SQLite has one writer at a time")
def test_the_write_lock_is_taken_once_in_a_transaction() -> None:
    def locks(write: Callable[[], Any]) -> int:
        return len([one for one in statements(write) if one.endswith("WHERE 0")])

    article = Article.objects.create(title="a")

    def save() -> None:
        article.title += "x"
        article.save()

    assert locks(save) == 1
    with transaction.atomic():
        assert (locks(save), locks(save)) == (1, 0)
        # A hook of the host's own hides what is known.
        transaction.on_commit(lambda: None)
        assert (locks(save), locks(save)) == (1, 0)
        transaction.set_rollback(True)
    with transaction.atomic():
        with suppress(ZeroDivisionError), transaction.atomic():
            save()
            raise ZeroDivisionError
        assert locks(save) == 1


def test_a_database_that_returns_no_rows_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """MySQL."""
    monkeypatch.setattr(writes, "_deletes_return_rows", lambda connection: False)
    article = Article.objects.create(title="a")

    done = statements(article.delete)

    assert len([one for one in done if one.startswith("SELECT")]) == 1
    assert previous()["title"] == "a"


@pytest.mark.parametrize("write", ["update", "delete"])
def test_a_field_that_cannot_be_read_back_does_not_fail_the_write(
    write: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    article = Article.objects.create(title="a")
    recorded = Event.objects.count()

    def explode(*args: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(rows.Fetched, "values", explode)
    article.title = "b"
    article.save() if write == "update" else article.delete()

    assert "could not be recorded" in caplog.text
    assert Event.objects.count() == recorded
    assert list(Article.objects.values_list("title")) == ([("b",)] if write == "update" else [])


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, _pickled])
@pytest.mark.parametrize("signal", [pre_save, post_save, pre_delete, post_delete])
def test_a_receiver_may_copy_the_instance(
    signal: Any, duplicate: Callable[[Any], Any], article: Article
) -> None:
    """As it is given to a task."""
    copies: list[Article] = []

    def keep(instance: Article, **kwargs: Any) -> None:
        copies.append(duplicate(instance))

    article.stars = 5
    with receiving(signal, keep):
        article.save() if signal in (pre_save, post_save) else article.delete()

    [kept] = copies
    before = Event.objects.count()
    kept.title = "kept"
    kept.save(force_insert=Article.objects.count() == 0)
    kept.delete()
    assert previous()["title"] == "kept"
    assert Event.objects.count() == before + 2


def test_a_wrapper_that_a_new_connection_gets_meanwhile_stays(article: Article) -> None:
    def late(execute: Any, *args: Any) -> Any:
        return execute(*args)

    def connected(**kwargs: Any) -> None:
        connection.execute_wrappers.append(late)

    with receiving(pre_delete, connected):
        article.delete()
    wrappers = list(connection.execute_wrappers)
    connection.execute_wrappers.clear()
    assert wrappers == [late]


@pytest.mark.skipif(not ON_POSTGRESQL, reason="psycopg's")
def test_a_receiver_may_execute_what_is_no_text(article: Article) -> None:
    from psycopg import sql  # noqa: PLC0415 - PostgreSQL only

    def ask(**kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("SELECT 1"))  # type: ignore[arg-type]

    with receiving(pre_delete, ask):
        article.delete()
    assert previous()["title"] == "a"


def test_a_hosts_own_update_writes_the_row(table: Callable[[Any], Any]) -> None:
    class Versioned(models.Model):  # noqa: DJ008 - is never shown
        version = models.IntegerField(default=0)
        name = models.CharField(max_length=9)

        class Meta:
            app_label = "testapp"

        def _do_update(self, base_qs: Any, *args: Any) -> Any:
            rows = base_qs.filter(version=self.version)
            return super()._do_update(rows, *args)  # type: ignore[misc]

    table(Versioned)
    stale = Versioned.objects.create(name="a")
    Versioned.objects.update(version=1)
    stale.name = "b"
    with pytest.raises(DatabaseError):
        stale.save(update_fields=["name"])
    assert Versioned.objects.get().name == "a"


def test_a_generated_field_follows_what_was_written(table: Callable[[Any], Any]) -> None:
    class Doubled(models.Model):  # noqa: DJ008 - is never shown
        number = models.IntegerField()
        double = models.GeneratedField(
            expression=F("number") * 2, output_field=models.IntegerField(), db_persist=True
        )

        class Meta:
            app_label = "testapp"

    table(Doubled)
    doubled = Doubled.objects.get(pk=Doubled.objects.create(number=1).pk)
    doubled.number = 2
    doubled.save(update_fields=["number"])
    assert (previous()["double"], last()["current_target_object"]["double"]) == (2, 4)
    assert last()["metadata"]["changed_fields"] == ["number", "double"]


class LowerField(models.CharField):  # type: ignore[type-arg]
    def get_prep_value(self, value: Any) -> Any:
        return str(super().get_prep_value(value)).lower()


@pytest.mark.parametrize("many", [True, False])
def test_what_a_hosts_field_stores_is_told(table: Callable[[Any], Any], many: bool) -> None:
    class Contact(models.Model):  # noqa: DJ008 - is never shown
        email = LowerField(max_length=20)
        name = models.CharField(max_length=20)

        class Meta:
            app_label = "testapp"

    table(Contact)
    contact = Contact(email="Ada@example.com", name="Ada")
    Contact.objects.bulk_create([contact]) if many else contact.save()
    assert last()["current_target_object"]["email"] == "ada@example.com"

    contact = Contact.objects.get()
    contact.email, contact.name = "ADA@example.com", "ada"
    contact.save()
    assert last()["metadata"]["changed_fields"] == ["name"]
    count = Event.objects.count()
    contact.save()
    assert Event.objects.count() == count


def test_more_digits_than_a_database_keeps_are_told_as_it_has_them() -> None:
    one = Everything.objects.create(amount=Decimal("1234567890123456.7891"))
    stored = str(Everything.objects.get().amount)
    assert last()["current_target_object"]["amount"] == stored
    one.amount = 1234567890123457
    one.save(update_fields=["amount"])
    assert last()["current_target_object"]["amount"] == str(Everything.objects.get().amount)


@pytest.mark.skipif(not ON_POSTGRESQL, reason="PostgreSQL's fields")
def test_fields_of_postgresql_are_told_as_it_stores_them(table: Callable[[Any], Any]) -> None:
    from django.contrib.postgres import fields  # noqa: PLC0415 - PostgreSQL only
    from django.db.backends.postgresql.psycopg_any import NumericRange  # noqa: PLC0415

    class Sale(models.Model):  # noqa: DJ008 - is never shown
        pieces = fields.IntegerRangeField()
        prices = fields.ArrayField(models.DecimalField(max_digits=5, decimal_places=2))

        class Meta:
            app_label = "testapp"

    table(Sale)
    sale = Sale.objects.create(pieces=NumericRange(1, 5, "[]"), prices=[Decimal(1)])
    assert last()["current_target_object"]["pieces"] == "[1, 6)"
    assert last()["current_target_object"]["prices"] == ["1.00"]
    sale.save()
    assert Event.objects.count() == 1


@pytest.mark.parametrize(
    ("delete", "arguments"),
    [
        (lambda self: models.Model.delete(self), {}),
        (lambda self, *, hard: models.Model.delete(self), {"hard": True}),
        (lambda self, by: models.Model.delete(self), {"by": "ada"}),
    ],
)
def test_a_hosts_own_delete_takes_its_own_arguments(
    delete: Callable[..., Any], arguments: dict[str, Any], article: Article
) -> None:
    watched = instrument._watched(delete)
    watched(article, **arguments)
    assert not Article.objects.exists()
    assert previous()["title"] == "a"


def test_a_hosts_own_delete_may_take_anything_first(article: Article) -> None:
    instrument._watched(lambda self, by: models.Model.delete(self))(article, article)
    assert previous()["title"] == "a"

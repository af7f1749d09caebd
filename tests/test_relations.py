"""Writes by way of relations: related managers, generic relations, inheritance, formsets."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection, models, transaction
from django.forms import inlineformset_factory, modelform_factory, modelformset_factory
from django.test.utils import isolate_apps

import auditwebhooks
from auditwebhooks import instrument
from auditwebhooks.models import Event
from auditwebhooks.receivers import changes
from auditwebhooks.registry import Options
from tests.testapp.models import (
    Article,
    Building,
    House,
    Note,
    Place,
    Plain,
    Restaurant,
    Section,
    Tag,
    Topic,
)

pytestmark = pytest.mark.django_db

Told = list[tuple[str, Any, Any]]


def told(field: str) -> Told:
    """Event type, and the field before and after, of each event."""
    found = []
    for event in Event.objects.order_by("id"):
        data = event.payload["data"]
        before, after = data["previous_target_object"], data["current_target_object"]
        found.append((event.event_type, before and before[field], after and after[field]))
    return found


@pytest.fixture
def section() -> Section:
    return Section.objects.create(title="News")


@pytest.fixture
def article() -> Article:
    with auditwebhooks.paused():
        return Article.objects.create(title="a")


@pytest.fixture
def topic() -> Topic:
    """With two notes."""
    with auditwebhooks.paused():
        topic = Topic.objects.create(title="t")
        topic.notes.create(text="one")
        topic.notes.create(text="two")
    return topic


# --- related managers of a foreign key ----------------------------------------------------

UPDATED = "testapp.article.updated"


@pytest.mark.parametrize("bulk", [True, False])
def test_add_set_remove_and_clear(section: Section, article: Article, bulk: bool) -> None:
    with auditwebhooks.paused():
        other = Article.objects.create(title="b")
    section.article_set.add(article, bulk=bulk)
    section.article_set.set([other], bulk=bulk)
    section.article_set.remove(other, bulk=bulk)
    section.article_set.add(other, bulk=bulk)
    section.article_set.clear(bulk=bulk)

    key = section.pk
    assert told("section") == [
        (UPDATED, None, key),
        (UPDATED, key, None),
        (UPDATED, None, key),
        (UPDATED, key, None),
        (UPDATED, None, key),
        (UPDATED, key, None),
    ]


def test_create_get_or_create_and_update_or_create(section: Section) -> None:
    section.article_set.create(title="a")
    section.article_set.get_or_create(title="a")
    section.article_set.update_or_create(title="a", defaults={"stars": 3})
    section.article_set.bulk_create([Article(title="b", section=section)])
    section.article_set.filter(title="b").delete()

    made, gone = "testapp.article.created", "testapp.article.deleted"
    assert told("stars") == [
        (made, None, 0),
        (UPDATED, 0, 3),
        (made, None, 0),
        (gone, 0, None),
    ]


def test_asynchronous_related_managers(section: Section) -> None:
    """They are the synchronous ones in a thread."""
    with auditwebhooks.paused():
        article = Article.objects.create(title="a")
        tag = Tag.objects.create(name="t")

    async def write() -> None:
        await section.article_set.aadd(article)
        await article.tags.aset([tag])
        await Tag.objects.aupdate_or_create(name="t", defaults={"weight": 2})
        await Tag.objects.aget_or_create(name="u")
        await article.adelete()

    async_to_sync(write)()

    assert list(Event.objects.order_by("id").values_list("event_type", flat=True)) == [
        UPDATED,
        UPDATED,
        "testapp.tag.updated",
        "testapp.tag.created",
        "testapp.article.deleted",
    ]


# --- generic relations --------------------------------------------------------------------


def test_a_generic_relation_s_rows_go_with_their_object(topic: Topic) -> None:
    topic.delete()

    gone = "testapp.note.deleted"
    assert sorted(told("id"))[:2] == [
        (gone, key, None) for key in sorted(one[1] for one in told("id") if one[0] == gone)
    ]
    assert Event.objects.filter(event_type="testapp.topic.deleted").count() == 1
    assert Event.objects.count() == 3
    assert not Note.objects.exists()


@pytest.mark.parametrize("bulk", [True, False])
def test_related_managers_of_a_generic_relation(topic: Topic, bulk: bool) -> None:
    with auditwebhooks.paused():
        loose = Note.objects.create(text="loose")
    topic.notes.add(loose, bulk=bulk)
    topic.notes.remove(loose, bulk=bulk)
    topic.notes.clear(bulk=bulk)

    key = topic.pk
    assert told("object_id") == [
        ("testapp.note.updated", None, key),
        *[("testapp.note.deleted", key, None)] * 3,
    ]


def test_a_generic_foreign_key_is_told_by_its_two_fields(topic: Topic) -> None:
    note = Note.objects.create(text="x", about=topic)
    note.about = None
    note.save()

    assert told("object_id") == [
        ("testapp.note.created", None, topic.pk),
        ("testapp.note.updated", topic.pk, None),
    ]
    changed = Event.objects.latest("id").payload["data"]["metadata"]["changed_fields"]
    assert changed == ["content_type", "object_id"]


# --- inheritance --------------------------------------------------------------------------


def test_fields_of_an_abstract_parent() -> None:
    topic = Topic.objects.create(title="one")
    topic.title = "two"
    topic.save()
    Topic.objects.update(title="three")
    Plain.objects.create(title="not audited")
    Plain.objects.update(title="still not")

    assert [(before, after) for _type, before, after in told("title")] == [
        (None, "one"),
        ("one", "two"),
        ("two", "three"),
    ]
    assert type(Plain.objects) is models.Manager
    assert type(pickle.loads(pickle.dumps(Plain.objects.all()))) is models.QuerySet  # noqa: S301
    assert Plain.save_base is models.Model.save_base


def test_an_audited_child_of_a_parent_that_is_not() -> None:
    house = House.objects.create(street="a", rooms=2)
    house.street = "b"
    house.save()
    House.objects.update(rooms=3)
    House.objects.update(street="c")
    Building.objects.create(street="alone")
    House.objects.get().delete()

    data = [event.payload["data"] for event in Event.objects.order_by("id")]
    assert [one["target_type"] for one in data] == ["house"] * 5
    assert [one["metadata"].get("changed_fields") for one in data] == [
        None,
        ["street"],
        ["rooms"],
        ["street"],
        None,
    ]
    assert data[0]["current_target_object"]["street"] == "a"


def test_a_child_that_is_made_of_its_parent_s_row() -> None:
    with auditwebhooks.paused():
        place = Place.objects.create(name="Roma")
    restaurant = Restaurant(place_ptr=place, serves_pizza=True)
    restaurant.__dict__.update({"name": "Nuova Roma"})
    restaurant.save()
    restaurant.delete(keep_parents=True)

    assert told("name")[0] == ("testapp.place.updated", "Roma", "Nuova Roma")
    assert Place.objects.get().name == "Nuova Roma"


def test_a_child_is_told_as_its_second_parent(table: Callable[..., Any]) -> None:
    """Whose key is another than the child's own."""

    class Printed(models.Model):  # noqa: DJ008 - is never shown
        printed_id = models.AutoField(primary_key=True)

        class Meta:
            app_label = "testapp"

    class Paper(models.Model):  # noqa: DJ008 - is never shown
        paper_id = models.AutoField(primary_key=True)
        title = models.CharField(max_length=9)

        class Meta:
            app_label = "testapp"

    class Review(Printed, Paper):  # noqa: DJ008 - is never shown
        stars = models.IntegerField(default=0)

        class Meta:
            app_label = "testapp"

    table(Printed, is_audited=False)
    table(Paper)
    table(Review, is_audited=False)
    instrument.audit(Paper)  # Which knows its child now.
    with auditwebhooks.paused():
        for title in "abc":
            Paper.objects.create(title=title)
    review = Review.objects.create(title="d")
    review.title = "e"
    review.save()
    Review.objects.filter(stars=0).update(title="f")
    Review.objects.get().delete()
    Review.objects.create(title="g")
    Review.objects.all().delete()

    key = review.paper_id
    assert key != review.printed_id
    assert told("title") == [
        ("testapp.paper.created", None, "d"),
        ("testapp.paper.updated", "d", "e"),
        ("testapp.paper.updated", "e", "f"),
        ("testapp.paper.deleted", "f", None),
        ("testapp.paper.created", None, "g"),
        ("testapp.paper.deleted", "g", None),
    ]
    keys = Event.objects.order_by("id").values_list("target_id", flat=True)
    assert list(keys) == [str(key)] * 4 + [str(key + 1)] * 2


@isolate_apps("tests.testapp")
def test_a_proxy_with_a_pk_of_its_own_is_told_by_its_key() -> None:
    """As that of Django REST Framework's tokens, for the admin."""

    class Numbered(Article):
        class Meta:
            app_label = "testapp"
            proxy = True

        @property
        def pk(self) -> Any:
            return -1

    with auditwebhooks.paused():
        article = Article.objects.create(title="a")
    changes.connect(Numbered, Options())
    numbered = Numbered.objects.get()
    numbered.title = "b"
    numbered.save()
    [event] = Event.objects.all()
    assert event.target_id == str(article.pk)
    assert told("title") == [("testapp.article.updated", "a", "b")]


def test_a_delete_that_keeps_the_parent_is_told_as_far_as_it_goes() -> None:
    with auditwebhooks.paused():
        house = House.objects.create(street="a")
    house.delete(keep_parents=True)

    assert [one[0] for one in told("street")] == ["testapp.house.deleted"]
    assert Building.objects.exists()


# --- saves --------------------------------------------------------------------------------


def test_a_savepoint_that_is_rolled_back_takes_its_events_along(article: Article) -> None:
    with transaction.atomic():
        article.title = "first"
        article.save()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            article.title = "never"
            article.save()
            Tag.objects.create(name="never")
            raise ZeroDivisionError
        article.title = "second"
        article.save()

    assert [one[1:] for one in told("title")] == [("a", "first"), ("first", "second")]


def test_previous_is_right_after_refresh_from_db(article: Article) -> None:
    Article.objects.filter(pk=article.pk).update(title="b")
    article.refresh_from_db()
    article.title = "c"
    article.save()

    assert [one[1:] for one in told("title")] == [("a", "b"), ("b", "c")]


def test_deferred_instances_of_every_kind(article: Article) -> None:
    for rows in (Article.objects.defer("title"), Article.objects.only("stars")):
        one = rows.get()
        one.stars += 1
        one.save()
    Article.objects.only("pk").get().delete()

    assert [one[1:] for one in told("stars")] == [(0, 1), (1, 2), (2, None)]
    assert {one[1] for one in told("title")} == {"a"}


def test_what_the_words_need_stays_deferred(article: Article) -> None:
    deferred = Article.objects.only("stars").get()
    before = deferred.get_deferred_fields()
    deferred.stars = 1
    deferred.save()
    assert Event.objects.get().target_name == "a"
    assert deferred.get_deferred_fields() == before
    auditwebhooks.record("look", target=deferred)
    assert deferred.get_deferred_fields() == before

    Article.objects.update(title="b")
    deferred.stars = 2
    deferred.save()
    assert Article.objects.get().title == "b"


def test_a_copy_with_a_key_of_none_is_a_create(article: Article) -> None:
    article.pk = None
    article._state.adding = True
    article.save()
    assert [one[1:] for one in told("title")] == [(None, "a")]


# --- formsets -----------------------------------------------------------------------------


def form_data(prefix: str, rows: list[dict[str, Any]], initial: int) -> dict[str, Any]:
    data = {f"{prefix}-TOTAL_FORMS": len(rows), f"{prefix}-INITIAL_FORMS": initial}
    for number, row in enumerate(rows):
        data.update({f"{prefix}-{number}-{name}": value for name, value in row.items()})
    return data


def test_a_form_tells_fields_and_members(article: Article) -> None:
    with auditwebhooks.paused():
        tag = Tag.objects.create(name="t")
    form_class: Any = modelform_factory(Article, fields=["title", "tags"])
    form = form_class({"title": "b", "tags": [tag.pk]}, instance=article)
    form.save()

    changed = [
        event.payload["data"]["metadata"]["changed_fields"]
        for event in Event.objects.order_by("id")
    ]
    assert changed == [["title"], ["tags"]]


def test_formsets_and_inline_formsets(section: Section) -> None:
    with auditwebhooks.paused():
        a, b = (Article.objects.create(title=title, section=section) for title in "ab")
    rows = [{"id": a.pk, "stars": 1}, {"id": b.pk, "stars": 0}]
    formset = modelformset_factory(Article, fields=["stars"], extra=0)
    formset(form_data("form", rows, 2), queryset=Article.objects.order_by("pk")).save()
    rows = [
        {"id": a.pk, "stars": 5, "section": section.pk},
        {"id": b.pk, "stars": 0, "section": section.pk, "DELETE": "on"},
        {"stars": 9, "section": section.pk},
    ]
    inline: Any = inlineformset_factory(Section, Article, fields=["stars"], extra=1)
    inline(form_data("article_set", rows, 2), instance=section).save()

    assert told("stars") == [
        (UPDATED, 0, 1),
        ("testapp.article.deleted", 0, None),
        (UPDATED, 1, 5),
        ("testapp.article.created", None, 9),
    ] or told("stars") == [
        (UPDATED, 0, 1),
        (UPDATED, 1, 5),
        ("testapp.article.deleted", 0, None),
        ("testapp.article.created", None, 9),
    ]


# --- who ----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_thread_does_not_inherit_who_acts() -> None:
    """Python's own threads do not take context along; what the host passes on counts."""

    def work(who: str | None) -> None:
        if who is None:
            Tag.objects.create(name="system")
        else:
            with auditwebhooks.context(actor=who):
                Tag.objects.create(name=who)
        connection.close()

    with auditwebhooks.context(actor="outside"):
        threads = [threading.Thread(target=work, args=(who,)) for who in (None, "a", "b")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)

    actors = dict(Event.objects.values_list("target_name", "actor_id"))
    assert actors == {"system": "system", "a": "a", "b": "b"}


@pytest.mark.parametrize(
    ("argv", "source"),
    [
        (["manage.py", "createsuperuser"], "management command"),
        (["manage.py", "shell"], "shell"),
    ],
)
def test_a_command_and_a_shell(
    monkeypatch: pytest.MonkeyPatch, argv: list[str], source: str
) -> None:
    monkeypatch.setattr("sys.argv", argv)
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "canary")
    call_command("createsuperuser", interactive=False, username="ada", email="a@example.com")

    [event] = Event.objects.all()
    assert (event.event_type, event.actor_id, event.source) == (
        "auth.user.created",
        "system",
        source,
    )
    assert "canary" not in event.payload_text
    assert User.objects.filter(username="ada").exists()


WRITES: list[Callable[[], object]] = [
    lambda: Section.objects.create(title="x"),
    lambda: Section.objects.bulk_create([Section(title="y")]),
    lambda: Section.objects.update(title="z"),
    lambda: Section.objects.all()[0].save(),
    lambda: Plain.objects.create(title="x"),
    lambda: Plain.objects.all().delete(),
]


def test_writes_of_models_that_are_not_audited_cost_nothing(
    django_assert_num_queries: Any,
) -> None:
    for write in WRITES[:3]:
        with django_assert_num_queries(1):
            write()
    with django_assert_num_queries(2):
        WRITES[3]()
    with django_assert_num_queries(1):
        WRITES[4]()
    with django_assert_num_queries(1):
        WRITES[5]()
    assert not Event.objects.exists()

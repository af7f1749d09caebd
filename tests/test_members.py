"""Many-to-many changes: one event of the owner for each write, whoever makes it."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.db import connection, models, transaction
from django.db.models import Q
from django.test.utils import CaptureQueriesContext, isolate_apps

import auditwebhooks
from auditwebhooks import checks
from auditwebhooks.capture import owners, relation
from auditwebhooks.models import Event
from auditwebhooks.registry import Options, registry
from tests.testapp.models import Article, Membership, Tag, Team

pytestmark = pytest.mark.django_db


@pytest.fixture
def tags() -> list[Tag]:
    with auditwebhooks.paused():
        return [Tag.objects.create(name=name) for name in ("a", "b", "c")]


@pytest.fixture
def article(tags: list[Tag]) -> Article:
    """It has the first tag already."""
    with auditwebhooks.paused():
        article = Article.objects.create(title="Tagged")
        article.tags.add(tags[0])
    return article


@pytest.fixture
def team() -> Team:
    """Ada is a member."""
    with auditwebhooks.paused():
        team = Team.objects.create(name="Red")
        team.members.add(User.objects.create(username="ada"))
    return team


def steps(field: str = "tags") -> list[tuple[str | None, Any, Any]]:
    """Owner, members before and after, of each event of that field."""
    told = []
    for event in Event.objects.order_by("id"):
        data = event.payload["data"]
        if data["metadata"].get("changed_fields") == [field]:
            before, after = data["previous_target_object"], data["current_target_object"]
            told.append((data["target_id"], before[field], after[field]))
    return told


def test_add_is_told_once__auditlog_638(article: Article, tags: list[Tag]) -> None:
    article.tags.add(tags[1], tags[2])

    a, b, c = (tag.pk for tag in tags)
    assert steps() == [(str(article.pk), [a], [a, b, c])]
    [event] = Event.objects.all()
    assert event.event_type == "testapp.article.updated"
    assert event.target_name == "Tagged"
    assert event.payload["data"]["current_target_object"]["title"] == "Tagged"


@pytest.mark.skipif(connection.vendor != "mysql", reason="others refuse it")
def test_a_member_that_is_gone_is_not_told(article: Article, tags: list[Tag]) -> None:
    gone = tags[2].pk
    tags[2].delete()
    before = Event.objects.count()
    article.tags.add(gone)
    assert Event.objects.count() == before


def test_what_is_there_already_is_no_change(article: Article, tags: list[Tag]) -> None:
    article.tags.add(tags[0])
    article.tags.remove(tags[1])
    article.tags.set([tags[0]])
    with auditwebhooks.paused():
        article.tags.clear()
    article.tags.clear()
    assert Event.objects.count() == 0


def test_remove_and_clear(article: Article, tags: list[Tag]) -> None:
    a, b, _c = (tag.pk for tag in tags)
    article.tags.add(tags[1])
    article.tags.remove(tags[0], tags[2])
    article.tags.clear()

    key = str(article.pk)
    assert steps() == [(key, [a], [a, b]), (key, [a, b], [b]), (key, [b], [])]


def test_set_tells_what_goes_and_what_comes(article: Article, tags: list[Tag]) -> None:
    a, b, c = (tag.pk for tag in tags)
    article.tags.set([tags[1], tags[2]])

    key = str(article.pk)
    assert steps() == [(key, [a], []), (key, [], [b, c])]


def test_the_far_side_changes_the_owner_too__auditlog_665(
    article: Article, tags: list[Tag]
) -> None:
    with auditwebhooks.paused():
        other = Article.objects.create(title="Other")
    a, b, _c = (tag.pk for tag in tags)
    tags[1].articles.add(article, other)
    tags[1].articles.remove(article)
    tags[1].articles.clear()

    assert steps() == [
        (str(article.pk), [a], [a, b]),
        (str(other.pk), [], [b]),
        (str(article.pk), [a, b], [a]),
        (str(other.pk), [b], []),
    ]


def test_a_deleted_far_side_is_a_change_of_its_owners(article: Article, tags: list[Tag]) -> None:
    pk = tags[0].pk
    tags[0].delete()

    assert steps() == [(str(article.pk), [pk], [])]
    assert list(Event.objects.order_by("id").values_list("event_type", flat=True)) == [
        "testapp.article.updated",
        "testapp.tag.deleted",
    ]


def test_an_owner_that_is_deleted_is_told_as_deleted_only(article: Article) -> None:
    article.delete()

    [event] = Event.objects.all()
    assert event.event_type == "testapp.article.deleted"


def test_rows_in_between_written_by_hand(article: Article, tags: list[Tag]) -> None:
    a, b, c = (tag.pk for tag in tags)
    through = Article.tags.through
    row = through.objects.create(article=article, tag=tags[1])
    row.tag = tags[2]
    row.save()
    row.delete()
    through.objects.filter(article=article).update(tag=tags[2])

    key = str(article.pk)
    assert steps() == [
        (key, [a], [a, b]),
        (key, [a, b], [a, c]),
        (key, [a, c], [a]),
        (key, [a], [c]),
    ]


def test_a_symmetrical_field_is_a_change_of_both(team: Team) -> None:
    with auditwebhooks.paused():
        other = Team.objects.create(name="Blue")
    team.friends.add(other)

    assert sorted(steps("friends")) == sorted(
        [(str(team.pk), [], [other.pk]), (str(other.pk), [], [team.pk])]
    )


def test_a_model_in_between_of_the_host_s_own(team: Team) -> None:
    with auditwebhooks.paused():
        bob = User.objects.create(username="bob")
    ada = User.objects.get(username="ada")
    team.members.add(bob, through_defaults={"role": "lead"})
    Membership.objects.filter(user=bob).update(role="member")
    membership = Membership.objects.get(user=bob)
    membership.role = "lead"
    membership.save()
    membership.delete()
    Membership.objects.create(team=team, user=bob)
    Membership.objects.bulk_create([Membership(team=team, user=bob, role="again")])
    Membership.objects.filter(team=team, role="again").delete()

    key = str(team.pk)
    assert steps("members") == [
        (key, [ada.pk], [ada.pk, bob.pk]),
        (key, [ada.pk, bob.pk], [ada.pk]),
        (key, [ada.pk], [ada.pk, bob.pk]),
    ]


def test_many_rows_that_go_together_are_one_event(team: Team) -> None:
    with auditwebhooks.paused():
        team.members.add(*(User.objects.create(username=f"u{number}") for number in range(3)))
    everybody = sorted(team.members.values_list("pk", flat=True))
    Membership.objects.filter(team=team).delete()

    assert steps("members") == [(str(team.pk), everybody, [])]


def test_a_user_who_goes_leaves_the_team(team: Team) -> None:
    ada = User.objects.get(username="ada")
    pk = ada.pk
    ada.delete()

    assert steps("members") == [(str(team.pk), [pk], [])]


def test_a_row_that_moves_changes_both_owners(team: Team) -> None:
    with auditwebhooks.paused():
        blue = Team.objects.create(name="Blue")
    ada = User.objects.get(username="ada")
    membership = Membership.objects.get(team=team)
    membership.team = blue
    membership.save()
    Membership.objects.update(team=team)

    assert sorted(steps("members"), key=str) == sorted(
        [
            (str(team.pk), [ada.pk], []),
            (str(blue.pk), [], [ada.pk]),
            (str(team.pk), [], [ada.pk]),
            (str(blue.pk), [ada.pk], []),
        ],
        key=str,
    )


def test_groups_of_a_user_are_told() -> None:
    """The user model's fields come from abstract parents of django.contrib.auth."""
    with auditwebhooks.paused():
        ada = User.objects.create(username="ada")
        group = Group.objects.create(name="admins")
    ada.groups.add(group)

    assert steps("groups") == [(str(ada.pk), [], [group.pk])]
    assert Event.objects.get().event_type == "auth.user.updated"


def test_long_lists_are_told_as_numbers(
    article: Article, tags: list[Tag], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "LISTED", 2)
    a, b, c = (tag.pk for tag in tags)
    article.tags.add(tags[1])
    article.tags.add(tags[2])
    article.tags.remove(tags[0])

    key = str(article.pk)
    assert steps() == [
        (key, [a], [a, b]),
        (key, {"count": 2}, {"count": 3, "added": [c], "removed": []}),
        (key, {"count": 3}, {"count": 2, "added": [], "removed": [a]}),
    ]


def test_many_owners_are_told_page_by_page(
    tags: list[Tag], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "_PAGE", 2)
    with auditwebhooks.paused():
        articles = [Article.objects.create(title=str(number)) for number in range(5)]
        tags[0].articles.set(articles)
    one, other = tags[0].pk, tags[1].pk
    tags[1].articles.add(*articles)
    tags[0].delete()

    assert steps() == [
        *((str(article.pk), [one], [one, other]) for article in articles),
        *((str(article.pk), [one, other], [other]) for article in articles),
    ]
    told = Event.objects.filter(event_type="testapp.article.updated").order_by("id")
    names = [event.target_name for event in told]
    assert names == ["0", "1", "2", "3", "4"] * 2


def test_many_rows_of_a_model_in_between_are_told_page_by_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(owners, "_PAGE", 2)
    with auditwebhooks.paused():
        user = User.objects.create(username="ada")
        teams = [Team.objects.create(name=str(number)) for number in range(5)]
        for team in teams:
            team.members.add(user)
    Membership.objects.update(team=teams[0])
    assert steps("members") == [(str(team.pk), [user.pk], []) for team in teams[1:]]


def test_a_save_does_not_tell_members(article: Article) -> None:
    article.title = "Renamed"
    article.save()

    [event] = Event.objects.all()
    assert "tags" not in event.payload["data"]["current_target_object"]


def test_fields_and_actions_that_are_not_asked_for(
    article: Article, tags: list[Tag], monkeypatch: pytest.MonkeyPatch
) -> None:
    for options in (Options(m2m=frozenset()), Options(actions=frozenset({"create"}))):
        monkeypatch.setitem(registry._options, Article, options)
        registry._audited.clear()
        article.tags.set(tags)
        article.tags.clear()
    monkeypatch.undo()
    registry._audited.clear()

    assert Event.objects.count() == 0


def test_a_model_in_between_that_is_audited_speaks_for_itself(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(registry._options, Membership, Options())
    registry._audited.clear()
    Membership.objects.filter(team=team).update(role="lead")
    team.members.clear()
    monkeypatch.undo()
    registry._audited.clear()

    assert steps("members") == []
    assert Event.objects.filter(event_type="testapp.membership.updated").count() == 1


def test_fixtures_are_not_recorded(article: Article, tags: list[Tag], team: Team) -> None:
    Article.tags.through(article=article, tag=tags[1]).save_base(raw=True)
    with auditwebhooks.paused():
        bob = User.objects.create(username="bob")
    text = serializers.serialize("json", [Membership(team=team, user=bob)])
    for loaded in serializers.deserialize("json", text):
        loaded.save()

    assert team.members.count() == 2
    assert Event.objects.count() == 0


def test_members_in_a_fixture_are_told(article: Article, tags: list[Tag]) -> None:
    text = serializers.serialize("json", [article])
    article.tags.clear()
    Event.objects.all()._raw_delete(connection.alias)
    for loaded in serializers.deserialize("json", text):
        loaded.save()

    assert steps() == [(str(article.pk), [], [tags[0].pk])]


def test_nothing_is_recorded_or_read_while_paused(
    article: Article, tags: list[Tag], django_assert_num_queries: Any
) -> None:
    with auditwebhooks.paused(), django_assert_num_queries(1):
        article.tags.through.objects.bulk_create(
            [article.tags.through(article=article, tag=tags[1])]
        )
    assert Event.objects.count() == 0


def test_a_rollback_takes_the_event_along(article: Article, tags: list[Tag]) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        article.tags.add(tags[1])
        raise ZeroDivisionError
    assert Event.objects.count() == 0


@pytest.mark.parametrize("write", ["add", "remove", "clear"])
def test_a_change_costs_at_most_three_queries(
    write: str, article: Article, tags: list[Tag]
) -> None:
    def make() -> int:
        with transaction.atomic(), CaptureQueriesContext(connection) as queries:
            change = getattr(article.tags, write)
            change(*([tags[1]] if write == "add" else [tags[0]] if write == "remove" else []))
            statements = [one["sql"] for one in queries]
            transaction.set_rollback(True)
        # The wake's look and savepoints are not the change's, nor is SQLite's no-op for its lock.
        return sum("WHERE 0" not in sql and "SAVEPOINT" not in sql for sql in statements)

    with auditwebhooks.paused():
        plain = make()
    # MySQL's INSERT IGNORE does not say what it left out.
    reads_again = write == "add" and connection.vendor == "mysql"
    assert make() - plain <= 3 + reads_again


@pytest.mark.django_db(transaction=True)
def test_in_autocommit_change_and_event_commit_together(
    monkeypatch: pytest.MonkeyPatch, configure: Any
) -> None:
    article = Article.objects.create(title="a")
    tag = Tag.objects.create(name="t")
    before = Event.objects.count()

    def explode(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError

    configure(STRICT=True)
    monkeypatch.setattr(owners, "write", explode)
    through = Article.tags.through
    with pytest.raises(ZeroDivisionError):
        article.tags.add(tag)
    with pytest.raises(ZeroDivisionError):
        through.objects.create(article=article, tag=tag)

    assert not through.objects.filter(Q(article=article)).exists()
    assert Event.objects.count() == before


def test_members_with_a_secret_key_are_counted_only(
    monkeypatch: pytest.MonkeyPatch, article: Article, tags: list[Tag]
) -> None:
    monkeypatch.setitem(registry._options, Tag, Options(mask=frozenset({"id"})))
    monkeypatch.setattr(registry, "_audited", {})
    article.tags.add(tags[1])
    data = Event.objects.get().payload["data"]
    assert data["previous_target_object"]["tags"] == ["***"]
    assert data["current_target_object"]["tags"] == ["***", "***"]


@isolate_apps("tests.testapp")
def test_a_many_to_many_field_that_is_none_of_django_s_is_left_alone() -> None:
    """As django-taggit's: it is a relation, and does not tell the keys in between."""

    class TagsField(models.Field):  # type: ignore[type-arg]
        many_to_many = True

        def __init__(self) -> None:
            super().__init__()
            self.is_relation = True

    class Shelf(models.Model):  # noqa: DJ008
        labels = TagsField()

        class Meta:
            app_label = "testapp"

    assert [one.name for one in Shelf._meta.many_to_many] == ["labels"]
    assert list(relation.watch(Shelf)) == []
    assert not checks._is_many_to_many(Shelf, "labels")

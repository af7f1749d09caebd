"""The host's own admin: what people do there is told once, with them as the actors."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

import auditwebhooks
from auditwebhooks.models import Event
from tests.testapp.models import Article, Membership, Section, Tag, Team, Topic

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def ada(client: Client) -> User:
    with auditwebhooks.paused():
        user = User.objects.create_superuser("ada", "ada@example.com", "pw")
        client.force_login(user)
    return user


@pytest.fixture
def article() -> Article:
    with auditwebhooks.paused():
        return Article.objects.create(title="a")


def told() -> list[tuple[str, Any]]:
    """Event type and changed fields, of each event; all are Ada's."""
    events = list(Event.objects.order_by("id"))
    for event in events:
        assert event.actor_id == "ada@example.com"
        assert event.source == "web application"
    return [
        (one.event_type, one.payload["data"]["metadata"].get("changed_fields")) for one in events
    ]


def post(client: Client, path: str, **data: Any) -> None:
    answer = client.post(f"/admin/testapp/{path}", data)
    assert answer.status_code == 302, answer.context and answer.context["errors"]


def management(prefix: str, total: int, initial: int = 0) -> dict[str, int]:
    return {f"{prefix}-TOTAL_FORMS": total, f"{prefix}-INITIAL_FORMS": initial}


def test_add_change_and_delete(client: Client) -> None:
    with auditwebhooks.paused():
        tag = Tag.objects.create(name="t")
    post(client, "article/add/", title="a", stars=1, tags=[tag.pk])
    article = Article.objects.get()
    post(client, f"article/{article.pk}/change/", title="b", stars=1, tags=[tag.pk])
    post(client, f"article/{article.pk}/change/", title="b", stars=1, tags=[])
    post(client, f"article/{article.pk}/change/", title="b", stars=1, tags=[])
    post(client, f"article/{article.pk}/delete/", post="yes")

    assert told() == [
        ("testapp.article.created", None),
        ("testapp.article.updated", ["tags"]),
        ("testapp.article.updated", ["title"]),
        ("testapp.article.updated", ["tags"]),
        ("testapp.article.deleted", None),
    ]


def test_the_action_that_deletes_what_is_selected(client: Client, article: Article) -> None:
    with auditwebhooks.paused():
        other = Article.objects.create(title="b")
    post(
        client,
        "article/",
        action="delete_selected",
        post="yes",
        _selected_action=[article.pk, other.pk],
    )

    assert told() == [("testapp.article.deleted", None)] * 2


def test_fields_that_are_edited_in_the_list(client: Client, article: Article) -> None:
    data = {"form-0-id": article.pk, "form-0-stars": 7, "_save": "Save"}
    post(client, "article/", **management("form", 1, 1), **data)

    assert told() == [("testapp.article.updated", ["stars"])]


def test_rows_inline(client: Client, article: Article) -> None:
    section = Section.objects.create(title="News")
    with auditwebhooks.paused():
        section.article_set.add(article)
    rows = {
        "article_set-0-id": article.pk,
        "article_set-0-section": section.pk,
        "article_set-0-title": "changed",
        "article_set-0-stars": 0,
        "article_set-1-section": section.pk,
        "article_set-1-title": "new",
        "article_set-1-stars": 2,
    }
    path = f"section/{section.pk}/change/"
    post(client, path, title="News", **management("article_set", 2, 1), **rows)
    rows = {
        "article_set-0-id": article.pk,
        "article_set-0-section": section.pk,
        "article_set-0-title": "changed",
        "article_set-0-stars": 0,
        "article_set-0-DELETE": "on",
    }
    post(client, path, title="News", **management("article_set", 1, 1), **rows)

    assert told() == [
        ("testapp.article.updated", ["title"]),
        ("testapp.article.created", None),
        ("testapp.article.deleted", None),
    ]


def test_members_inline_by_a_model_in_between_of_the_host_s_own(client: Client, ada: User) -> None:
    with auditwebhooks.paused():
        team = Team.objects.create(name="Red")
    row = {
        "membership_set-0-team": team.pk,
        "membership_set-0-user": ada.pk,
        "membership_set-0-role": "lead",
    }
    path = f"team/{team.pk}/change/"
    post(client, path, name="Red", **management("membership_set", 1), **row)
    membership = Membership.objects.get()
    row |= {"membership_set-0-id": membership.pk, "membership_set-0-DELETE": "on"}
    post(client, path, name="Red", **management("membership_set", 1, 1), **row)

    assert told() == [("testapp.team.updated", ["members"])] * 2


def test_members_inline_by_django_s_own_model_in_between(client: Client, article: Article) -> None:
    with auditwebhooks.paused():
        tag = Tag.objects.create(name="t")
    prefix = "Article_tags"
    path = f"tag/{tag.pk}/change/"
    row = {f"{prefix}-0-tag": tag.pk, f"{prefix}-0-article": article.pk}
    post(client, path, name="t", weight=0, **management(prefix, 1), **row)
    row |= {f"{prefix}-0-id": Article.tags.through.objects.get().pk, f"{prefix}-0-DELETE": "on"}
    post(client, path, name="t", weight=0, **management(prefix, 1, 1), **row)

    assert told() == [("testapp.article.updated", ["tags"])] * 2


def test_generic_rows_inline(client: Client) -> None:
    prefix = "testapp-note-content_type-object_id"
    row = {f"{prefix}-0-text": "one"}
    post(client, "topic/add/", title="t", **management(prefix, 1), **row)
    topic = Topic.objects.get()
    post(client, f"topic/{topic.pk}/delete/", post="yes")

    assert sorted(told()) == [
        ("testapp.note.created", None),
        ("testapp.note.deleted", None),
        ("testapp.topic.created", None),
        ("testapp.topic.deleted", None),
    ]


def test_a_delete_of_a_section_tells_its_articles(client: Client, article: Article) -> None:
    section = Section.objects.create(title="News")
    with auditwebhooks.paused():
        section.article_set.add(article)
    post(client, f"section/{section.pk}/delete/", post="yes")

    assert told() == [("testapp.article.deleted", None)]

"""*Audit history* on the pages of a host's own objects."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import django
import pytest
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db.models import Model
from django.test import Client, RequestFactory

import auditwebhooks
from auditwebhooks.history import history_url
from auditwebhooks.registry import Options, registry
from tests.factories import make_event, make_webhook
from tests.testapp.models import (
    Article,
    ArticleProxy,
    Building,
    Cafe,
    Draft,
    Place,
    Restaurant,
    Seat,
    Section,
)

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.custom_sites")]

DJANGOS_TEMPLATES = Path(django.__path__[0]) / "contrib/admin/templates"


@pytest.fixture
def user(client: Client) -> User:
    with auditwebhooks.paused():
        user = User.objects.create_superuser("op", "op@example.com", "pw")
        client.force_login(user)
    return user


@pytest.fixture
def templates_of_the_host(settings: Any, tmp_path: Path) -> Any:
    """Folders that templates are looked for in before those of any app."""

    def look_in(*folders: Path) -> None:
        [engine] = settings.TEMPLATES
        settings.TEMPLATES = [{**engine, "DIRS": [str(folder) for folder in folders]}]

    return look_in


@pytest.fixture
def ours_behind(templates_of_the_host: Any) -> None:
    """As where "auditwebhooks" stands behind "django.contrib.admin"."""
    templates_of_the_host(DJANGOS_TEMPLATES)


def links(client: Client, obj: Model, site: str = "admin") -> list[str]:
    meta = obj._meta
    answer = client.get(f"/{site}/{meta.app_label}/{meta.model_name}/{obj.pk}/change/")
    assert answer.status_code == 200
    page = answer.content.decode()
    found = re.findall(r'<a href="([^"]*)">Audit history</a>', page)
    return [html.unescape(one) for one in found]


def actions(client: Client, url: str) -> list[tuple[str, str]]:
    rows = client.get(url).context["cl"].result_list
    return [(one.event_type, one.target_name) for one in rows]


def test_an_audited_object_s_page_leads_to_its_events(client: Client, user: User) -> None:
    article = Article.objects.create(title="mine")
    Article.objects.create(title="other")
    article.stars = 1
    article.save()
    auditwebhooks.record("approve", target=article)
    auditwebhooks.record("read", target=article, event_type="own.article_was_read")
    with auditwebhooks.paused():
        make_event(target_id=str(article.pk), event_type="testapp.tag.updated", target_type="tag")

    [url] = links(client, article)

    assert url == (
        f"/admin/auditwebhooks/event/?target_model=testapp.article&target_id={article.pk}"
    )
    assert [kind for kind, _name in actions(client, url)] == [
        "own.article_was_read",
        "testapp.article.approve",
        "testapp.article.updated",
        "testapp.article.created",
    ]
    page = client.get(url).content.decode()
    assert f"testapp.article {article.pk}</a>" in page


def test_an_object_that_no_event_names_has_no_history(
    monkeypatch: pytest.MonkeyPatch, user: User
) -> None:
    request = RequestFactory().get("/")
    request.user = user
    monkeypatch.setitem(registry._options, Article, Options(mask=frozenset({"id"})))
    monkeypatch.setattr(registry, "_audited", {})
    assert history_url(request, Article(pk=1)) == ""


def test_another_model_of_the_same_name_is_left_out(client: Client, user: User) -> None:
    names = {"target_id": "7", "target_type": "café"}
    make_event(event_type="own.closed", target_name="own", **names)
    make_event(event_type="testapp.cafe.updated", target_name="cafe", **names)
    make_event(event_type="testapp.place.updated", target_name="a place", **names)
    base = "/admin/auditwebhooks/event/?target_id=7&target_model=testapp."

    assert [name for _type, name in actions(client, f"{base}cafe")] == ["a place", "cafe", "own"]
    assert [name for _type, name in actions(client, f"{base}place")] == ["a place"]


@pytest.mark.parametrize(
    ("made", "label"),
    [
        (lambda: Article.objects.create(title="a"), "article"),
        (lambda: ArticleProxy.objects.create(title="a"), "article"),
        (lambda: Restaurant.objects.create(name="r"), "place"),
        (lambda: Cafe.objects.create(name="c"), "cafe"),
        (lambda: Draft.objects.create(text="d"), "draft"),
    ],
)
def test_proxies_children_and_keys_of_any_kind(
    client: Client, user: User, made: Any, label: str
) -> None:
    obj = made()
    [url] = links(client, obj, "office")

    assert url.startswith(f"/office/auditwebhooks/event/?target_model=testapp.{label}&")
    assert [kind for kind, _name in actions(client, url)] == [f"testapp.{label}.created"]


def test_a_composite_key(client: Client, user: User) -> None:
    seat = Seat.objects.create(row='A"&', number=1)
    request = RequestFactory().get("/")
    request.user = user

    assert actions(client, history_url(request, seat)) == [("testapp.seat.created", 'A"&1')]


def test_a_webhook_has_a_history_too(client: Client, user: User) -> None:
    webhook = make_webhook()
    [url] = links(client, webhook)

    assert [kind for kind, _name in actions(client, url)] == ["auditwebhooks.webhook.created"]


def test_no_link_where_nothing_is_audited(client: Client, user: User) -> None:
    assert links(client, Section.objects.create(title="s")) == []
    assert links(client, Building.objects.create(street="b"), "office") == []
    assert client.get("/admin/testapp/article/add/").status_code == 200


def test_no_link_in_an_admin_without_an_audit_log(client: Client, user: User) -> None:
    assert links(client, Article.objects.create(title="a"), "bare") == []


def test_only_who_may_see_events_sees_the_link(client: Client) -> None:
    staff = User.objects.create_user("staff", is_staff=True)
    staff.user_permissions.set(Permission.objects.filter(codename="view_article"))
    client.force_login(staff)
    article = Article.objects.create(title="a")

    assert links(client, article) == []
    staff.user_permissions.add(Permission.objects.get(codename="view_event"))
    assert len(links(client, article)) == 1


def test_what_is_not_audited_costs_no_query(django_assert_num_queries: Any) -> None:
    request = RequestFactory().get("/")
    request.user = User.objects.create_user("fresh")
    section = Section.objects.create(title="s")
    with django_assert_num_queries(0):
        for nothing in (section, None, "", Article(title="unsaved")):
            assert history_url(request, nothing) == ""
    request.user = AnonymousUser()
    assert history_url(request, Place(pk=1)) == ""


@pytest.mark.parametrize("key", ["nothing", "%00", "x" * 300])
def test_keys_that_nothing_has(client: Client, user: User, key: str) -> None:
    url = f"/admin/auditwebhooks/event/?target_model=testapp.article&target_id={key}"
    assert client.get(url).status_code == 200
    assert client.get(f"/admin/auditwebhooks/event/?target_model=%00&target_id={key}")


def test_a_key_without_a_model_is_a_column_of_the_log(client: Client, user: User) -> None:
    make_event(target_name="mine", target_id="7")
    make_event(target_name="other", target_id="8")

    listed = client.get("/admin/auditwebhooks/event/?target_id=7")

    assert [one.target_name for one in listed.context["cl"].result_list] == ["mine"]
    # A model without a key is nothing that the log can be asked for.
    assert client.get("/admin/auditwebhooks/event/?target_model=a.b").status_code == 302


def test_a_host_s_own_object_tools_work_on(
    client: Client, user: User, templates_of_the_host: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "admin"
    folder.mkdir()
    (folder / "change_form_object_tools.html").write_text(
        '{% extends "admin/change_form_object_tools.html" %}'
        "{% block object-tools-items %}<li>Own tool</li>{{ block.super }}{% endblock %}"
    )
    templates_of_the_host(tmp_path)
    article = Article.objects.create(title="a")

    assert len(links(client, article)) == 1
    page = client.get(f"/admin/testapp/article/{article.pk}/change/").content.decode()
    assert "Own tool" in page
    assert 'class="historylink"' in page


@pytest.mark.usefixtures("ours_behind")
def test_behind_the_admin_the_mixin_shows_it(client: Client, user: User) -> None:
    article = Article.objects.create(title="a")

    assert links(client, article) == []
    [url] = links(client, article, "mixed")
    assert actions(client, url) == [("testapp.article.created", "a")]
    assert links(client, Section.objects.create(title="s"), "mixed") == []
    assert client.get("/mixed/testapp/article/add/").status_code == 200


def test_both_together_show_one(client: Client, user: User) -> None:
    assert len(links(client, Article.objects.create(title="a"), "mixed")) == 1


def test_the_mixin_extends_the_page_s_own_template(
    client: Client, user: User, templates_of_the_host: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "admin"
    folder.mkdir()
    (folder / "host_change_form.html").write_text(
        '{% extends "admin/change_form.html" %}{% block form_top %}Own words{% endblock %}'
    )
    templates_of_the_host(tmp_path, DJANGOS_TEMPLATES)
    article = Article.objects.create(title="a")

    assert len(links(client, article, "own")) == 1
    page = client.get(f"/own/testapp/article/{article.pk}/change/").content.decode()
    assert "Own words" in page

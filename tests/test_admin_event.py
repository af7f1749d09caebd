"""The page of one event: what changed, who did it, and what became of it."""

from __future__ import annotations

import html
import json
import re
from typing import Any
from urllib.parse import unquote as unquote_url

import pytest
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import Permission, User
from django.test import Client, RequestFactory
from django.urls import resolve

import auditwebhooks
from auditwebhooks.admin import changes, links
from auditwebhooks.models import Event, Invocation
from auditwebhooks.payload import sample
from tests.factories import make_event, make_invocation, make_webhook
from tests.testapp.models import Article, Draft, Place, Restaurant, Section

pytestmark = pytest.mark.django_db


def log_in(client: Client, *permissions: str, superuser: bool = False) -> User:
    with auditwebhooks.paused():
        user = User.objects.create_user("op", is_staff=True, is_superuser=superuser)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
    return user


@pytest.fixture
def operator(client: Client) -> User:
    return log_in(client, superuser=True)


def make(previous: Any, current: Any, metadata: Any = None, **columns: Any) -> Event:
    recorded = json.loads(sample(1_700_000_000_000_000_000).as_text())
    recorded["data"] |= {
        "previous_target_object": previous,
        "current_target_object": current,
        "metadata": metadata or {},
        **{name: value for name, value in columns.items() if name in recorded["data"]},
    }
    return make_event(payload_text=json.dumps(recorded), **columns)


def page_of(client: Client, event: Event) -> str:
    answer = client.get(f"/admin/auditwebhooks/event/{event.pk}/change/")
    assert answer.status_code == 200
    return answer.content.decode()


def lines_of(page: str) -> list[str]:
    """The lines of the change, as somebody reads them."""
    found = re.findall(r'<span class="auditwebhooks-sign">(.)</span><code>(.*?)</code>', page)
    return [sign + html.unescape(re.sub(r"</?mark>", "", text)) for sign, text in found]


def test_a_change_is_told_like_git_does(client: Client, operator: User) -> None:
    event = make({"name": "Prod DB", "stars": 1}, {"name": "Prod DB read", "stars": 1})
    page = page_of(client, event)

    assert lines_of(page) == [
        " {",
        '-  "name": "Prod DB"',
        '+  "name": "Prod DB read"',
        '   "stars": 1',
        " }",
    ]
    assert "<mark> read</mark>" in page
    assert '<del class="auditwebhooks-line auditwebhooks-gone">' in page
    assert '<ins class="auditwebhooks-line auditwebhooks-new">' in page


@pytest.mark.parametrize(
    ("action", "previous", "current", "signs"),
    [
        ("create", None, {"a": 1}, "+++"),
        ("delete", {"a": 1}, None, "---"),
        ("approve", None, {"a": 1}, "   "),
        ("update", None, None, ""),
    ],
)
def test_the_signs_of_what_came_went_and_stayed(
    client: Client, operator: User, action: str, previous: Any, current: Any, signs: str
) -> None:
    page = page_of(client, make(previous, current, action=action))

    assert "".join(line[0] for line in lines_of(page)) == signs
    assert ("tells no object" in page) is (signs == "")


def test_what_did_not_change_is_folded(client: Client, operator: User) -> None:
    old = {f"field {number}": number for number in range(20)}
    page = page_of(client, make(old, {**old, "field 0": "new"}))

    assert "17 unchanged lines</summary>" in page
    assert len(lines_of(page)) == 23


def test_values_never_become_html(client: Client, operator: User) -> None:
    evil = '</code><script>alert(1)</script><img src=x onerror="alert(2)">'
    event = make(
        {"a": evil, evil: 1, "text": f"x\n{evil}"},
        {"a": evil + "!", evil: 2, "text": f"y\n{evil}"},
        metadata={evil: evil, "list": [evil], "deep": {evil: evil}},
        actor_name=evil,
        target_name=evil,
        target_type=evil,
        actor_id=evil,
        source=evil,
        action=evil,
        event_type=evil,
        target_id=evil,
    )
    for url in (f"{event.pk}/change/", ""):
        page = client.get(f"/admin/auditwebhooks/event/{url}").content.decode()
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_characters_that_deceive_are_shown(client: Client, operator: User) -> None:
    page = page_of(client, make({"a": "x"}, {"a": "\u202ex"}, metadata={"path": "/\u202e"}))

    assert "\u202e" not in page
    assert '+  "a": "\\u202ex"' in lines_of(page)


def test_a_change_within_a_long_line_is_seen(client: Client, operator: User) -> None:
    page = page_of(client, make({"a": "x" * 90_000}, {"a": "x" * 50_000 + "!" + "x" * 40_000}))

    assert "<mark>!</mark>" in page
    assert len(page) < 60_000


def test_a_huge_object_is_shown_in_part_and_recorded_whole(
    client: Client, operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "MOST_LINES", 10)
    event = make({"a": list(range(100))}, {"a": list(range(100, 200))})
    page = page_of(client, event)

    assert len(lines_of(page)) == 10
    assert "194 more lines are in the recorded JSON." in page
    answer = client.get(f"/admin/auditwebhooks/event/{event.pk}/payload/")
    assert answer.content.decode() == event.payload_text
    assert answer["Content-Type"] == "application/json"
    assert answer["Content-Disposition"].startswith("attachment")


def test_actor_metadata_and_ids(client: Client, operator: User) -> None:
    event = make({}, {}, metadata={"changed_fields": ["name", "stars"], "ip": "192.0.2.1"})
    page = page_of(client, event)

    for words in ("ada@example.com", "Ada Lovelace", "name, stars", "192.0.2.1", event.event_id):
        assert words in page


def test_its_invocations_with_status_and_links(client: Client, operator: User) -> None:
    event = make_event()
    webhook = make_webhook(name="SIEM")
    first = make_invocation(webhook, event=event, status="failed", outcome="timeout")
    make_invocation(webhook, event=event, attempt=2, trigger="retry")
    page = page_of(client, event)

    assert f'href="/admin/auditwebhooks/invocation/{first.pk}/change/"' in page
    for words in ("SIEM", "failed", "timeout", "retry", "due "):
        assert words in page


def test_more_invocations_than_a_page_holds(
    client: Client, operator: User, django_assert_max_num_queries: Any
) -> None:
    event = make_event()
    webhook = make_webhook()
    for number in range(60):
        make_invocation(webhook, event=event, attempt=number + 1)
    with django_assert_max_num_queries(8):
        page = page_of(client, event)

    assert "There are more" in page
    assert f"#{Invocation.objects.latest('id').pk}<" in page


def latest() -> Event:
    return Event.objects.latest("id")


def test_the_target_s_own_page_is_linked(client: Client, operator: User) -> None:
    article = Article.objects.create(title="News")
    created = latest()

    assert f'<a href="/admin/testapp/article/{article.pk}/change/">News</a>' in page_of(
        client, created
    )
    article.delete()
    assert "/admin/testapp/article/" not in page_of(client, created).split("<main")[1]


@pytest.mark.parametrize("key", ["order_40", "a/b", "a\nb", "?#&", "_5F", "Ä ö", "..", 'a"<b>'])
def test_a_link_leads_to_the_page_of_a_key_of_any_letters(rf: RequestFactory, key: str) -> None:
    request = rf.get("/admin/")
    request.user = User(is_staff=True, is_superuser=True)

    url = links.page_of(admin.site, request, Section(pk=key))

    asked = resolve(unquote_url(url)).kwargs["object_id"]
    assert unquote(asked) == key


def test_the_target_of_an_event_of_the_host_s_own(client: Client, operator: User) -> None:
    article = Article.objects.create(title="News")
    url = f"/admin/testapp/article/{article.pk}/change/"
    auditwebhooks.record("approve", target=article)
    assert url in page_of(client, latest())
    # Named like a model's, and about something else.
    auditwebhooks.record(
        "lend", target=Section(pk=article.pk, title="s"), event_type="testapp.article.lent"
    )
    assert url not in page_of(client, latest())


def test_the_target_of_a_log_in(client: Client, operator: User) -> None:
    user = User.objects.create_user("bob", password="pw")
    Client().login(username="bob", password="pw")

    assert latest().event_type == "auth.user.logged_in"
    assert f"/admin/auth/user/{user.pk}/change/" in page_of(client, latest())


def test_no_link_to_what_has_no_page_or_must_not_be_seen(client: Client) -> None:
    log_in(client, "view_event", "view_section")
    for made in (
        Article.objects.create(title="News"),
        Draft.objects.create(text="d"),
        Place.objects.create(name="p"),
        Restaurant.objects.create(name="r"),
    ):
        page = page_of(client, latest()).split("<main")[1]
        assert f"/{made.pk}/change/" not in page


def test_a_viewer_of_events_sees_no_invocations_and_no_button(client: Client) -> None:
    log_in(client, "view_event")
    event = make_event()
    make_invocation(make_webhook(name="SIEM"), event=event)
    page = page_of(client, event)

    assert "SIEM" not in page
    assert "Send again" not in page
    assert "/invocation/" not in page


def test_who_may_sends_it_again_and_comes_back(client: Client) -> None:
    log_in(client, "view_event", "resend_invocation")
    make_webhook()
    with auditwebhooks.paused():
        event = make_event(fanned_out_at="2026-01-01T00:00Z")
    assert "Send again" in page_of(client, event)

    data = {"action": "send_again", "_selected_action": event.pk, "_back": "1"}
    answer = client.post("/admin/auditwebhooks/event/", data)

    assert answer["Location"] == f"/admin/auditwebhooks/event/{event.pk}/change/"
    assert Invocation.objects.get().trigger == "manual"


def test_the_recorded_json_takes_the_right_to_see_events(client: Client) -> None:
    event = make_event()
    url = f"/admin/auditwebhooks/event/{event.pk}/payload/"
    assert client.get(url).status_code == 302
    log_in(client, "view_invocation")
    assert client.get(url).status_code == 403


def test_the_recorded_json_of_nothing(client: Client, operator: User) -> None:
    assert client.get("/admin/auditwebhooks/event/99999/payload/").status_code == 404
    assert client.get("/admin/auditwebhooks/event/x/payload/").status_code == 404

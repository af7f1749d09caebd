"""Who may see less sees no secret, no link that is forbidden and no button that is."""

from __future__ import annotations

import html
import re

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

import auditwebhooks
from auditwebhooks.models import Event, Replay
from tests.factories import SECRET, make_event, make_invocation, make_webhook
from tests.testapp.models import Article

pytestmark = pytest.mark.django_db

VIEWS = ("view_event", "view_invocation", "view_webhook", "view_replay", "view_article")
SEES_ALL = (*VIEWS, "see_payload")

# Each leads further only where it is followed by somebody who may.
SETS = [
    *((one,) for one in VIEWS),
    ("view_event", "view_invocation"),
    ("view_invocation", "view_webhook"),
    ("view_event", "view_article"),
    ("view_replay", "view_webhook"),
    VIEWS,
    SEES_ALL,
    ("see_payload",),
    ("resend_invocation",),
    (*SEES_ALL, "resend_invocation"),
]


@pytest.fixture(autouse=True)
def everything() -> None:
    webhook = make_webhook(
        url="https://hooks.example.com/T0/canary-path",
        headers={"X-Key": "canary-value"},
        signing_secret=SECRET,
        event_types=[],
    )
    Article.objects.create(title="News")
    event = make_event()
    make_invocation(
        webhook,
        event=event,
        status="failed",
        outcome="http_status",
        request_url="https://hooks.example.com/***",
        request_headers={"X-Key": "***"},
        request_body="sent-body",
        response_status=401,
        response_body="answered-body",
    )
    make_invocation(webhook, event=event, attempt=2, trigger="retry")
    now = timezone.now()
    Replay.objects.create(webhook=webhook, webhook_name=webhook.name, since=now, until=now)


def log_in(client: Client, permissions: tuple[str, ...]) -> None:
    with auditwebhooks.paused():
        user = User.objects.create_user("viewer", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)


def crawl(client: Client, *, with_filters: bool = False) -> dict[str, str]:
    """Every page that is reached by links from the front page."""
    pages: dict[str, str] = {}
    waiting = ["/admin/"]
    while waiting:
        url = waiting.pop()
        if url in pages:
            continue
        answer = client.get(url)
        assert answer.status_code == 200, url
        pages[url] = answer.content.decode()
        body = pages[url].split("<main", 1)[-1]
        found = (html.unescape(one) for one in re.findall(r'<a[^>]*href="([^"#]*)"', body))
        for one in found:
            if one.startswith(("/admin/auditwebhooks/", "/admin/testapp/")):
                waiting.append(one)
            elif with_filters and one.startswith("?") and "?" not in url:
                waiting.append(url + one)
    return pages


@pytest.mark.parametrize("permissions", SETS, ids="+".join)
def test_every_link_leads_somewhere_and_nothing_is_told(
    client: Client, permissions: tuple[str, ...]
) -> None:
    log_in(client, permissions)
    pages = crawl(client, with_filters=permissions == SEES_ALL)

    for page in pages.values():
        assert "canary" not in page
        assert SECRET not in page
        if "resend_invocation" not in permissions:
            assert "Send again" not in page
            assert "send_again" not in page
        assert 'name="_save"' not in page
        assert 'name="_test"' not in page
        assert "deletelink" not in page
        assert "addlink" not in page


def test_the_crawl_reaches_all_pages(client: Client) -> None:
    log_in(client, SEES_ALL)
    kinds = {re.sub(r"[0-9a-f]{8}-[0-9a-f-]+|\d+|\?.*", "", url) for url in crawl(client)}

    for kind in ("event", "invocation", "replay", "webhook"):
        assert f"/admin/auditwebhooks/{kind}/" in kinds
        assert f"/admin/auditwebhooks/{kind}//change/" in kinds
    assert "/admin/testapp/article//change/" in kinds
    assert "/admin/auditwebhooks/event//payload/" in kinds


# The metadata of the mock event has the first.
OF_PAYLOADS = ["203.0.113.7", "sent-body", "answered-body"]


def test_payloads_and_bodies_are_for_those_who_may_see_them(client: Client) -> None:
    log_in(client, SEES_ALL)
    pages = crawl(client)
    assert all(any(text in page for page in pages.values()) for text in OF_PAYLOADS)
    for text in ("auditwebhooks-diff", "Copy as curl"):
        assert any(text in page for page in pages.values())


@pytest.mark.parametrize("permissions", [VIEWS, (*VIEWS, "resend_invocation")], ids="+".join)
def test_nobody_else_sees_them(client: Client, permissions: tuple[str, ...]) -> None:
    log_in(client, permissions)
    pages = crawl(client)

    for url, page in pages.items():
        assert not [text for text in OF_PAYLOADS if text in page], url
        assert "auditwebhooks-diff" not in page
        assert "Copy as curl" not in page
        assert "/payload/" not in page
    told = "it takes the permission auditwebhooks.see_payload"
    assert {url.split("/")[3] for url, page in pages.items() if told in page} == {
        "event",
        "invocation",
    }
    event = Event.objects.latest("id")
    url = f"/admin/auditwebhooks/event/{event.pk}/payload/"
    assert client.get(url).status_code == 403


@pytest.mark.parametrize("permissions", [(), ("view_webhook",), ("see_payload",)])
def test_the_logs_are_for_their_viewers(client: Client, permissions: tuple[str, ...]) -> None:
    log_in(client, permissions)

    for kind in ("event", "invocation"):
        assert client.get(f"/admin/auditwebhooks/{kind}/").status_code == 403
        data = {"action": "send_again", "_selected_action": 1}
        assert client.post(f"/admin/auditwebhooks/{kind}/", data).status_code == 403


@pytest.mark.parametrize(
    ("model", "lookup"),
    [
        ("event", "payload_text__contains=a"),
        ("event", "payload_text__regex=a"),
        ("invocation", "request_body=sent-body"),
        ("invocation", "response_body__startswith=answered"),
        ("invocation", "event__payload_text__contains=a"),
    ],
)
@pytest.mark.parametrize("page", ["", "export/csv/", "send-again/"])
def test_a_list_does_not_tell_by_its_rows_what_is_in_payloads(
    client: Client, model: str, lookup: str, page: str
) -> None:
    log_in(client, ("view_event", "view_invocation", "resend_invocation"))
    url = f"/admin/auditwebhooks/{model}/{page}?{lookup}"

    answer = client.post(url) if page.startswith("export") else client.get(url)

    assert answer.status_code == 400

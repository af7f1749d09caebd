"""The app's page in the admin: whether deliveries go well."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

import auditwebhooks
from auditwebhooks import dashboard
from auditwebhooks.models import Wake, Webhook, WebhookHealth
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

URL = "/admin/auditwebhooks/"


def log_in(client: Client, *permissions: str) -> None:
    with auditwebhooks.paused():
        user = User.objects.create_user("staff", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)


@pytest.fixture
def operator(client: Client) -> Client:
    log_in(client, "view_event", "view_invocation", "view_webhook")
    return client


def quiet_webhook(**values: Any) -> Webhook:
    with auditwebhooks.paused():
        return make_webhook(**values)


def page_of(client: Client, url: str = URL) -> str:
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def words_of(page: str) -> str:
    board = page[page.index('class="auditwebhooks-board"') : page.index('id="content-main"')]
    return " ".join(re.sub(r"<[^>]+>", " ", board).replace("&#x27;", "'").split())


def seen(ago: timedelta) -> None:
    Wake.objects.update_or_create(
        slot=0,
        defaults={
            "state": "idle",
            "token": "",
            "until": timezone.now(),
            "seen_at": timezone.now() - ago,
        },
    )


def chart_of(page: str, name: str) -> str:
    [found] = [one for one in re.findall(r"<figure.*?</figure>", page, re.S) if name in one]
    return found


def numbers_of(page: str, name: str) -> list[tuple[str, ...]]:
    """The rows of a chart's table that have a number other than 0."""
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", chart_of(page, name), re.S)
    assert len(rows) == 24
    parts = [tuple(re.findall(r"(\d[\d:]*)<", row)) for row in rows]
    return [row for row in parts if set(row[1:]) != {"0"}]


def test_events_and_deliveries_by_hour(operator: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Kolkata"
    now = timezone.now()
    webhook = quiet_webhook()
    for back in (0, 3, 3):
        moment = now - timedelta(hours=back)
        event = make_event(created_at=moment, fanned_out_at=moment)
        status = "failed" if back == 0 else "succeeded"
        make_invocation(webhook, event=event, status=status, finished_at=moment)
    page = page_of(operator)

    first, last = (
        timezone.localtime(now - timedelta(hours=back)).strftime("%H:00") for back in (3, 0)
    )
    assert numbers_of(page, "auditwebhooks-events") == [(first, "2"), (last, "1")]
    assert numbers_of(page, "auditwebhooks-deliveries") == [(first, "2", "0"), (last, "0", "1")]
    assert "3 events" in words_of(page)
    assert "2 succeeded 1 failed" in words_of(page)


def test_a_chart_is_told_to_those_who_do_not_see_it(operator: Client) -> None:
    make_event()
    chart = chart_of(page_of(operator), "auditwebhooks-events")

    assert (
        'role="img" aria-labelledby="auditwebhooks-events-title auditwebhooks-events-desc"'
        in chart
    )
    assert '<title id="auditwebhooks-events-title">Events, 24 hours</title>' in chart
    assert "the highest stands for 1" in chart
    assert "<summary>As a table</summary>" in chart
    assert chart.count('class="auditwebhooks-bar-plain" x=') == 1


def test_nothing_is_drawn_where_nothing_was(operator: Client) -> None:
    page = page_of(operator)

    assert "<rect" not in chart_of(page, "Events, 24 hours").split("</figcaption>")[1]
    assert "There is none." in chart_of(page, "Deliveries, 24 hours")


@pytest.mark.parametrize("ago", [None, timedelta(minutes=3)])
def test_a_worker_that_is_not_there_is_told(operator: Client, ago: timedelta | None) -> None:
    if ago is not None:
        seen(ago)
    words = words_of(page_of(operator))

    assert "Worker no worker is running Start manage.py qcluster." in words


def test_a_worker_that_is_there_is_told(operator: Client) -> None:
    seen(timedelta(seconds=5))

    assert re.search(r"Worker running Last seen [5-9] seconds ago\.", words_of(page_of(operator)))


def test_sending_that_is_off_is_told(operator: Client, configure: Any) -> None:
    configure(SEND=False)

    assert "Worker sending is off" in words_of(page_of(operator))


def test_what_waits_and_since_when(operator: Client) -> None:
    seen(timedelta(seconds=5))
    webhook, now = quiet_webhook(), timezone.now()
    make_invocation(webhook, due_at=now - timedelta(minutes=7, seconds=5))
    make_invocation(webhook, due_at=now + timedelta(hours=1))
    make_event()
    page = page_of(operator)

    words = words_of(page)
    assert "Deliveries that wait 2" in words
    assert "The oldest of them is late by 7 minutes" in words.replace("\xa0", " ")
    assert "Events that wait for their webhooks 1" in words
    assert 'href="/admin/auditwebhooks/invocation/?status=pending"' in page
    # What the command says, too.
    assert "are more than 5 minutes late" in words


def test_failing_webhooks_are_named_the_worst_first(operator: Client) -> None:
    quiet_webhook(name="Good")
    shaky, gone = quiet_webhook(name="Shaky"), quiet_webhook(name="Gone")
    resting = quiet_webhook(name="Resting", active=False)
    WebhookHealth.objects.create(webhook=shaky, consecutive_failures=3)
    WebhookHealth.objects.create(webhook=resting, consecutive_failures=3)
    gone.switch_off_by_system()
    WebhookHealth.objects.create(webhook=gone, disabled_reason="The receiver answered 410 Gone.")
    page = page_of(operator)

    failing = page[page.index('id="auditwebhooks-failing"') : page.index("</section>")]
    assert re.findall(r'href="[^"]+/([\w-]+)/change/">(\w+)<', failing) == [
        (str(gone.pk), "Gone"),
        (str(shaky.pk), "Shaky"),
    ]
    assert "The receiver answered 410 Gone." in failing


def test_a_reason_is_told_in_the_reader_s_language(operator: Client, settings: Any) -> None:
    settings.LANGUAGE_CODE = "de"
    gone = quiet_webhook()
    gone.switch_off_by_system()
    WebhookHealth.objects.create(webhook=gone, disabled_reason="The receiver answered 410 Gone.")
    page = page_of(operator)

    failing = page[page.index('id="auditwebhooks-failing"') : page.index("</section>")]
    assert "Der Empfänger antwortete mit 410 Gone." in failing
    assert "The receiver answered" not in failing


def test_more_failing_webhooks_than_fit_are_counted(
    operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dashboard, "MOST", 1)
    for _number in range(3):
        WebhookHealth.objects.create(webhook=quiet_webhook(), consecutive_failures=1)

    assert "and 2 other webhooks" in words_of(page_of(operator))


@pytest.mark.parametrize(
    ("permission", "told"),
    [
        ("view_event", {"Events, 24", "Events that wait"}),
        ("view_invocation", {"Deliveries, 24", "Deliveries that wait"}),
        ("view_webhook", {"Deliveries that wait", "Failing webhooks", "A webhook with a name"}),
        ("change_webhook", {"Deliveries that wait", "Failing webhooks", "A webhook with a name"}),
    ],
)
def test_everybody_sees_only_what_they_may(
    client: Client, permission: str, told: set[str]
) -> None:
    log_in(client, permission)
    WebhookHealth.objects.create(
        webhook=quiet_webhook(name="A webhook with a name"), consecutive_failures=1
    )
    words = words_of(page_of(client))

    every = {
        "Events, 24",
        "Deliveries, 24",
        "Events that wait",
        "Deliveries that wait",
        "Failing webhooks",
        "A webhook with a name",
    }
    assert {one for one in every if one in words} == told
    assert "Worker" in words


def test_who_may_see_none_of_it_sees_no_board(client: Client) -> None:
    log_in(client, "view_replay")

    assert "auditwebhooks-board" not in page_of(client)


def test_another_app_s_page_is_as_ever(client: Client) -> None:
    with auditwebhooks.paused():
        client.force_login(User.objects.create_superuser("op"))

    assert "auditwebhooks-board" not in page_of(client, "/admin/auth/")


@pytest.mark.urls("tests.custom_sites")
def test_an_admin_of_the_host_s_own_shows_what_it_has(client: Client) -> None:
    log_in(client, "view_event", "view_invocation", "view_webhook")
    words = words_of(page_of(client, "/office/auditwebhooks/"))

    assert "Events, 24 hours" in words
    assert "Deliveries" not in words
    assert "Failing" not in words


def test_the_statements_do_not_grow(operator: Client, django_assert_max_num_queries: Any) -> None:
    for _number in range(20):
        webhook = quiet_webhook()
        WebhookHealth.objects.create(webhook=webhook, consecutive_failures=1)
        make_invocation(webhook, status="failed", finished_at=timezone.now())

    with django_assert_max_num_queries(15):
        page_of(operator)


@pytest.mark.parametrize("page", ["", "webhook/", "webhook/{}/change/"])
def test_a_cache_that_is_down_breaks_no_page(
    operator: Client, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    def down(*args: Any) -> None:
        raise ConnectionError

    webhook, now = quiet_webhook(), timezone.now()
    make_invocation(webhook, status="failed", started_at=now, finished_at=now)
    for method in ("get", "set"):
        monkeypatch.setattr(cache, method, down)

    told = page_of(operator, URL + page.format(webhook.pk))
    assert "0.0 %" in told if page == "webhook/" else "<rect" in told


def test_nothing_stands_inline(operator: Client) -> None:
    make_event()
    quiet = page_of(operator)
    board = quiet[quiet.index('class="auditwebhooks-board"') : quiet.index('id="content-main"')]

    assert not re.search(r"style=|<style|<script| on\w+=", board)


def test_numbers_of_the_picture_are_not_written_as_a_country_does(
    operator: Client, settings: Any
) -> None:
    settings.LANGUAGE_CODE = "de"
    settings.USE_THOUSAND_SEPARATOR = True
    make_event()
    chart = chart_of(page_of(operator), "auditwebhooks-events")

    values = re.findall(r' (?:x|y|width|height|x2|y2)="([^"]*)"', chart)
    assert values
    assert all(re.fullmatch(r"\d+(\.\d+)?", value) for value in values)


class TestOfOneWebhook:
    def test_its_page_shows_its_day(self, client: Client) -> None:
        log_in(client, "view_webhook")
        webhook, now = quiet_webhook(), timezone.now()
        for status in ("succeeded", "succeeded", "failed"):
            make_invocation(webhook, status=status, started_at=now)
        make_invocation(quiet_webhook(), status="failed", started_at=now)
        page = page_of(client, f"{URL}webhook/{webhook.pk}/change/")

        hour = timezone.localtime(now).strftime("%H:00")
        assert numbers_of(page, "auditwebhooks-attempts") == [(hour, "2", "1")]

    def test_without_attempts_there_is_no_picture(self, client: Client) -> None:
        log_in(client, "view_webhook", "add_webhook")
        page = page_of(client, f"{URL}webhook/{quiet_webhook().pk}/change/")

        assert "<figure" not in page
        assert "<figure" not in page_of(client, f"{URL}webhook/add/")

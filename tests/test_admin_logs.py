"""The lists of the logs: found by index, a page at a time, whatever there is."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import auditwebhooks
from auditwebhooks.admin import filters
from auditwebhooks.admin.logs import LogAdmin
from auditwebhooks.models import Event, Invocation
from tests.factories import make_event, make_invocation, make_webhook

pytestmark = pytest.mark.django_db

EVENTS = "/admin/auditwebhooks/event/"
INVOCATIONS = "/admin/auditwebhooks/invocation/"


@pytest.fixture(autouse=True)
def operator(client: Client) -> User:
    with auditwebhooks.paused():
        user = User.objects.create_superuser("op", "op@example.com", "pw")
        client.force_login(user)
    return user


@pytest.fixture
def short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LogAdmin, "list_per_page", 2)


def rows_of(page: str) -> str:
    return page[page.index("<tbody>") : page.index("</tbody>")]


@pytest.mark.parametrize("url", [EVENTS, INVOCATIONS])
@pytest.mark.parametrize("query", ["", "?p=2", "?all=", "?_facets=True", "?q=x", "?action=x"])
def test_a_list_counts_nothing_and_costs_few_queries(
    client: Client, short_pages: None, url: str, query: str
) -> None:
    webhook = make_webhook()
    for _number in range(5):
        make_invocation(webhook)
    with CaptureQueriesContext(connection) as queries:
        client.get(url + query)

    assert len(queries) <= 15
    told = [one["sql"].upper() for one in queries.captured_queries]
    assert not any("COUNT(" in sql or "DISTINCT" in sql for sql in told)
    of_logs = [sql for sql in told if re.search(r"FROM \W?AUDITWEBHOOKS_(E|I)", sql)]
    assert all(re.search(r"LIMIT|\WID\W? IN \(", sql) for sql in of_logs)


def test_pages_are_followed_by_links(client: Client, short_pages: None) -> None:
    for number in range(5):
        make_event(target_name=f"No. {number}")

    seen, url = [], ""
    for _page in range(9):
        page = client.get(EVENTS + url).content.decode()
        seen.append(re.findall(r">access flow: (No\. \d)", page))
        older = re.search(r'href="([^"]+)" rel="next"', page)
        if older is None:
            break
        url = older[1]

    assert seen == [["No. 4", "No. 3"], ["No. 2", "No. 1"], ["No. 0"]]
    assert "5–5" in page.replace("&ndash;", "–")
    newer = re.search(r'href="([^"]+)" rel="prev"', page)
    assert newer is not None
    assert newer[1] == "?p=2"


@pytest.mark.parametrize("number", ["0", "-1", "99999999999999999999"])
def test_a_page_that_cannot_be_is_refused_kindly(client: Client, number: str) -> None:
    assert client.get(f"{EVENTS}?p={number}").status_code == 302


def test_an_empty_list_says_so(client: Client) -> None:
    page = client.get(f"{EVENTS}?q=nothing-like-it").content.decode()

    assert "None" in page
    assert 'rel="next"' not in page


def test_what_lies_before_a_page_is_joined_with_nothing(client: Client, short_pages: None) -> None:
    made = [make_invocation(make_webhook()) for _number in range(5)]
    with CaptureQueriesContext(connection) as queries:
        page = client.get(f"{INVOCATIONS}?p=2")

    [passing] = [one["sql"] for one in queries.captured_queries if "OFFSET" in one["sql"]]
    assert "JOIN" not in passing
    assert list(page.context["cl"].result_list) == made[2:0:-1]


def test_a_page_that_is_full_has_no_other_behind_it(client: Client, short_pages: None) -> None:
    for _number in range(2):
        make_event()

    assert 'rel="next"' not in client.get(EVENTS).content.decode()


def test_the_actions_offer_all_that_match(client: Client, short_pages: None) -> None:
    for _number in range(2):
        make_event()
    assert "Select all that match" not in client.get(EVENTS).content.decode()
    make_event()

    page = client.get(EVENTS).content.decode()
    assert "Select all that match" in page
    assert "All that match are selected" in page
    assert not re.search(r"Select all \d", page)


def test_a_list_is_not_sorted_otherwise(client: Client) -> None:
    make_event(action="first")
    make_event(action="second")
    page = client.get(f"{EVENTS}?o=1").content.decode()

    assert "sortable" not in page[page.index("<thead>") : page.index("<tbody>")]
    rows = rows_of(page)
    assert rows.index("second") < rows.index("first")


def shown(client: Client, query: str) -> list[str]:
    """The targets that a list of events shows."""
    page = client.get(EVENTS + query)
    assert page.status_code == 200, query
    return [event.target_name for event in page.context["cl"].result_list]


def choices(client: Client, url: str, title: str) -> dict[str, str]:
    """Words -> query of one filter's choices."""
    changelist = client.get(url).context["cl"]
    [spec] = [one for one in changelist.filter_specs if str(one.title) == title]
    return {str(one["display"]): one["query_string"] for one in spec.choices(changelist)}


@pytest.mark.parametrize(
    ("title", "words", "values"),
    [
        ("action", "delete", {"action": "delete"}),
        ("action", "approve", {"action": "approve"}),
        ("source", "Terraform", {"source": "Terraform"}),
        ("source", "robot", {"source": "robot"}),
        ("target type", "bank account", {"target_type": "bank account"}),
        ("target type", "gadget", {"target_type": "gadget"}),
    ],
)
def test_events_are_filtered_by_what_is_known_or_was_seen(
    client: Client, title: str, words: str, values: dict[str, str]
) -> None:
    make_event(target_name="other")
    make_event(target_name="looked for", **values)

    offered = choices(client, EVENTS, title)
    assert shown(client, offered[words]) == ["looked for"]
    assert shown(client, offered["All"]) == ["looked for", "other"]


def test_a_word_of_the_host_s_own_that_is_long_past_is_a_choice_while_it_is_chosen(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filters, "LATEST", 1)
    make_event(target_name="old", action="approve")
    make_event(target_name="new")

    assert "approve" not in choices(client, EVENTS, "action")
    assert "approve" in choices(client, f"{EVENTS}?action=approve", "action")
    assert shown(client, "?action=approve") == ["old"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Any time", ["hour", "days", "weeks", "months"]),
        ("Last 24 hours", ["hour"]),
        ("Last 7 days", ["hour", "days"]),
        ("Last 30 days", ["hour", "days", "weeks"]),
    ],
)
def test_the_last_days(client: Client, words: str, expected: list[str]) -> None:
    now = timezone.now()
    for name, days in (("months", 70), ("weeks", 20), ("days", 2), ("hour", 0)):
        make_event(target_name=name, created_at=now - timedelta(days=days, hours=1))

    assert shown(client, choices(client, EVENTS, "time")[words]) == expected


def test_an_absolute_range_in_the_viewer_s_zone(client: Client, settings: Any) -> None:
    settings.TIME_ZONE = "Asia/Tokyo"
    for hour in (1, 2, 3):
        moment = datetime(2026, 3, 1, hour, tzinfo=UTC)
        make_event(target_name=str(hour), created_at=moment)

    query = "?since=2026-03-01T11:00&until=2026-03-01T12:00&q=&span="
    assert shown(client, query) == ["2"]
    page = client.get(EVENTS + query + "&source=web+application").content.decode()
    assert 'name="since" value="2026-03-01T11:00"' in page
    assert '<input type="hidden" name="source" value="web application">' in page


@pytest.mark.parametrize(
    "query",
    [
        "?since=2026-03-01T11:00&until=2026-03-01T12:00",
        # In zones of their own, as a script may ask.
        "?since=2026-03-01T02:00Z&until=2026-03-01T12:00%2B09:00",
    ],
)
def test_a_range_where_the_host_has_no_time_zones(
    client: Client, settings: Any, query: str
) -> None:
    settings.USE_TZ, settings.TIME_ZONE = False, "Asia/Tokyo"
    for hour in (10, 11, 12):
        make_event(target_name=str(hour), created_at=datetime(2026, 3, 1, hour))

    assert shown(client, query) == ["11"]
    assert shown(client, f"{query}&span=24h") == []


@pytest.mark.parametrize(
    "query",
    [
        "since=soon",
        "until=0001-01-01T00:00",
        "since=9999-12-31T23:59",
        "span=1y",
        "since=2026-13-01T00:00",
        "action=%00",
        "q=%00",
    ],
)
def test_a_value_that_cannot_be_is_refused_kindly(client: Client, query: str) -> None:
    assert client.get(f"{EVENTS}?{query}").status_code in (200, 302)


def test_the_search_finds_ids_in_full(client: Client) -> None:
    event = make_event(
        target_name="one", target_id="T 42", actor_id="ada@example.com", event_type="own.thing"
    )
    make_event(target_name="other", target_id="T 4", actor_id="bob@example.com")

    for term in ("T 42", " ada@example.com ", event.event_id, "own.thing"):
        assert shown(client, "?" + urlencode({"q": term})) == ["one"], term
    assert shown(client, "?q=T") == []
    assert "in full" in client.get(EVENTS).content.decode()


@pytest.fixture
def many_events() -> None:
    """So many that PostgreSQL would not read them as a whole to find a few."""
    one = make_event()
    Event.objects.bulk_create(
        Event(**{**values_of(one), "event_id": f"{number:036x}", "target_id": str(number)})
        for number in range(3000)
    )
    with connection.cursor() as db:
        db.execute("ANALYZE auditwebhooks_event")


@pytest.fixture
def many_invocations() -> None:
    one = make_invocation(make_webhook())
    Invocation.objects.bulk_create(Invocation(**values_of(one)) for _number in range(3000))
    with connection.cursor() as db:
        db.execute("ANALYZE auditwebhooks_invocation")


def values_of(row: Model) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.fields[1:]}


def plans_of(client: Client, url: str) -> list[str]:
    """Of what is asked of the logs."""
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    asked = [one["sql"] for one in queries.captured_queries]
    plans = []
    with connection.cursor() as db:
        for sql in asked:
            if re.search(r'FROM "auditwebhooks_(event|invocation)"', sql):
                db.execute(f"EXPLAIN {sql}")
                plans.append("\n".join(line for (line,) in db.fetchall()))
    return plans


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="plans are PostgreSQL's")
@pytest.mark.parametrize("term", ["testapp.article.updated", "77", "absent"])
def test_a_search_reads_no_table_however_many_rows_have_the_term(
    client: Client, many_events: None, term: str
) -> None:
    plans = plans_of(client, f"{EVENTS}?q={term}")

    assert len(plans) >= 4
    assert not [plan for plan in plans if "Seq Scan" in plan]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="plans are PostgreSQL's")
@pytest.mark.parametrize("name", ["action", "source"])
def test_what_no_event_has_is_looked_for_among_few(
    client: Client, many_events: None, name: str
) -> None:
    """Not along the time, passing over all there are."""
    assert f"auditwebhooks_event_{name}" in plans_of(client, f"{EVENTS}?{name}=absent")[-1]


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="plans are PostgreSQL's")
@pytest.mark.parametrize("trigger", ["retry", "manual", "replay", "test"])
def test_what_was_asked_for_is_looked_for_among_few(
    client: Client, many_invocations: None, trigger: str
) -> None:
    plan = plans_of(client, f"{INVOCATIONS}?trigger={trigger}")[-1]

    assert "auditwebhooks_inv_trigger" in plan


def test_an_index_with_a_condition_is_no_warning() -> None:
    assert Invocation.check(databases=["default"]) == []


def test_invocations_are_filtered(client: Client) -> None:
    mine, other = make_webhook(name="Mine"), make_webhook(name="Other")
    make_invocation(other, status="succeeded", outcome="success")
    failed = make_invocation(mine, status="failed", outcome="tls", trigger="manual")

    for title, words in (
        ("webhook", "Mine"),
        ("status", "failed"),
        ("outcome", "TLS"),
        ("trigger", "manual"),
    ):
        query = choices(client, INVOCATIONS, title)[words]
        found = client.get(INVOCATIONS + query).context["cl"].result_list
        assert found == [failed], title
    assert client.get(f"{INVOCATIONS}?webhook=nonsense").status_code == 302

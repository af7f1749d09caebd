"""Pages of the API's lists: every row once, whatever happens meanwhile, and found by index."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from auditwebhooks.models import Event, Invocation
from tests.factories import make_event, make_invocation, make_webhook, someone

pytestmark = pytest.mark.django_db

EVENTS = "/api/audit/events/"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def client() -> APIClient:
    client = someone("view_event", "view_invocation", "view_webhook")
    # What making the user recorded.
    Event.objects.all()._raw_delete("default")
    return client


def follow(client: APIClient, url: str, link: str = "next") -> list[list[Any]]:
    pages = []
    while url:
        answer = client.get(url)
        assert answer.status_code == 200, answer.content
        page = answer.json()
        pages.append([one["target_name"] for one in page["results"]])
        url = page[link]
    return pages


def cursor(*values: Any) -> str:
    return urlsafe_b64encode(json.dumps(values).encode()).decode()


@pytest.mark.parametrize("ordering", ["-created_at", "created_at", "-id", "id"])
def test_every_row_is_told_once_in_its_order(client: APIClient, ordering: str) -> None:
    """Also rows of one time, which are those of one bulk write."""
    for number in range(7):
        make_event(target_name=str(number), created_at=NOON + timedelta(seconds=number // 4))
    names = [str(number) for number in range(7)]
    expected = names[::-1] if ordering.startswith("-") else names

    pages = follow(client, f"{EVENTS}?ordering={ordering}&page_size=3")

    assert pages == [expected[:3], expected[3:6], expected[6:]]


def test_the_default_is_newest_first(client: APIClient) -> None:
    for number in (1, 3, 2):
        make_event(target_name=str(number), created_at=NOON + timedelta(seconds=number))

    assert follow(client, EVENTS) == [["3", "2", "1"]]


def test_the_way_back_is_the_way_there(client: APIClient) -> None:
    for number in range(7):
        make_event(target_name=str(number), created_at=NOON)
    url = f"{EVENTS}?page_size=3"
    there = follow(client, url)
    last = url
    while behind := client.get(last).json()["next"]:
        last = behind

    assert follow(client, last, "previous") == there[::-1]
    assert client.get(url).json()["previous"] is None


def test_rows_that_come_meanwhile_move_nothing(client: APIClient) -> None:
    for number in range(4):
        make_event(target_name=str(number), created_at=NOON)
    first = client.get(f"{EVENTS}?page_size=2").json()
    make_event(target_name="new", created_at=NOON)

    second = client.get(first["next"]).json()
    assert [one["target_name"] for one in second["results"]] == ["1", "0"]
    back = client.get(second["previous"]).json()
    assert [one["target_name"] for one in back["results"]] == ["3", "2"]
    newest = client.get(back["previous"]).json()
    assert [one["target_name"] for one in newest["results"]] == ["new"]


def test_rows_that_go_meanwhile_leave_a_way(client: APIClient) -> None:
    for number in range(4):
        make_event(target_name=str(number), created_at=NOON)
    first = client.get(f"{EVENTS}?page_size=2").json()
    second = client.get(first["next"]).json()
    Event.objects.filter(target_name__in="01")._raw_delete("default")

    emptied = client.get(first["next"]).json()
    assert (emptied["results"], emptied["next"]) == ([], None)
    assert follow(client, emptied["previous"], "previous") == [["3", "2"]]
    Event.objects.all()._raw_delete("default")
    nothing = client.get(second["previous"]).json()
    assert (nothing["results"], nothing["previous"]) == ([], None)
    assert client.get(nothing["next"]).json()["results"] == []


@pytest.mark.parametrize("kind", ["events", "invocations", "webhooks"])
@pytest.mark.parametrize(
    "forged",
    [
        "x",
        "é",
        "%00",
        cursor(),
        cursor(0),
        cursor(0, "x"),
        cursor(0, []),
        cursor(0, ["x", "1"]),
        cursor(0, [None, None]),
        cursor(0, ["2026-01-01T00:00:00", "1"]),
        cursor(0, ["0001-01-01T00:00:00+14:00", "1"]),
        cursor(0, ["2026-01-01T00:00:00Z", "x"]),
        cursor(0, ["2026-01-01T00:00:00Z", "1" * 30]),
        cursor(0, ["2026-01-01T00:00:00Z", "\x00"]),
        cursor(0, ["2026-01-01T00:00:00Z", "1", "1"]),
        urlsafe_b64encode(b"[" * 5000).decode(),
        urlsafe_b64encode(b"\xff").decode(),
        "cD0xMg==",
    ],
)
def test_a_cursor_that_no_page_gave_is_refused(client: APIClient, kind: str, forged: str) -> None:
    answer = client.get(f"/api/audit/{kind}/?cursor={forged}")

    assert answer.status_code == 400
    assert list(answer.json()) == ["cursor"]


@pytest.mark.parametrize("ordering", ["-id", "id"])
@pytest.mark.parametrize("number", ["-1", "1" * 30, "x", "1.5", ""])
def test_an_id_that_no_row_can_have_is_refused(
    client: APIClient, ordering: str, number: str
) -> None:
    answer = client.get(f"{EVENTS}?ordering={ordering}&cursor={cursor(0, [number])}")

    assert answer.status_code in ({200} if number == "-1" else {400}), answer.json()


@pytest.mark.parametrize("size", ["0", "-1", "501", "x", "1.5", "+5", "٣", "1_0", "9" * 30])
def test_a_page_of_no_size_is_refused(client: APIClient, size: str) -> None:
    answer = client.get(EVENTS, {"page_size": size})

    assert (answer.status_code, answer.json()) == (
        400,
        {"page_size": ["Enter a whole number from 1 to 500."]},
    )


@pytest.mark.parametrize("ordering", ["payload", "-name", "--id", "id,created_at", "pk"])
def test_an_order_without_an_index_is_refused(client: APIClient, ordering: str) -> None:
    assert client.get(EVENTS, {"ordering": ordering}).json() == {
        "ordering": ["Known: -created_at, created_at, -id, id."]
    }


def plan_of(client: APIClient, url: str, query: dict[str, Any]) -> str:
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(url, query)
    assert answer.status_code == 200, answer.json()
    # The rows are read by the keys that the one before found.
    [*_others, keys, rows] = [one["sql"] for one in queries.captured_queries]
    assert "LIMIT" in keys
    assert "LIMIT" not in rows
    with connection.cursor() as db:
        db.execute(f"EXPLAIN {keys}")
        return "\n".join(line for (line,) in db.fetchall())


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="plans are PostgreSQL's")
@pytest.mark.parametrize("behind", [False, True])
def test_every_list_goes_along_an_index(client: APIClient, behind: bool) -> None:
    """As it does with a million rows: so few as here are read as a whole unless that is off."""
    webhook = make_webhook()
    event = make_event()
    for _number in range(3):
        make_invocation(webhook, event=event, outcome="timeout", response_status=500)
    with connection.cursor() as db:
        db.execute("SET LOCAL enable_seqscan = off")
    for kind, model in (("events", Event), ("invocations", Invocation), ("webhooks", None)):
        url = f"/api/audit/{kind}/"
        [reason] = client.get(f"{url}?x=").json()["x"]
        known = set(reason.removesuffix(".").split("Known: ")[1].split(", "))
        shown = client.get(url).json()["results"][0]
        filters = known - {"cursor", "include", "ordering", "page_size"}
        shown["active"] = "true"
        asked = [{}, *({name: shown[name.partition("__")[0]]} for name in sorted(filters))]
        orders = [*({"ordering": one} for one in ("created_at", "-created_at"))]
        orders += [] if model is None else [{"ordering": "id"}, {"ordering": "-id"}]
        for query in [*asked, *orders]:
            given = {
                k: str(v).lower() if v is True else v for k, v in query.items() if v is not None
            }
            if behind:
                link = client.get(url, {**given, "page_size": 1}).json()["next"]
                if link is None:
                    continue
                plan = plan_of(client, link, {})
            else:
                plan = plan_of(client, url, given)
            assert "Seq Scan" not in plan, (url, given, plan)
            assert "Index" in plan, (url, given, plan)


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="others pass rows on by index alone")
@pytest.mark.parametrize(
    "query", [{"source": "API"}, {"action": "x"}, {"created_at__gte": "2026-01-01T00:00:00Z"}]
)
def test_rows_that_are_passed_on_are_not_read(client: APIClient, query: dict[str, Any]) -> None:
    """MariaDB reads each of them whole, unless an index tells all that is asked for."""
    for _number in range(3):
        make_event(source="API", action="x")
    with CaptureQueriesContext(connection) as queries:
        assert client.get(EVENTS, query).json()["results"]
    keys = queries.captured_queries[-2]["sql"]
    with connection.cursor() as db:
        db.execute(f"EXPLAIN {keys}")
        [plan] = db.fetchall()
    assert plan[5] == "auditwebhooks_event_time"
    assert "Using index" in plan[-1]

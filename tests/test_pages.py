"""Pages of the API's lists: every row once, whatever happens meanwhile, and found by index."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from auditwebhooks.models import Event
from auditwebhooks.querysets import rows_between
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


Plan = list[dict[str, Any]]


def queries_of(client: APIClient, url: str, query: dict[str, Any]) -> list[str]:
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(url, query)
    assert answer.status_code == 200, answer.json()
    return [one["sql"] for one in queries.captured_queries]


def plan_of(sql: str) -> Plan:
    """Its steps, in the columns that the database tells them in."""
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    with connection.cursor() as db:
        db.execute(f"{explain} {sql}")
        names = [column[0] for column in db.description]
        return [dict(zip(names, row, strict=True)) for row in db.fetchall()]


def plans(client: APIClient, behind: bool) -> Iterator[tuple[Any, Plan]]:
    """Of each list, filter and order; ``behind``: of the second page."""
    for kind in ("events", "invocations", "webhooks"):
        url = f"/api/audit/{kind}/"
        for given in [*filters_of(client, url), *orders_of(kind)]:
            if not behind:
                yield (kind, given), plan_of(queries_of(client, url, given)[-1])
            elif link := client.get(url, {**given, "page_size": 1}).json()["next"]:
                yield (kind, given), plan_of(queries_of(client, link, {})[-1])


def filters_of(client: APIClient, url: str) -> list[dict[str, str]]:
    """None, and each filter that there is with what the first row has."""
    [reason] = client.get(f"{url}?x=").json()["x"]
    known = set(reason.removesuffix(".").split("Known: ")[1].split(", "))
    shown = {**client.get(url).json()["results"][0], "active": "true"}
    filters = sorted(known - {"cursor", "include", "ordering", "page_size"})
    given = {name: shown[name.partition("__")[0]] for name in filters}
    return [{}, *({name: str(value)} for name, value in given.items() if value is not None)]


def orders_of(kind: str) -> list[dict[str, str]]:
    columns = ["created_at"] if kind == "webhooks" else ["created_at", "id"]
    return [{"ordering": f"{sign}{column}"} for column in columns for sign in ("", "-")]


@pytest.fixture
def rows() -> None:
    webhook = make_webhook()
    event = make_event()
    for status in ("succeeded", "pending", "succeeded", "succeeded"):
        make_invocation(
            webhook, event=event, status=status, outcome="timeout", response_status=500
        )


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="plans are PostgreSQL's")
@pytest.mark.parametrize("behind", [False, True])
def test_every_list_goes_along_an_index(client: APIClient, rows: None, behind: bool) -> None:
    """As it does with a million rows: so few as here are read as a whole unless that is off."""
    with connection.cursor() as db:
        db.execute("SET LOCAL enable_seqscan = off")
    for asked, steps in plans(client, behind):
        plan = "\n".join(step["QUERY PLAN"] for step in steps)
        assert "Seq Scan" not in plan, (asked, plan)
        assert "Index" in plan, (asked, plan)


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="plans are SQLite's")
@pytest.mark.parametrize("behind", [False, True])
def test_no_list_is_sorted(client: APIClient, rows: None, behind: bool) -> None:
    """SQLite's plans do not depend on how many rows there are. A table that it scans without an
    index is read in the order of its ids."""
    for asked, steps in plans(client, behind):
        told = [step["detail"] for step in steps]
        assert not any("TEMP B-TREE" in step for step in told), (asked, told)
        scanned = [step for step in told if step.startswith("SCAN") and "INDEX" not in step]
        assert not scanned or asked[1].get("ordering") in ("id", "-id"), (asked, told)


# The status has an index of its own, too, which the database may choose.
BY_INDEX = [
    *(("events", name) for name in ("action", "source")),
    *(("invocations", name) for name in ("webhook_name", "trigger", "attempt")),
    *(("invocations", name) for name in ("outcome", "response_status")),
    *(("webhooks", name) for name in ("active", "method")),
]


@pytest.mark.skipif("connection.vendor != 'mysql'", reason="the others need no keys first")
@pytest.mark.parametrize(("kind", "name"), BY_INDEX)
def test_rows_that_a_filter_passes_over_are_not_read(
    client: APIClient, rows: None, kind: str, name: str
) -> None:
    url = f"/api/audit/{kind}/"
    [given] = [one for one in filters_of(client, url) if name in one]
    *_before, keys, found = queries_of(client, url, given)

    [step] = plan_of(keys)
    told = step["Extra"].split("; ")
    assert "Using index" in told, step
    assert "Using filesort" not in told, step
    assert " IN (" in found


def test_what_finished_since_then_is_all_that_ended(client: APIClient) -> None:
    webhook = make_webhook()
    for seconds, status in enumerate(("succeeded", "failed", "succeeded", "failed")):
        finished = NOON + timedelta(seconds=seconds)
        make_invocation(webhook, status=status, finished_at=finished, attempt=seconds)
    make_invocation(webhook, status="pending")
    make_invocation(webhook, status="sending")

    url = "/api/audit/invocations/"
    answer = client.get(url, {"finished_at__gte": (NOON + timedelta(seconds=1)).isoformat()})

    assert [one["attempt"] for one in answer.json()["results"]] == [3, 2, 1]


@pytest.mark.parametrize("order", ["-created_at", "id"])
def test_a_row_that_is_deleted_between_two_queries_ends_no_list(
    monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    made = [make_event(action="x", created_at=NOON + timedelta(seconds=one)) for one in range(4)]
    expected = made[::-1] if order.startswith("-") else made
    in_bulk = QuerySet.in_bulk

    def late(self: Any, keys: Any) -> Any:
        Event.objects.filter(pk=expected[0].pk)._raw_delete("default")
        return in_bulk(self, keys)

    listed = Event.objects.filter(action="x").order_by(order)
    assert rows_between(listed, 1, 3) == expected[1:3]
    monkeypatch.setattr(QuerySet, "in_bulk", late)
    page = rows_between(listed, 0, 3)
    assert page == (expected[1:4] if connection.vendor == "mysql" else expected[:3])

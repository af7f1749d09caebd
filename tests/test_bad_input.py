"""Input that nobody asked for: an audited write takes what the host's own write takes, and an
event says where it could not hold something whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps.registry import Apps
from django.db import connection, models, transaction
from django.test import Client
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe

import auditwebhooks
from auditwebhooks import instrument
from auditwebhooks.capture import cuts
from auditwebhooks.capture.snapshot import snapshot
from auditwebhooks.models import Event
from auditwebhooks.registry import Options, registry
from tests.testapp.models import Article, Everything

pytestmark = pytest.mark.django_db

MEGABYTE = 1024 * 1024
NOT_FINITE = {"values": [float("nan"), float("inf"), float("-inf")]}


def last() -> dict[str, Any]:
    data: dict[str, Any] = Event.objects.latest("id").payload["data"]
    return data


def nested(depth: int, inmost: Any = 1) -> Any:
    for _ in range(depth):
        inmost = [inmost]
    return inmost


def summary(value: Any) -> dict[str, Any]:
    """What stands for a value that had no room."""
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return {"bytes": len(text), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def is_taken(write: Callable[[], object]) -> bool:
    """Whether the database takes this write of the host's: if so it is recorded once."""
    before = Event.objects.count()
    try:
        with auditwebhooks.paused(), transaction.atomic():
            write()
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    except Exception as refusal:  # noqa: BLE001 - drivers raise errors of their own
        with pytest.raises(type(refusal)), transaction.atomic():
            write()
        assert Event.objects.count() == before
        return False
    write()
    assert Event.objects.count() == before + 1
    return True


# --- values -------------------------------------------------------------------------------


def test_numbers_that_are_no_numbers_are_text() -> None:
    auditwebhooks.record("measure", target=Everything(data=NOT_FINITE), metadata=NOT_FINITE)

    data = last()
    assert data["metadata"] == {"values": ["nan", "inf", "-inf"]}
    assert data["current_target_object"]["data"] == {"values": ["nan", "inf", "-inf"]}


@pytest.mark.parametrize("ratio", [float("nan"), float("inf")])
def test_a_float_that_is_no_number_is_told_as_it_is_stored(ratio: float) -> None:
    if is_taken(lambda: Everything.objects.create(ratio=ratio)):
        stored = Everything.objects.get().ratio
        expected = None if stored is None else str(stored)
        assert last()["current_target_object"]["ratio"] == expected


@pytest.mark.parametrize("value", [NOT_FINITE, {"a": "\x00"}, {"\ud800": "\udfff"}])
def test_json_that_some_databases_refuse(value: Any) -> None:
    if is_taken(lambda: Everything.objects.create(data=value)):
        assert last()["current_target_object"]["data"] == Everything.objects.get().data


@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b", "a\udc80b"])
def test_texts_that_some_databases_refuse(text: str) -> None:
    if is_taken(lambda: Article.objects.create(title=text)):
        data = last()
        assert data["current_target_object"]["title"] == data["target_name"] == text
        assert Event.objects.get().target_name == text.replace("\x00", "\ufffd")
        assert data["metadata"]["cut"] == ["target_name"]


def test_any_text_is_kept_whole_in_the_payload_and_replaced_in_the_columns() -> None:
    text = "nul\x00 high\ud800 low\udc80"
    with auditwebhooks.context(actor=text, source=text, **{text: text}):
        auditwebhooks.record(text, target=Article(title=text), metadata={"more": text})

    event = Event.objects.get()
    data = event.payload["data"]
    assert data["actor_id"] == data["source"] == data["action"] == data["target_name"] == text
    assert data["metadata"][text] == data["metadata"]["more"] == text
    assert event.actor_id == event.source == event.target_name == "nul\ufffd high? low?"
    assert data["metadata"]["cut"] == [
        "event_type",
        "action",
        "actor_id",
        "actor_name",
        "source",
        "target_name",
    ]


def test_integers_of_any_length_are_text() -> None:
    number = 10**10_000
    auditwebhooks.record("count", target=Everything(data=[number]), metadata={"number": number})

    data = last()
    assert int(data["metadata"]["number"], 16) == number
    assert int(data["current_target_object"]["data"][0], 16) == number


def test_integers_as_long_as_python_writes_them_are_digits() -> None:
    Everything.objects.create(data=[10**4000])
    assert last()["current_target_object"]["data"] == ["1" + "0" * 4000]


def test_nothing_is_said_where_everything_is_whole() -> None:
    Article.objects.create(title="ü" * 100, text="x" * 1000, options=nested(25))
    assert "cut" not in last()["metadata"]


# --- nesting ------------------------------------------------------------------------------


def test_what_is_nested_too_deeply_is_cut_and_said() -> None:
    auditwebhooks.record(
        "look",
        target=Article(options=nested(100), text="kept"),
        metadata={"deep": {"a": nested(5000)}, "flat": 1},
    )

    data = last()
    assert data["metadata"]["cut"] == ["metadata.deep", "current_target_object.options"]
    assert "(nested too deeply)" in json.dumps(data["metadata"]["deep"])
    assert data["current_target_object"]["text"] == "kept"


def test_the_words_of_the_cut_in_the_host_s_own_text_are_no_cut() -> None:
    Article.objects.create(title="x", options={"a": "(nested too deeply)"})
    assert "cut" not in last()["metadata"]


def test_a_change_below_the_cut_is_still_a_change() -> None:
    if connection.vendor == "mysql":
        pytest.skip("MariaDB takes no JSON as deep")
    article = Article.objects.create(title="x", options=nested(100, 1))
    article.options = nested(100, 2)
    article.save()
    article.save()
    Article.objects.update(options=nested(100, 3))

    events = [event.payload["data"]["metadata"] for event in Event.objects.order_by("id")]
    both = ["current_target_object.options", "previous_target_object.options"]
    assert [one["cut"] for one in events] == [both[:1], both, both]
    assert [one.get("changed_fields") for one in events] == [None, ["options"], ["options"]]


def test_data_that_holds_itself_twice_ends() -> None:
    loop: list[Any] = []
    loop += [loop, loop, {"again": loop}]
    auditwebhooks.record("loop", metadata={"loop": loop})

    cut = "(nested too deeply)"
    assert last()["metadata"] == {
        "loop": [cut, cut, {"again": cut}],
        "cut": ["metadata.loop"],
    }


# --- names --------------------------------------------------------------------------------


def never_ends(self: Any) -> str:
    return str(self)


def raises(self: Any) -> str:
    raise LookupError


@pytest.mark.parametrize(
    "text",
    [never_ends, raises, lambda self: None, lambda self: 5, lambda self: lazystr("lazy")],
    ids=["never ends", "raises", "None", "number", "lazy"],
)
@pytest.mark.parametrize("bulk", [False, True])
def test_a_str_that_gives_no_text(monkeypatch: pytest.MonkeyPatch, text: Any, bulk: bool) -> None:
    monkeypatch.setattr(Article, "__str__", text)
    article = Article.objects.create(title="x")
    if bulk:
        Article.objects.update(title="y")
    else:
        article.delete()

    names = set(Event.objects.values_list("target_name", flat=True))
    assert names == {f"Article object ({article.pk or last()['target_id']})"}


def test_a_name_of_a_megabyte_is_whole_in_the_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Article, "__str__", lambda self: "ü" * MEGABYTE)
    Article.objects.create(title="x")

    event = Event.objects.get()
    assert event.target_name == "ü" * 255
    assert event.payload["data"]["target_name"] == "ü" * MEGABYTE
    assert event.payload["data"]["metadata"]["cut"] == ["target_name"]


def test_safe_and_lazy_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Article, "__str__", lambda self: mark_safe("<b>x</b>"))  # noqa: S308
    lazy: Any = lazystr("lazy")
    with auditwebhooks.context(actor=lazy, source=lazy, more=lazy):
        Article.objects.create(title=lazy)
        Article.objects.bulk_create([Article(title=mark_safe("y"))])  # noqa: S308

    first, second = (event.payload["data"] for event in Event.objects.order_by("id"))
    assert first["target_name"] == second["target_name"] == "<b>x</b>"
    assert first["actor_id"] == first["source"] == first["metadata"]["more"] == "lazy"
    assert first["actor_type"] == "service_account"
    assert first["current_target_object"]["title"] == "lazy"
    assert second["current_target_object"]["title"] == "y"


# --- size ---------------------------------------------------------------------------------


def test_a_megabyte_of_json_is_recorded_whole() -> None:
    """Twelve bytes of the stored text for four of the value is the most that there is."""
    value = {"foxes": ["🦊" * 1024] * (MEGABYTE // 4096)}
    article = Article.objects.create(title="x", options=value)
    article.options = {**value, "more": 1}
    article.save()

    data = last()
    assert data["previous_target_object"]["options"] == value
    assert data["current_target_object"]["options"] == {**value, "more": 1}
    assert "cut" not in data["metadata"]


def test_what_has_no_room_is_told_by_its_digest() -> None:
    """The host's own statement still fits a packet of MariaDB; both texts would not."""
    before, after = "a" * 5 * MEGABYTE, "b" * 5 * MEGABYTE
    article = Article.objects.create(title="x", text=before)
    assert "cut" not in last()["metadata"]
    article.text = after
    article.save()

    data = last()
    assert data["metadata"]["changed_fields"] == ["text"]
    assert data["metadata"]["cut"] == ["previous_target_object.text"]
    assert data["previous_target_object"]["text"] == summary(before)
    assert data["current_target_object"]["text"] == after
    assert data["current_target_object"]["title"] == "x"


@pytest.mark.parametrize("letter", ['"', "\\"])
def test_letters_that_a_statement_doubles_still_fit(letter: str) -> None:
    """Once by JSON, and once more by MariaDB's driver."""
    Article.objects.create(title="x", text=letter * 3 * MEGABYTE)
    Article.objects.bulk_create([Article(title="y", text=letter * 3 * MEGABYTE)] * 1)
    Article.objects.update(text=letter * (3 * MEGABYTE + 1))

    assert Event.objects.count() == 4
    for event in Event.objects.all():
        assert len(event.payload_text) <= cuts.MAX_LENGTH


def test_a_server_with_smaller_packets_gets_smaller_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if connection.vendor != "mysql":
        pytest.skip("only MariaDB and MySQL limit packets")
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@max_allowed_packet")
        (packet,) = cursor.fetchone()
    monkeypatch.setattr(cuts, "MAX_LENGTH", packet)
    article = Article.objects.create(title="x", text="\\" * (packet // 3))

    assert last()["metadata"]["cut"] == ["current_target_object.text"]
    assert last()["target_id"] == str(article.pk)


def test_long_texts_in_bulk_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuts, "MAX_LENGTH", MEGABYTE)
    text = "a" * (MEGABYTE - 2000)
    Article.objects.bulk_create([Article(title="x", text=text), Article(title="y", text=text)])
    Article.objects.update(text="b" * len(text))

    cut = [event.payload["data"]["metadata"].get("cut") for event in Event.objects.order_by("id")]
    assert cut == [None, None, *[["previous_target_object.text"]] * 2]


def test_names_and_metadata_without_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Article, "__str__", lambda self: "n" * 9 * MEGABYTE)
    metadata = {"k" * 9 * MEGABYTE: 1, "text": "t" * 9 * MEGABYTE, "short": 1}
    auditwebhooks.record("x", target=Article(title="x"), metadata=metadata)

    data = last()
    assert data["target_name"] == "n" * 255
    assert data["metadata"]["text"] == summary(metadata["text"])
    assert data["metadata"]["short"] == 1
    assert data["metadata"]["k" * 255] == summary(1)
    assert set(data["metadata"]["cut"]) == {
        "target_name",
        "metadata.text",
        f"metadata.{'k' * 255}",
    }


def test_metadata_of_more_names_than_there_is_room_for() -> None:
    auditwebhooks.record("x", metadata={f"key {number}": 1 for number in range(800_000)})

    assert last()["metadata"] == {"cut": ["metadata"]}


def test_nothing_is_asked_for_where_an_event_is_small(django_assert_num_queries: Any) -> None:
    with transaction.atomic(), django_assert_num_queries(2):
        Article.objects.create(title="x")


# --- many fields --------------------------------------------------------------------------

COUNT = 500


@pytest.fixture
def wide() -> Iterator[Any]:
    """An audited model of 500 fields, and its table."""
    meta = type("Meta", (), {"app_label": "testapp", "apps": Apps()})
    fields = {f"field_{number}": models.IntegerField(default=0) for number in range(COUNT)}
    model: Any = type("Wide", (models.Model,), {"__module__": __name__, "Meta": meta, **fields})
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry._options, model, Options())
        registry._audited.clear()
        instrument.audit(model)
        with connection.schema_editor() as editor:
            editor.create_model(model)
        try:
            yield model
        finally:
            with connection.schema_editor() as editor:
                editor.delete_model(model)
    registry._audited.clear()


@pytest.mark.django_db(transaction=True)
def test_five_hundred_fields(wide: Any) -> None:
    row = wide.objects.create(field_7=7)
    row.field_499 = 1
    row.save()
    wide.objects.update(**{f"field_{number}": number for number in range(COUNT)})
    wide.objects.bulk_create([wide(), wide()])
    wide.objects.all().delete()

    events = [event.payload["data"] for event in Event.objects.order_by("id")]
    assert [one["action"] for one in events] == [
        *("create", "update", "update", "create", "create"),
        *("delete", "delete", "delete"),
    ]
    assert events[0]["current_target_object"] == {
        "id": row.pk,
        **{f"field_{number}": 7 * (number == 7) for number in range(COUNT)},
    }
    assert events[1]["metadata"]["changed_fields"] == ["field_499"]
    # 0 and 7 stay what they are.
    assert len(events[2]["metadata"]["changed_fields"]) == COUNT - 2
    assert not any("cut" in one["metadata"] for one in events)


# --- requests -----------------------------------------------------------------------------


def test_long_texts_of_a_request_are_cut_and_said(client: Client) -> None:
    client.post("/change/", headers={"User-Agent": "a" * 501})
    assert last()["metadata"]["user_agent"] == "a" * 500
    assert last()["metadata"]["cut"] == ["metadata.user_agent"]


def test_a_snapshot_of_anything_is_text_that_can_be_stored() -> None:
    fields = [Everything._meta.get_field("data")]
    for value in (NOT_FINITE, nested(5000), {1: 2, None: 3}, {"\x00": "\ud800"}):
        json.dumps(snapshot(fields, {"data": value}), allow_nan=False).encode("ascii")

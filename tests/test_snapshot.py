"""A model's values as JSON data."""

from __future__ import annotations

import copy
import datetime as dt
import enum
import hashlib
import json
import uuid
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils.translation import gettext_lazy
from hypothesis import example, given
from hypothesis import strategies as st

from auditwebhooks.capture.conversion import plain, to_json
from auditwebhooks.capture.snapshot import changed_fields, masked, snapshot
from auditwebhooks.encryption import ProtectedText, Secret
from tests.testapp.models import Article, Everything

UTC = dt.UTC
PLUS_TWO = dt.timezone(dt.timedelta(hours=2))
KEY = uuid.UUID("0190163d-8694-739b-aea5-966c26f8ad91")


class Colour(enum.Enum):
    RED = "red"
    ODD = (1, 2)


class Number(enum.IntEnum):
    ONE = 1


class Word(models.TextChoices):
    A = "a", "The letter A"


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def everything(name: str, value: Any) -> Any:
    return to_json(Everything._meta.get_field(name), value)


def article(name: str, value: Any) -> Any:
    return to_json(Article._meta.get_field(name), value)


# --- plain --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (False, False),
        ("", ""),
        ("nul \x00 lone \ud800 \U0001f600", "nul \x00 lone \ud800 \U0001f600"),
        (gettext_lazy("Name"), "Name"),
        (0, 0),
        (2**53, 2**53),
        (2**53 + 1, "9007199254740993"),
        (-(2**53), -(2**53)),
        (-(2**53) - 1, "-9007199254740993"),
        (2**100, "1267650600228229401496703205376"),
        (0.1, 0.1),
        (1e300, 1e300),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-7"), "0.0000001"),
        (Decimal("NaN"), "NaN"),
        (Decimal("-Infinity"), "-Infinity"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05Z"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=PLUS_TWO), "2026-01-02T01:04:05.000006Z"),
        (dt.datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(3, 4), "03:04:00"),
        (dt.time(3, 4, 5, 6, tzinfo=UTC), "03:04:05.000006+00:00"),
        (dt.timedelta(days=1, seconds=2, microseconds=3), "P1DT00H00M02.000003S"),
        (dt.timedelta(days=-1), "-P1DT00H00M00S"),
        (KEY, "0190163d-8694-739b-aea5-966c26f8ad91"),
        (Colour.RED, "red"),
        (Colour.ODD, [1, 2]),
        (Number.ONE, 1),
        (Word.A, "a"),
        (PurePosixPath("/a/b"), "/a/b"),
        (ContentFile(b"content", name="a.txt"), "a.txt"),
        (ContentFile(b"content"), ""),
        ([1, (2, [3])], [1, [2, [3]]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({"a": {1: None, None: Decimal("0.0")}}, {"a": {"1": None, "None": "0.0"}}),
    ],
)
def test_plain_value(value, expected):
    result = plain(value)
    assert result == expected
    assert type(result) is type(expected)


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_binary_is_its_length_and_digest(make):
    expected = {"bytes": 3, "sha256": hashlib.sha256(b"a\x00b").hexdigest()}
    assert plain(make(b"a\x00b")) == expected


def test_plain_gives_nothing_of_the_value_itself():
    value = {"list": [1, {"a": 2}]}
    result = plain(value)
    result["list"][1]["a"] = "changed"
    assert value == {"list": [1, {"a": 2}]}


def test_secret_stays_protected_and_comparable():
    text = ProtectedText(Secret("hunter2"))
    result = plain({"headers": {"Authorization": text}})
    assert json.dumps(result) == '{"headers": {"Authorization": "***"}}'
    assert result != plain({"headers": {"Authorization": ProtectedText(Secret("other"))}})


def test_set_has_one_order():
    class Colliding(str):
        """Two items of one hash come out of a set in the order they were put in."""

        def __hash__(self) -> int:
            return 0

    assert plain({Colliding("0"), 0}) == plain({0, Colliding("0")})


@pytest.mark.parametrize("zone", [PLUS_TWO, dt.timezone(-dt.timedelta(hours=2))])
@pytest.mark.parametrize("moment", [dt.datetime.min, dt.datetime.max])
def test_moment_at_the_ends_of_time_is_text(moment, zone):
    """One of the two has no UTC form that Python could hold."""
    assert dt.datetime.fromisoformat(plain(moment.replace(tzinfo=zone))).year in (1, 9999)


def test_integer_of_any_length_is_text():
    """Python refuses to write integers of more than 4,300 digits."""
    assert isinstance(plain(10**5000), str)
    assert isinstance(plain({"deep": [-(10**5000)]})["deep"][0], str)


def test_decimal_with_a_huge_exponent_stays_short():
    assert len(plain(Decimal("1E+1000000"))) < 1000
    assert len(plain(Decimal("1E-1000000"))) < 1000


def test_object_without_a_text_does_not_break_the_change():
    assert isinstance(plain({"a": Unprintable()})["a"], str)


@pytest.mark.parametrize("depth", [100, 400, 20_000])
def test_nesting_of_any_depth_is_json(depth):
    value: Any = []
    for _ in range(depth):
        value = [value]
    assert json.loads(json.dumps(plain(value))) == plain(value)


def test_value_that_holds_itself_is_json():
    value: list[Any] = [1]
    value.append(value)
    assert plain(value) == [1, "(nested too deeply)"]
    value += [value, {"again": value}]
    cut = "(nested too deeply)"
    assert everything("data", value) == plain(value) == [1, cut, cut, {"again": cut}]
    fields = [Everything._meta.get_field("data")]
    assert snapshot(fields, {"data": value}) == {"data": plain(value)}


# --- fields -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("flag", None, None),
        ("flag", "True", True),
        ("flag", 1, True),
        ("number", "5", 5),
        ("number", 2**53 + 1, "9007199254740993"),
        ("number", "x", "x"),
        ("ratio", "1.5", 1.5),
        ("ratio", float("nan"), "nan"),
        ("amount", 0, "0.0000"),
        ("amount", "5.5", "5.5000"),
        ("amount", 5.5, "5.5000"),
        ("amount", Decimal("1E+2"), "100.0000"),
        ("amount", Decimal("NaN"), "NaN"),
        ("day", dt.date(2026, 1, 2), "2026-01-02"),
        ("day", "2026-01-02", "2026-01-02"),
        ("moment", "2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05Z"),
        ("moment", dt.datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        ("clock", "03:04", "03:04:00"),
        ("span", "1 00:00:02", "P1DT00H00M02S"),
        ("key", str(KEY).upper(), str(KEY)),
        ("key", KEY.hex, str(KEY)),
        ("key", KEY, str(KEY)),
        ("blob", b"ab", {"bytes": 2, "sha256": hashlib.sha256(b"ab").hexdigest()}),
        (
            "blob",
            memoryview(b"ab"),
            {"bytes": 2, "sha256": hashlib.sha256(b"ab").hexdigest()},
        ),
        ("file", "folder/a.txt", "folder/a.txt"),
        ("file", "", ""),
        ("address", "::FFFF:0A0A:0A0A", "::ffff:10.10.10.10"),
        ("data", {"a": (1, 2), 3: None}, {"a": [1, 2], "3": None}),
        ("data", [True, 1.5, "x", 2**60], [True, 1.5, "x", "1152921504606846976"]),
        ("data", {"n": float("nan")}, {"n": "nan"}),
        ("data", "text", "text"),
    ],
)
def test_value_is_what_the_field_reads(name, value, expected):
    result = everything(name, value)
    assert result == expected
    assert type(result) is type(expected)


def test_file_of_an_instance_is_its_name():
    instance = Everything(file="folder/a.txt")
    assert everything("file", instance.file) == "folder/a.txt"


@pytest.mark.parametrize(("name", "value"), [("section", 5), ("author", "7"), ("section", None)])
def test_foreign_key_is_the_key_it_points_at(name, value):
    assert article(name, value) == (None if value is None else int(value))


@pytest.mark.parametrize("zero", [0, "0", "0.0", Decimal("0.00"), Decimal("-0"), Decimal("-0.00")])
def test_every_zero_of_a_decimal_is_one_value(zero):
    assert article("price", zero) == "0.00"


@pytest.mark.parametrize("places", [0, 10, 30])
def test_long_decimal_has_the_places_of_its_column(places):
    """More digits than Python's default context calculates with."""
    field = models.DecimalField(max_digits=60, decimal_places=places)
    digits = "123456789012345678901234567890"
    written = f"{digits}.{'0' * places}" if places else digits
    assert to_json(field, Decimal(digits)) == written
    assert to_json(field, Decimal(written)) == written


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_naive_moment_is_what_the_database_will_hold(settings, zone):
    """Django stores a naive value as of the current time zone."""
    settings.TIME_ZONE = zone
    naive = dt.datetime(2026, 7, 2, 12, 30)
    offsets = {"UTC": 0, "Asia/Tokyo": 9, "America/New_York": -4}
    stored = naive - dt.timedelta(hours=offsets[zone])
    assert everything("moment", naive) == f"{stored.isoformat()}Z"
    assert everything("moment", "2026-07-02 12:30") == f"{stored.isoformat()}Z"


def test_encoder_of_the_field_has_its_say():
    field = models.JSONField(encoder=DjangoJSONEncoder)
    assert to_json(field, {"at": dt.date(2026, 1, 2)}) == {"at": "2026-01-02"}


def test_value_that_a_field_cannot_read_stays_as_it_is():
    class Broken(models.CharField):
        def to_python(self, value: Any) -> Any:
            raise RuntimeError("broken")

    assert to_json(Broken(), "text") == "text"


class Stream:
    """As wagtail's: its text is a page, rendered with templates and queries."""

    def __init__(self, blocks: list[Any]) -> None:
        self.blocks = blocks

    def __str__(self) -> str:
        raise AssertionError("rendered")


class StreamField(models.Field):
    def get_prep_value(self, value: Any) -> Any:
        return value.blocks


def test_object_of_the_host_s_own_is_what_its_field_stores():
    blocks = [{"type": "login", "value": {"password": "hunter2"}}]
    assert to_json(StreamField(), Stream(blocks)) == blocks
    assert to_json(StreamField(), PurePosixPath("/a")) == "/a"


@pytest.mark.parametrize("depth", [50, 200, 400, 900])
def test_secret_in_a_deep_document_is_masked(depth):
    """As deep as a database hands it out, and nothing of it may be lost by an error."""
    document = json.loads('{"password":"hunter2","a":' * depth + "1" + "}" * depth)
    stored = masked({"data": everything("data", document)}, ())
    assert "hunter2" not in json.dumps(stored)


def test_secret_beside_what_is_no_json_is_masked():
    document = {"password": "hunter2", "at": dt.date(2026, 1, 2)}
    stored = masked({"data": everything("data", document)}, ())
    assert "hunter2" not in json.dumps(stored)


def test_snapshot_has_every_field_by_name():
    fields = [Article._meta.get_field(name) for name in ("id", "title", "section", "options")]
    values = {"id": 1, "title": "T", "section_id": 5, "options": {"a": 1}, "stars": 9}
    assert snapshot(fields, values) == {
        "id": 1,
        "title": "T",
        "section": 5,
        "options": {"a": 1},
    }
    assert snapshot(fields, {}) == {"id": None, "title": None, "section": None, "options": None}


# --- differences --------------------------------------------------------------------------


def changed(**values: tuple[Any, Any]) -> list[str]:
    """Names of Article's fields whose (before, after) differ."""
    fields = [Article._meta.get_field(name) for name in values]
    before = {name: pair[0] for name, pair in values.items()}
    after = {name: pair[1] for name, pair in values.items()}
    return changed_fields(fields, before, after)


def test_changed_fields_in_their_order():
    assert changed(title=("a", "b"), text=("x", "x"), stars=(1, 2)) == ["title", "stars"]


def test_nothing_changed():
    assert changed(title=("a", "a"), options=({"a": [1]}, {"a": [1]})) == []


def test_auto_now_alone_is_no_change():
    assert changed(changed_at=("x", "y")) == []
    assert changed(changed_at=("x", "y"), stars=(1, 2)) == ["stars"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1, True),
        (0, False),
        ({"a": [1]}, {"a": [True]}),
        (None, 0),
        ("1", 1),
        ([], {}),
        ("", None),
    ],
)
def test_other_type_is_a_change(before, after):
    """Python takes 1 and True for equal; a receiver of JSON does not."""
    assert changed(options=(before, after)) == ["options"]
    assert changed(options=(after, before)) == ["options"]


def test_order_of_keys_is_no_change():
    assert changed(options=({"a": 1, "b": 2}, {"b": 2, "a": 1})) == []


def test_order_of_a_list_is_a_change():
    assert changed(options=([1, 2], [2, 1])) == ["options"]


def test_other_secret_is_a_change():
    """A masked change is still a change."""
    old, new = ProtectedText("token 1"), ProtectedText("token 2")
    assert changed(title=(old, new)) == ["title"]
    assert changed(title=(old, ProtectedText("token 1"))) == []
    assert changed(options=({"Authorization": old}, {"Authorization": new})) == ["options"]


# --- masking ------------------------------------------------------------------------------


def test_masked_copy_hides_named_fields_and_secret_keys():
    values = {
        "owner": "Ada",
        "iban": "DE1",
        "api_key": None,
        "settings": {"token": "x", "iban": "y", "list": [{"password": "z"}]},
    }
    before = copy.deepcopy(values)
    assert masked(values, {"iban", "api_key"}) == {
        "owner": "Ada",
        "iban": "***",
        "api_key": "***",
        "settings": {"token": "***", "iban": "y", "list": [{"password": "***"}]},
    }
    assert values == before


# --- property -----------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=()), max_size=8)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.decimals(allow_nan=True, allow_infinity=True)
    | texts
    | st.binary(max_size=8)
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.uuids()
    | st.complex_numbers()
    | st.ip_addresses()
    | st.sampled_from([Colour.RED, Colour.ODD, Number.ONE, Word.A, object, PurePosixPath("a")])
)
hashable = st.none() | st.booleans() | st.integers() | texts | st.dates() | st.uuids()
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.sets(hashable, max_size=4)
        | st.frozensets(hashable, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_plain_of_any_value_is_json_and_stable(value):
    result = plain(value)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert plain(result) == result
    assert plain(copy.deepcopy(value)) == result


def fields_of_django() -> list[models.Field[Any, Any]]:
    """One of each kind that is read in a quick way, and some that are not."""
    kinds: list[models.Field[Any, Any]] = [
        models.BigAutoField(primary_key=True),
        models.BooleanField(),
        models.CharField(max_length=9),
        models.DateField(),
        models.DateTimeField(),
        models.DecimalField(max_digits=8, decimal_places=2),
        models.DecimalField(max_digits=8, decimal_places=0),
        models.DecimalField(max_digits=None, decimal_places=None),
        models.FloatField(),
        models.IntegerField(),
        models.JSONField(),
        models.JSONField(encoder=DjangoJSONEncoder),
        models.TextField(),
        models.UUIDField(),
    ]
    for number, kind in enumerate(kinds):
        kind.set_attributes_from_name(f"f{number}")
    return [*kinds, *Article._meta.concrete_fields]


@pytest.mark.parametrize("field", fields_of_django(), ids=lambda one: type(one).__name__)
@given(value=values)
@example(value=dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
@example(value=dt.datetime(2026, 1, 2, 3, 4, 5, 600, tzinfo=dt.UTC))
@example(value=Decimal("-0.00"))
@example(value=Decimal("1.50"))
@example(value=Decimal("1E+2"))
@example(value=10**5000)
@example(value={"a": [1, "b", None, True, {"c": []}]})
@example(value={"a": 2**60, "b": 0.5})
def test_quick_way_gives_what_the_long_one_gives(field, value):
    quick = snapshot([field], {field.attname: value})[field.name]
    assert (quick, type(quick)) == (to_json(field, value), type(to_json(field, value)))
    assert json.dumps(quick) == json.dumps(to_json(field, value))

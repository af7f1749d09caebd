"""The payload's JSON Schema holds for what is recorded and sent."""

from __future__ import annotations

import time
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from rest_framework.test import APIClient

import auditwebhooks
from auditwebhooks import payload
from auditwebhooks.models import Event
from auditwebhooks.payload import FIELDS
from auditwebhooks.payload_schema import json_schema
from tests.factories import make_webhook, someone
from tests.testapp.models import Account, Article, Everything, Tag

URL = "/api/audit/payload-schema/"


def errors(instance: Any) -> list[str]:
    validator = Draft202012Validator(json_schema(), format_checker=FormatChecker())
    return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(instance)]


def sample() -> dict[str, Any]:
    return payload.sample(time.time_ns()).as_dict()


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(json_schema())


def test_it_holds_for_the_sample() -> None:
    assert errors(sample()) == []


def test_it_says_what_every_field_means() -> None:
    schema = json_schema()
    described = {
        **{name: one["description"] for name, one in schema["properties"].items()},
        **{
            f"data.{name}": one["description"]
            for name, one in schema["properties"]["data"]["properties"].items()
        },
    }
    assert described == {field.path: field.meaning for field in FIELDS}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event_id", "42"),
        ("event_time", "1764000000"),
        ("event_type", None),
        ("data.timestamp", 1764000000),
        ("data.actor_id", None),
        ("data.target_id", 42),
        ("data.metadata", None),
        ("data.current_target_object", []),
        ("data.colour", "red"),
        ("colour", "red"),
    ],
)
def test_it_refuses_another_shape(path: str, value: object) -> None:
    wrong = sample()
    *above, name = path.split(".")
    (wrong[above[0]] if above else wrong)[name] = value

    assert len(errors(wrong)) == 1


@pytest.mark.parametrize("path", [field.path for field in FIELDS])
def test_it_misses_what_is_not_there(path: str) -> None:
    wrong = sample()
    *above, name = path.split(".")
    del (wrong[above[0]] if above else wrong)[name]

    assert len(errors(wrong)) == 1


@pytest.mark.django_db
def test_it_holds_for_recorded_events() -> None:
    article = Article.objects.create(title="One", options={"deep": [1, {"password": "x"}]})
    article.title = "Two"
    article.save()
    article.tags.add(Tag.objects.create(name="new"))
    Article.objects.bulk_create([Article(title="Bulk")])
    Article.objects.update(stars=3)
    Account.objects.create(iban="DE00")
    Everything.objects.create()
    make_webhook(headers={"A": "canary"}, signing_secret="")
    with auditwebhooks.context(actor="nightly", source="own", batch=[1, None]):
        auditwebhooks.record("approve", target=article, metadata={"level": 2})
        auditwebhooks.record("look")
    article.delete()

    events = list(Event.objects.all())
    assert len(events) >= 11
    assert [errors(event.payload) for event in events] == [[]] * len(events)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("permissions", "code"),
    [((), 403), (("view_invocation",), 403), (("view_event",), 200), (("view_webhook",), 200)],
)
def test_who_may_read_it(permissions: tuple[str, ...], code: int) -> None:
    answer = someone(*permissions).get(URL)

    assert answer.status_code == code
    if code == 200:
        assert answer.json() == json_schema()
        assert answer.json()["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.django_db
def test_without_a_login_it_is_not_answered() -> None:
    assert APIClient().get(URL).status_code in (401, 403)

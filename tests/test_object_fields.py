"""The fields of audited models, as a person who writes a template reads them."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import models

from auditwebhooks.capture import object_fields as module
from auditwebhooks.capture.object_fields import ObjectField, object_fields
from auditwebhooks.registry import Options, Registry
from tests.testapp.models import Account, Article, Everything, Seat


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Audit nothing but this model."""

    def audit(model: type[models.Model], **options: Any) -> dict[str, ObjectField]:
        registry = Registry()
        registry.add(model, Options.parse(options))
        monkeypatch.setattr(module, "registry", registry)
        [told] = object_fields()
        return {field.name: field for field in told.fields}

    return audit


def test_each_audited_model_is_told_by_its_label() -> None:
    told = [(one.label, one.name) for one in object_fields()]

    assert told == sorted(told)
    assert ("testapp.article", "article") in told
    # As ``target_type`` has it, in lower case.
    assert ("testapp.account", "bank account") in told
    assert "testapp.section" not in dict(told)


def test_types_are_those_of_the_payload(only: Any) -> None:
    types = {name: field.type for name, field in only(Everything).items()}

    assert types == {
        "id": "integer",
        "flag": "boolean or null",
        "number": "integer or null",
        "ratio": "number or null",
        "blob": "object or null",
        # Whatever it holds.
        "data": "",
        **dict.fromkeys(
            ("amount", "day", "moment", "clock", "span", "key", "file", "address"),
            "string or null",
        ),
    }


def test_a_relation_has_the_type_of_its_key_and_names_the_model(only: Any) -> None:
    fields = only(Article)

    assert fields["section"].type == "integer or null"
    assert fields["section"].meaning == "section (testapp.section)"
    assert fields["tags"].type == "array or object"
    assert fields["tags"].meaning.startswith("tags (testapp.tag): the keys")


def test_what_is_not_recorded_is_not_told_and_secrets_are_masked(only: Any) -> None:
    fields = only(Account, mask=["iban"], exclude=["internal_note"])

    assert "internal_note" not in fields
    assert fields["iban"].meaning == "masked: ***"
    assert "tags" not in only(Article, m2m=[])


def test_a_composite_key_is_told_by_its_parts(only: Any) -> None:
    assert list(only(Seat)) == ["row", "number", "taken"]


def test_choices_are_the_values_that_it_may_have() -> None:
    few = models.CharField(choices=[("", "none"), ("a", "A"), ("More", [("b", "B")])])
    many = models.IntegerField(choices=[(one, str(one)) for one in range(100)])

    assert module._values(few) == ("a", "b")
    values = module._values(many)
    assert (len(values), values[-1]) == (21, "...")

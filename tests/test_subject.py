"""How a change of an audited model is told: what may be stored of it, and in what words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import models
from django.test.utils import isolate_apps
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token

from auditwebhooks.capture.subject import describe, key_text, name_of, subject_of
from auditwebhooks.registry import Options, registry
from tests.testapp.models import Account, Article, ArticleProxy, Restaurant, Section

MARK = "canary"

# Texts that carry the mark, however hostile the rest.
secrets = st.text(max_size=20).map(lambda text: f"{text}{MARK}{text}")
harmless = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=10).filter(lambda t: MARK not in t),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "name", "list"]), inner, max_size=3)
    ),
    max_leaves=5,
)
secret_keys = st.sampled_from(
    ["password", "userPassword", "API-Key", "client_secret", "token", "private key", "otp"]
)


@st.composite
def nested(draw: Any) -> Any:
    """JSON data with a secret under a secret's name somewhere in it."""
    value: Any = {draw(secret_keys): draw(secrets), "other": draw(harmless)}
    wrap = st.sampled_from([lambda v: [1, v], lambda v: {"in": v}, lambda v: (v,)])
    for _ in range(draw(st.integers(0, 5))):
        value = draw(wrap)(value)
    return value


@given(iban=secrets, api_key=secrets, settings=nested(), metadata=nested())
def test_no_value_of_a_masked_field_is_anywhere_in_the_event(
    iban: str, api_key: str, settings: Any, metadata: Any
) -> None:
    subject = subject_of(Account)
    assert subject is not None
    values = {"id": 1, "owner": "Ada", "iban": iban, "api_key": api_key, "settings": settings}
    stored = subject.snapshot(values)
    drafted = subject.draft(
        "update", 1, "Ada", current=stored, previous=stored, metadata={"more": metadata}
    )

    text = drafted.payload.as_text()
    assert MARK not in text
    data = json.loads(text)["data"]
    assert data["current_target_object"]["iban"] == "***"
    assert data["current_target_object"]["api_key"] == "***"
    assert data["current_target_object"]["owner"] == "Ada"


def test_a_token_that_is_its_own_key_is_nowhere_in_the_event() -> None:
    token = Token(key=MARK, user_id=1)
    subject = describe(Token, Options())
    drafted = subject.draft(
        "create", token.pk, name_of(token), current=subject.snapshot(token.__dict__)
    )
    of_many = subject.object_of(token.pk, subject.nameless(token.pk), {"key": MARK})

    text = drafted.payload.as_text()
    assert MARK not in text
    assert MARK not in repr(of_many)
    data = json.loads(text)["data"]
    assert (data["target_id"], data["target_name"]) == ("***", "Token object (***)")
    assert data["current_target_object"]["key"] == "***"
    assert data["current_target_object"]["user"] == 1


@isolate_apps("tests.testapp")
def test_a_key_of_a_secret_is_one() -> None:
    class Grant(models.Model):  # noqa: DJ008 - is never shown
        by = models.OneToOneField(Token, models.CASCADE, primary_key=True)
        account = models.ForeignKey(Account, models.CASCADE, to_field="iban")
        article = models.ForeignKey(Article, models.CASCADE)

        class Meta:
            app_label = "testapp"

    subject = describe(Grant, Options())
    assert subject.secret == {"by", "account"}
    assert subject.is_key_secret
    assert not describe(Article, Options()).is_key_secret


def test_excluded_fields_are_not_even_read() -> None:
    subject = subject_of(Account)

    assert subject is not None
    assert "internal_note" not in subject.attnames


def test_a_class_is_told_as_what_is_audited() -> None:
    assert subject_of(ArticleProxy).model is Article
    assert subject_of(Restaurant).model.__name__ == "Place"
    assert subject_of(Section) is None


def test_options_that_change_make_another_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    before = subject_of(Article)
    assert subject_of(Article) is before
    monkeypatch.setitem(registry._options, Article, Options(exclude=frozenset({"text"})))
    registry._audited.clear()

    assert "text" not in subject_of(Article).attnames
    monkeypatch.undo()
    registry._audited.clear()
    assert "text" in subject_of(Article).attnames


def test_only_the_fields_that_were_named() -> None:
    subject = describe(Article, Options(fields=frozenset({"id", "section"})))

    assert subject.attnames == ("id", "section_id")
    assert subject.snapshot({"id": 1, "section_id": 2, "title": "x"}) == {"id": 1, "section": 2}


@pytest.mark.parametrize(
    ("pk", "text"),
    [(7, "7"), ("a-b", "a-b"), (("ü", 1), '["ü",1]'), ((1, None), "[1,null]")],
)
def test_keys_as_text(pk: Any, text: str) -> None:
    assert key_text(pk) == text


def test_a_name_that_never_ends_is_told_by_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Article, "__str__", lambda self: str(self))

    assert name_of(Article(pk=3)) == "Article object (3)"


# --- credentials by the name of their model -----------------------------------------------


def test_a_token_that_is_its_own_key_is_nowhere_in_its_event() -> None:
    """As Django REST Framework stores them: the key is primary key, text and value in one."""
    token = Token(key=f"{MARK}40", user_id=7)
    subject = describe(Token, Options())
    values = subject.snapshot({one.attname: getattr(token, one.attname) for one in subject.fields})

    draft = subject.draft("create", token.pk, name_of(token), current=values)
    of_many = subject.object_of(token.pk, name_of(token), values)

    assert MARK not in repr(draft) + repr(of_many)
    assert draft.payload.target_id == of_many.target_id == "***"
    assert draft.payload.target_name == "Token object (***)"
    current = json.loads(draft.payload.as_text())["data"]["current_target_object"]
    assert (current["key"], current["user"]) == ("***", 7)


def test_a_key_that_the_host_masks_is_no_target_id() -> None:
    subject = describe(Article, Options(mask=frozenset({"id"})))

    assert subject.draft("delete", 5, "Words").payload.target_id == "***"

"""A change of an audited model becomes one event, in the same transaction."""

from __future__ import annotations

import json
import logging
import re
import uuid
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import serializers
from django.db import DatabaseError, IntegrityError, connection, models, transaction
from django.db.models import F
from django.db.models.signals import post_delete, post_save, pre_delete, pre_save
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

import auditwebhooks
from auditwebhooks.capture import change, save, subject
from auditwebhooks.exceptions import AuditWebhooksError
from auditwebhooks.models import Event, Webhook
from auditwebhooks.signals import event_recorded
from tests.factories import make_webhook
from tests.testapp.models import (
    Account,
    Article,
    ArticleProxy,
    Cafe,
    Draft,
    Everything,
    Membership,
    Place,
    Restaurant,
    Section,
    Tag,
    Team,
)

pytestmark = pytest.mark.django_db


def events() -> list[dict[str, Any]]:
    return [event.payload for event in Event.objects.order_by("id")]


def last() -> dict[str, Any]:
    return events()[-1]


def types() -> list[str]:
    return list(Event.objects.order_by("id").values_list("event_type", flat=True))


@pytest.fixture
def article() -> Article:
    """An article whose making is not recorded."""
    with auditwebhooks.paused():
        return Article.objects.create(title="Hello", price=Decimal("1.50"))


def test_a_create_has_no_previous_object() -> None:
    section = Section.objects.create(title="News")
    article = Article.objects.create(title="Hello", section=section, price="2.5")

    [payload] = events()
    assert payload["event_type"] == "testapp.article.created"
    data = payload["data"]
    assert data["action"] == "create"
    assert data["target_id"] == str(article.pk)
    assert data["target_type"] == "article"
    assert data["target_name"] == "Hello"
    assert data["previous_target_object"] is None
    assert data["current_target_object"] == {
        "id": article.pk,
        "title": "Hello",
        "text": "",
        "stars": 0,
        "price": "2.50",
        "published_at": None,
        "options": {},
        "section": section.pk,
        "author": None,
        "changed_at": article.changed_at.isoformat().replace("+00:00", "Z"),
    }


def test_an_update_tells_before_and_after(article: Article) -> None:
    article.title = "Goodbye"
    article.save()

    payload = last()
    assert payload["event_type"] == "testapp.article.updated"
    assert payload["data"]["action"] == "update"
    assert payload["data"]["previous_target_object"]["title"] == "Hello"
    assert payload["data"]["current_target_object"]["title"] == "Goodbye"
    assert payload["data"]["metadata"]["changed_fields"] == ["title"]


def test_a_delete_has_no_current_object(article: Article) -> None:
    pk = article.pk
    article.delete()

    payload = last()
    assert payload["event_type"] == "testapp.article.deleted"
    assert payload["data"]["target_id"] == str(pk)
    assert payload["data"]["current_target_object"] is None
    assert payload["data"]["previous_target_object"]["title"] == "Hello"


def test_the_columns_repeat_what_the_payload_says(article: Article) -> None:
    article.title = "Goodbye"
    article.save()

    event = Event.objects.get()
    payload = event.payload
    data = payload["data"]
    assert event.event_id == payload["event_id"]
    assert event.event_type == payload["event_type"]
    assert event.action == data["action"]
    assert event.actor_id == data["actor_id"] == "system"
    assert event.actor_name == data["actor_name"]
    assert event.actor_type == data["actor_type"] == "system"
    assert event.source == data["source"] == "shell"
    assert event.target_id == data["target_id"]
    assert event.target_type == data["target_type"]
    assert event.target_name == data["target_name"]
    assert event.fanned_out_at is None


def test_ids_and_times_have_the_promised_shape(article: Article) -> None:
    before = timezone.now()
    article.delete()
    after = timezone.now()

    event = Event.objects.get()
    payload = event.payload
    assert uuid.UUID(payload["event_id"]).version == 7
    assert re.fullmatch(r"\d{10}\.\d{9}", payload["event_time"])
    assert payload["data"]["timestamp"] == payload["event_time"]
    assert before <= event.created_at <= after
    seconds = Decimal(payload["event_time"])
    assert abs(Decimal(event.created_at.timestamp()) - seconds) < Decimal("0.001")


def test_the_payload_has_no_other_keys(article: Article) -> None:
    article.delete()

    payload = last()
    assert list(payload) == ["event_id", "event_type", "event_time", "data"]
    assert list(payload["data"]) == [
        "timestamp",
        "action",
        "actor_id",
        "actor_name",
        "actor_type",
        "source",
        "target_id",
        "target_type",
        "target_name",
        "metadata",
        "current_target_object",
        "previous_target_object",
    ]


def test_a_write_costs_few_statements__easy_audit_160(article: Article) -> None:
    """One more than without us: the event. On PostgreSQL the UPDATE tells the old row, elsewhere
    a SELECT does, and on SQLite becoming the writer is one of its own; every DELETE tells it."""
    read = 0 if connection.vendor == "postgresql" else 1

    def statements(write: Any) -> int:
        with CaptureQueriesContext(connection) as queries:
            write()
        return len(queries)

    assert statements(lambda: Article.objects.create(title="new")) == 1 + 1
    article.title = "changed"
    assert statements(article.save) == 1 + read + 1
    assert statements(article.save) == 1 + read
    assert statements(article.delete) == 2 + 1


def test_a_save_that_changes_nothing_records_nothing__simple_history_302(article: Article) -> None:
    article.save()

    assert events() == []


@pytest.mark.parametrize(
    ("field", "same"),
    [
        ("price", 1.5),
        ("price", "1.500"),
        ("stars", "0"),
        ("stars", False),
        ("options", {}),
    ],
)
def test_the_same_value_in_other_clothes_is_no_change(
    article: Article, field: str, same: object
) -> None:
    setattr(article, field, same)
    article.save()

    assert events() == []


def test_a_zero_of_a_decimal_is_no_change__auditlog_112(article: Article) -> None:
    for zero in (0, Decimal(0), Decimal("0.00"), "0.0", 0.0):
        article.price = zero
        article.save()

    assert [one["data"]["metadata"]["changed_fields"] for one in events()] == [["price"]]
    assert last()["data"]["current_target_object"]["price"] == "0.00"


def test_trailing_zeros_of_a_decimal_are_no_change__auditlog_260(article: Article) -> None:
    article.price = Decimal("44.00")
    article.save()
    article.price = sum([Decimal("22.0"), Decimal("22")])
    article.save()

    assert len(events()) == 1


def test_the_hundredth_save_costs_what_the_first_did__easy_audit_256(article: Article) -> None:
    """However many events and rows there are."""
    costs = []
    for number in range(1, 101):
        article.title = str(number)
        with CaptureQueriesContext(connection) as queries:
            article.save()
        costs.append(len(queries))

    # On SQLite the first of a transaction becomes the writer.
    assert costs[0] == costs[1] + (connection.vendor == "sqlite")
    assert len(set(costs[1:])) == 1


def test_a_failed_update_leaves_no_event__auditlog_593() -> None:
    with auditwebhooks.paused():
        Tag.objects.create(name="taken")
        tag = Tag.objects.create(name="mine")
    tag.name = "taken"
    with suppress(IntegrityError), transaction.atomic():
        tag.save()
    with suppress(DatabaseError), transaction.atomic():
        Tag(pk=4711, name="nobody").save(force_update=True)
    tag.name = "other"
    tag.save()

    [payload] = events()
    assert payload["data"]["previous_target_object"]["name"] == "mine"
    assert payload["data"]["current_target_object"]["name"] == "other"


def test_a_user_who_goes_leaves_the_history__auditlog_245(article: Article) -> None:
    with auditwebhooks.paused():
        ada = User.objects.create_user("ada", "ada@example.com")
    key = str(ada.pk)
    with auditwebhooks.context(actor=ada):
        article.delete()
    ada.delete()

    payload = events()[0]
    assert payload["event_type"] == "testapp.article.deleted"
    assert payload["data"]["actor_id"] == "ada@example.com"
    assert payload["data"]["metadata"]["actor_pk"] == key
    assert types()[-1] == "auth.user.deleted"


def test_times_are_compared_as_moments(article: Article) -> None:
    noon = datetime(2026, 5, 1, 12, tzinfo=UTC)
    article.published_at = noon
    article.save()

    article.published_at = noon.astimezone(timezone.get_fixed_timezone(120))
    article.save()

    assert len(events()) == 1
    assert last()["data"]["current_target_object"]["published_at"] == "2026-05-01T12:00:00Z"


def test_an_in_place_change_of_json_is_seen(article: Article) -> None:
    article.options = {"colours": ["red"]}
    article.save()
    article.options["colours"].append("blue")
    article.save()

    data = last()["data"]
    assert data["previous_target_object"]["options"] == {"colours": ["red"]}
    assert data["current_target_object"]["options"] == {"colours": ["red", "blue"]}


def test_update_fields_tell_only_what_was_written__simple_history_1127(article: Article) -> None:
    article.title = "Written"
    article.stars = 5
    article.save(update_fields=["title"])

    data = last()["data"]
    assert data["metadata"]["changed_fields"] == ["title"]
    assert data["current_target_object"]["title"] == "Written"
    assert data["current_target_object"]["stars"] == 0


def test_a_deferred_field_keeps_its_stored_value(article: Article) -> None:
    deferred = Article.objects.only("title").get()
    deferred.title = "Changed"
    deferred.save()

    data = last()["data"]
    assert data["metadata"]["changed_fields"] == ["title"]
    assert data["current_target_object"]["price"] == "1.50"


def test_an_expression_is_told_by_its_result(article: Article) -> None:
    article.stars = F("stars") + 3
    article.save()

    data = last()["data"]
    assert data["previous_target_object"]["stars"] == 0
    assert data["current_target_object"]["stars"] == 3


def test_previous_is_what_the_database_held__netbox_7727(
    article: Article,
) -> None:
    stale = Article.objects.get()
    article.title = "Second"
    article.save()
    stale.title = "Third"
    stale.save()

    chain = [
        (
            payload["data"]["previous_target_object"]["title"],
            payload["data"]["current_target_object"]["title"],
        )
        for payload in events()
    ]
    assert chain == [("Hello", "Second"), ("Second", "Third")]


def test_previous_is_right_after_a_rollback(article: Article) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        article.title = "Never"
        article.save()
        raise ZeroDivisionError
    article.title = "Later"
    article.save()

    [payload] = events()
    assert payload["data"]["previous_target_object"]["title"] == "Hello"


def test_an_explicit_key_of_a_stored_row_is_an_update(article: Article) -> None:
    Article(pk=article.pk, title="Replaced").save()

    payload = last()
    assert payload["event_type"] == "testapp.article.updated"
    assert payload["data"]["previous_target_object"]["title"] == "Hello"


def test_an_explicit_key_of_a_new_row_is_a_create() -> None:
    Article(pk=4711, title="New").save()

    assert types() == ["testapp.article.created"]


def test_a_rollback_leaves_neither_change_nor_event__netbox_9466(article: Article) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        Article.objects.create(title="Never")
        article.delete()
        raise ZeroDivisionError

    assert events() == []
    assert Article.objects.get().title == "Hello"


def test_several_saves_in_one_transaction_each_tell_their_own_step(article: Article) -> None:
    with transaction.atomic():
        for title in ("One", "Two"):
            article.title = title
            article.save()

    steps = [payload["data"]["current_target_object"]["title"] for payload in events()]
    assert steps == ["One", "Two"]


def test_masked_and_excluded_fields() -> None:
    account = Account.objects.create(
        owner="Ada",
        iban="DE00 1234",
        api_key="k-123",
        internal_note="not for events",
        settings={"theme": "dark", "smtp": {"password": "p-123"}},
    )

    assert last()["data"]["current_target_object"] == {
        "id": account.pk,
        "owner": "Ada",
        "iban": "***",
        "api_key": "***",
        "settings": {"theme": "dark", "smtp": {"password": "***"}},
    }
    text = Event.objects.get().payload_text
    assert not any(secret in text for secret in ("DE00", "k-123", "p-123", "not for events"))


def test_a_masked_change_is_still_a_change() -> None:
    account = Account.objects.create(owner="Ada", iban="old")
    account.iban = "new"
    account.save()

    data = last()["data"]
    assert data["metadata"]["changed_fields"] == ["iban"]
    assert data["previous_target_object"]["iban"] == "***"
    assert data["current_target_object"]["iban"] == "***"


def test_a_change_of_an_excluded_field_is_no_event() -> None:
    account = Account.objects.create(owner="Ada")
    account.internal_note = "changed"
    account.save()

    assert types() == ["testapp.account.created"]


def test_a_password_never_reaches_an_event__easy_audit_113() -> None:
    user = User.objects.create_user("ada", "ada@example.com", "hunter2")
    user.set_password("correct horse")
    user.save()

    data = last()["data"]
    assert data["metadata"]["changed_fields"] == ["password"]
    assert data["current_target_object"]["password"] == "***"
    assert "md5$" not in Event.objects.last().payload_text


def test_the_verbose_name_or_the_option_name_is_the_target_type() -> None:
    Account.objects.create(owner="Ada")
    assert last()["data"]["target_type"] == "bank account"

    Cafe.objects.create(name="Central")
    assert last()["data"]["target_type"] == "café"


def test_a_proxy_is_recorded_under_its_model(article: Article) -> None:
    proxy = ArticleProxy.objects.get()
    proxy.title = "By proxy"
    proxy.save()
    proxy.delete()

    assert types() == ["testapp.article.updated", "testapp.article.deleted"]


def test_a_child_is_recorded_once_under_the_nearest_audited_class() -> None:
    restaurant = Restaurant.objects.create(name="Roma", serves_pizza=True)
    restaurant.name = "Nuova Roma"
    restaurant.save()
    restaurant.delete()

    assert types() == [
        "testapp.place.created",
        "testapp.place.updated",
        "testapp.place.deleted",
    ]
    assert not Place.objects.exists()


def test_an_audited_child_is_recorded_once_as_itself() -> None:
    cafe = Cafe.objects.create(name="Central", seats=4)
    cafe.seats = 5
    cafe.save()
    Place.objects.get().delete()

    assert types() == ["testapp.cafe.created", "testapp.cafe.updated", "testapp.cafe.deleted"]
    assert last()["data"]["previous_target_object"]["name"] == "Central"


def test_cascades_and_queryset_deletes_are_recorded() -> None:
    section = Section.objects.create(title="News")
    with auditwebhooks.paused():
        for title in ("a", "b", "c"):
            Article.objects.create(title=title, section=section if title != "c" else None)

    section.delete()
    assert types() == ["testapp.article.deleted"] * 2

    Article.objects.all().delete()
    names = [payload["data"]["target_name"] for payload in events()]
    assert sorted(names) == ["a", "b", "c"]


def test_actions_that_are_not_asked_for_are_not_recorded() -> None:
    draft = Draft.objects.create(text="first")
    draft.text = "second"
    draft.save()
    draft.delete()

    assert types() == ["testapp.draft.created", "testapp.draft.updated"]


def test_a_model_that_is_not_audited_runs_django_s_own_code() -> None:
    with CaptureQueriesContext(
        connection,
    ) as queries:
        section = Section.objects.create(title="News")
        section.title = "Olds"
        section.save()

    assert len(queries) == 2
    assert events() == []
    assert Section.save_base is models.Model.save_base
    assert not models.signals.post_save.has_listeners(Section)


def test_fixtures_are_not_recorded() -> None:
    fields = {"title": "x", "changed_at": "2026-01-01T00:00:00Z"}
    text = json.dumps([{"model": "testapp.article", "pk": 1, "fields": fields}])
    for loaded in serializers.deserialize("json", text):
        loaded.save()

    assert Article.objects.count() == 1
    assert events() == []


def test_nothing_is_recorded_while_paused(article: Article) -> None:
    with auditwebhooks.paused():
        article.title = "Silent"
        article.save()
        article.delete()

    assert events() == []


def test_a_receiver_may_pause_and_save_once_more(article: Article) -> None:
    def count(instance: Article, **kwargs: object) -> None:
        if instance.stars == 0:
            instance.stars = 1
            with auditwebhooks.paused():
                instance.save()

    post_save.connect(count, Article)
    try:
        article.title = "b"
        article.save()
    finally:
        post_save.disconnect(count, Article)

    [event] = Event.objects.all()
    assert event.payload["data"]["metadata"]["changed_fields"] == ["title"]
    assert Article.objects.get().stars == 1


def test_nothing_is_recorded_when_not_enabled(article: Article, configure: Any) -> None:
    configure(ENABLED=False)
    article.title = "Silent"
    article.save()

    assert events() == []


def test_what_is_recorded_while_sending_is_off_waits_for_no_fan_out(
    article: Article, configure: Any
) -> None:
    configure(SEND=False)
    article.delete()

    assert Event.objects.get().fanned_out_at is not None


class UnspeakableError(Exception):
    pass


@pytest.fixture
def broken_str(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(self: Article) -> str:
        raise UnspeakableError

    monkeypatch.setattr(Article, "__str__", explode)


def test_a_broken_str_costs_the_name_only(
    article: Article, broken_str: None, caplog: pytest.LogCaptureFixture
) -> None:
    article.title = "Changed"
    article.save()

    assert last()["data"]["target_name"] == f"Article object ({article.pk})"
    assert "testapp.Article.__str__ raised UnspeakableError" in caplog.text


@pytest.fixture
def broken_snapshot(monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*args: object, **kwargs: object) -> None:
        raise UnspeakableError

    monkeypatch.setattr(save, "changed_fields", explode)


def test_a_failure_of_ours_is_logged_and_the_event_says_what_is_known(
    article: Article, broken_snapshot: None, caplog: pytest.LogCaptureFixture
) -> None:
    article.title = "Changed"
    article.save()

    assert Article.objects.get().title == "Changed"
    data = last()["data"]
    assert (data["action"], data["target_id"]) == ("update", str(article.pk))
    assert data["metadata"]["incomplete"] == "UnspeakableError"
    assert data["current_target_object"] is None
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_an_event_that_cannot_be_told_at_all_lets_the_change_stand(
    article: Article, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*args: object, **kwargs: object) -> None:
        raise UnspeakableError

    monkeypatch.setattr(subject, "draft", explode)
    article.title = "Changed"
    article.save()

    assert Article.objects.get().title == "Changed"
    assert events() == []
    assert "could not be recorded." in caplog.text


def test_an_actor_that_cannot_tell_itself_costs_the_actor_only(
    article: Article, caplog: pytest.LogCaptureFixture, configure: Any
) -> None:
    class Nobody:
        def get_username(self) -> str:
            raise UnspeakableError

    with auditwebhooks.context(actor=Nobody(), batch="7"):
        article.title = "Changed"
        article.save()

    data = last()["data"]
    assert data["actor_id"] == "unknown"
    assert data["metadata"]["incomplete"] == ["actor"]
    assert data["metadata"]["batch"] == "7"
    assert data["current_target_object"]["title"] == "Changed"
    assert "actor of a change could not be told" in caplog.text

    configure(STRICT=True)
    with pytest.raises(UnspeakableError), auditwebhooks.context(actor=Nobody()):
        article.title = "Not changed"
        article.save()


def test_strictness_rolls_the_change_back(
    article: Article, broken_snapshot: None, configure: Any
) -> None:
    configure(STRICT=True)
    article.title = "Changed"

    with pytest.raises(UnspeakableError), transaction.atomic():
        article.save()

    assert Article.objects.get().title == "Hello"


def test_values_of_every_kind_are_stored_and_compared() -> None:
    everything = Everything.objects.create(
        flag=True,
        number=2**60,
        ratio=1.5,
        amount=Decimal("12.3"),
        day="2026-05-01",
        moment=datetime(2026, 5, 1, 12, 30, tzinfo=UTC),
        clock="08:15",
        span=timedelta(days=1, hours=2, minutes=3, seconds=4),
        key="8c6b6d0e-8a53-4d9c-9f53-5c3a9b8f0a11",
        blob=b"\x00\x01",
        data={"a": [1, None, "\x00"]} if connection.vendor != "postgresql" else {"a": [1, None]},
        address="2001:db8::1",
    )
    current = last()["data"]["current_target_object"]

    everything.refresh_from_db()
    everything.save()

    assert len(events()) == 1
    assert current["number"] == str(2**60)
    assert current["amount"] == "12.3000"
    assert current["day"] == "2026-05-01"
    assert current["moment"] == "2026-05-01T12:30:00Z"
    assert current["clock"] == "08:15:00"
    assert current["span"] == "P1DT02H03M04S"
    assert current["key"] == "8c6b6d0e-8a53-4d9c-9f53-5c3a9b8f0a11"
    assert current["blob"]["bytes"] == 2
    assert current["address"] == "2001:db8::1"


def test_names_that_a_database_cannot_store_are_cleaned_in_the_columns_only() -> None:
    with auditwebhooks.context(actor="nul\x00 and \ud800" + "x" * 300):
        auditwebhooks.record("approve")

    event = Event.objects.get()
    assert event.actor_name.startswith("nul\ufffd and ?xxx")
    assert len(event.actor_name) == 255
    assert event.payload["data"]["actor_name"].startswith("nul\x00 and \ud800x")


def test_changes_of_a_webhook_are_events_without_its_secrets() -> None:
    webhook = make_webhook(
        url="https://hooks.example.com/T0/canary-path",
        headers={"Authorization": "Bearer canary-1"},
    )
    webhook.headers = {"Authorization": "Bearer canary-2"}
    webhook.save()
    webhook.url = "https://hooks.example.com/T0/canary-other"
    webhook.save()
    webhook.delete()

    assert types() == [
        f"auditwebhooks.webhook.{done}" for done in ("created", "updated", "updated", "deleted")
    ]
    changed = [payload["data"]["metadata"].get("changed_fields") for payload in events()]
    assert changed == [None, ["headers"], ["url"], None]
    current = events()[0]["data"]["current_target_object"]
    assert current["url"] == "https://hooks.example.com/***"
    assert current["headers"] == {"Authorization": "***"}
    assert not {"name_key", "active_periods", "previous_signing_secret"} & set(current)
    assert not any("canary" in event.payload_text for event in Event.objects.all())


@pytest.mark.django_db(transaction=True)
def test_signals_that_the_host_sends_itself_are_no_change(article: Article) -> None:
    """As django-oscar around an ``update()``: with less than Django gives, in no transaction."""
    with auditwebhooks.paused():
        member = User.objects.create(username="ada")
        membership = Membership.objects.create(team=Team.objects.create(), user=member)
    for instance in (article, membership):
        for signal in (pre_save, post_save, pre_delete, post_delete):
            signal.send(type(instance), instance=instance)

    assert types() == []


def test_signals_that_the_host_sends_in_a_transaction_are_no_save(article: Article) -> None:
    pre_save.send(Article, instance=article)
    Article.objects.filter(pk=article.pk).update(stars=F("stars") + 1)
    post_save.send(Article, instance=article)

    assert types() == ["testapp.article.updated"]


def test_a_signal_tells_of_each_event(article: Article) -> None:
    heard: list[Event] = []

    def hear(event: Event, **kwargs: object) -> None:
        heard.append(event)

    event_recorded.connect(hear)
    try:
        article.delete()
    finally:
        event_recorded.disconnect(hear)

    assert [event.event_type for event in heard] == ["testapp.article.deleted"]


def test_record_writes_an_event_of_the_host_s_own(article: Article) -> None:
    event = auditwebhooks.record("approve", target=article, metadata={"level": 2, "pin_code": 1})

    payload = event.payload
    assert payload["event_type"] == "testapp.article.approve"
    data = payload["data"]
    assert data["action"] == "approve"
    assert data["target_id"] == str(article.pk)
    assert data["metadata"]["level"] == 2
    assert data["current_target_object"]["title"] == "Hello"
    assert data["previous_target_object"] is None


def test_record_takes_the_lazy_user_of_a_request() -> None:
    with auditwebhooks.paused():
        ada = User.objects.create_user("ada")
    auditwebhooks.record("approve", target=SimpleLazyObject(lambda: ada))

    assert last()["event_type"] == "auth.user.approve"
    assert last()["data"]["target_id"] == str(ada.pk)
    assert last()["data"]["target_name"] == "ada"


def test_record_needs_no_target_and_takes_a_type_of_its_own() -> None:
    with auditwebhooks.context(actor="nightly", source="integration", batch="7"):
        event = auditwebhooks.record("import", event_type="own.import.finished")

    data = event.payload["data"]
    assert event.event_type == "own.import.finished"
    assert data["actor_id"] == data["actor_name"] == "nightly"
    assert data["actor_type"] == "service_account"
    assert data["source"] == "integration"
    assert data["metadata"] == {"batch": "7"}
    assert data["target_id"] is data["target_type"] is data["target_name"] is None


def test_record_masks_secrets_in_metadata() -> None:
    event = auditwebhooks.record("rotate", metadata={"new": {"api_key": "k-1"}})

    assert event.payload["data"]["metadata"]["new"]["api_key"] == "***"


def test_record_is_rolled_back_with_its_transaction() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        auditwebhooks.record("approve")
        raise ZeroDivisionError

    assert events() == []


def test_record_needs_an_action() -> None:
    with pytest.raises(AuditWebhooksError, match="name of an action"):
        auditwebhooks.record("")


def test_record_is_silent_while_paused() -> None:
    with auditwebhooks.paused():
        assert auditwebhooks.record("approve") is None


@pytest.mark.django_db(transaction=True)
class TestAutocommit:
    """A save outside a transaction gets one of its own."""

    def test_change_and_event_commit_together(self) -> None:
        with auditwebhooks.paused():
            article = Article.objects.create(title="Hello")

        def explode(**kwargs: object) -> None:
            raise UnspeakableError

        models.signals.post_save.connect(explode, Article)
        try:
            article.title = "Half"
            with pytest.raises(UnspeakableError):
                article.save()
        finally:
            models.signals.post_save.disconnect(explode, Article)

        assert Article.objects.get().title == "Hello"
        assert events() == []

    def test_an_event_that_cannot_be_written_takes_the_change_along(
        self, monkeypatch: pytest.MonkeyPatch, configure: Any
    ) -> None:
        configure(STRICT=True)

        def explode(*args: object, **kwargs: object) -> None:
            raise UnspeakableError

        monkeypatch.setattr(change, "write", explode)
        with pytest.raises(UnspeakableError):
            Article.objects.create(title="Never")

        assert not Article.objects.exists()

    def test_an_error_the_host_catches_marks_nothing_for_rollback(self) -> None:
        def refuse(**kwargs: object) -> None:
            raise UnspeakableError

        models.signals.pre_save.connect(refuse, Article)
        try:
            with transaction.atomic():
                with pytest.raises(UnspeakableError):
                    Article.objects.create(title="Refused")
                Section.objects.create(title="Still possible")
        finally:
            models.signals.pre_save.disconnect(refuse, Article)

        assert Section.objects.exists()

    def test_a_host_that_commits_by_hand_is_served_by_the_sweep(self) -> None:
        transaction.set_autocommit(False)
        try:
            Article.objects.create(title="By hand")
            transaction.commit()
        finally:
            transaction.set_autocommit(True)

        assert types() == ["testapp.article.created"]

    @pytest.mark.parametrize("by_hand", [True, False])
    def test_events_on_another_database_follow_the_commit_that_is_told(
        self, monkeypatch: pytest.MonkeyPatch, by_hand: bool
    ) -> None:
        written: list[str] = []

        def insert(drafts: Any, using: str) -> None:
            written.extend(drafts)
            assert using == "elsewhere"

        monkeypatch.setattr(subject, "insert_all", insert)
        monkeypatch.setattr(subject.router, "db_for_write", lambda model: "elsewhere")
        if by_hand:
            transaction.set_autocommit(False)
            try:
                subject.write(["event"], "default")
                assert written == ["event"]
            finally:
                transaction.rollback()
                transaction.set_autocommit(True)
        else:
            with transaction.atomic():
                subject.write(["event"], "default")
                assert written == []
        assert written == ["event"]

    def test_a_failed_save_leaves_nothing_on_the_instance(self) -> None:
        taken = Article.objects.create(title="Hello").pk
        article = Article(pk=taken, title="Too late")
        before = set(article.__dict__)

        with pytest.raises(IntegrityError):
            article.save(force_insert=True)

        assert set(article.__dict__) == before


def test_the_webhook_model_itself_stays_usable_while_paused() -> None:
    with auditwebhooks.paused():
        make_webhook()

    assert events() == []
    assert Webhook.objects.count() == 1


def names() -> list[str]:
    return [event.payload["data"]["target_name"] for event in Event.objects.order_by("id")]


def test_the_words_of_an_object_do_not_tell_what_is_masked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Account, "__str__", lambda self: f"{self.owner}, {self.iban}")
    account = Account.objects.create(owner="Ada", iban="DE89 QXZW")
    account.owner = "Ada L."
    account.save()
    Account.objects.update(owner="Ada Lovelace")
    account.delete()

    assert set(names()) == {f"Account object ({Event.objects.last().target_id})"}
    assert not Event.objects.filter(payload_text__contains="QXZW").exists()


def test_an_empty_secret_is_told_by_every_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Account, "__str__", lambda self: f"{self.owner} {self.iban}".strip())
    Account.objects.create(owner="None but Ada", iban="")
    assert names() == ["None but Ada"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"target": "order 5"}, "model instance"), ({"metadata": "urgent"}, "a dict")],
)
def test_record_refuses_what_it_cannot_tell(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(AuditWebhooksError, match=message):
        auditwebhooks.record("approve", **arguments)
    assert not Event.objects.exists()

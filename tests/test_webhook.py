"""The Webhook model: its rules, its secrets, and what it collects."""

from __future__ import annotations

import json
import pickle
import threading
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from auditwebhooks import signing
from auditwebhooks.encryption import ProtectedText
from auditwebhooks.exceptions import EncryptionError
from auditwebhooks.models import Webhook, WebhookHealth
from auditwebhooks.models.webhook import ROTATION_OVERLAP
from auditwebhooks.payload import DEFAULT_TEMPLATE
from auditwebhooks.receivers import webhooks
from tests.factories import SECRET, make_webhook

pytestmark = pytest.mark.django_db

CANARY = "Bearer canary-4711"


def errors_of(webhook: Webhook) -> dict[str, list[str]]:
    with pytest.raises(ValidationError) as refused:
        webhook.full_clean()
    return refused.value.message_dict


def unsaved(**overrides: Any) -> Webhook:
    return Webhook(**{"name": "SIEM", "url": "https://hooks.example.com/in", **overrides})


def stored(column: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM auditwebhooks_webhook")  # noqa: S608
        return str(cursor.fetchone()[0])


def reload(webhook: Webhook) -> Webhook:
    return Webhook.objects.get(pk=webhook.pk)


def test_defaults_are_those_of_the_seed_page() -> None:
    webhook = unsaved()
    webhook.full_clean()

    assert webhook.active is True
    assert webhook.type == "http"
    assert webhook.get_type_display() == "HTTP Webhook"
    assert webhook.method == "POST"
    assert webhook.body_template == DEFAULT_TEMPLATE
    assert webhook.headers == {}
    assert webhook.response_validators == []
    assert webhook.event_types == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("name", "", "1 to 100 characters"),
        ("name", "a/b", "Take out: '/'"),
        ("name", "- _", "at least one letter or digit"),
        ("name", None, "1 to 100 characters"),
        ("type", "smtp", "not a valid choice"),
        ("method", "TRACE", "not a valid choice"),
        ("url", "http://hooks.example.com/", "must start with https://"),
        ("url", "https://hooks.example.com:8443/", "only 443 is allowed"),
        ("url", None, "Enter the URL"),
        ("body_template", "{", "Line 1, column 2"),
        ("body_template", '{"a": {{event_id}}}', "Put the placeholder in quotes"),
        ("headers", {"Host": "x"}, "set by the delivery itself"),
        ("headers", {"A": "x", "a": "y"}, "stands here twice"),
        ("headers", {"A": "line\nbreak"}, "printable"),
        ("headers", {"A": 5}, "Type a value"),
        ("headers", {"A": "***"}, "no stored value"),
        ("headers", ["A"], "as an object"),
        ("headers", "A: b", "as an object"),
        ("timeout_in_sec", 0, "1 to 60 seconds"),
        ("timeout_in_sec", 61, "1 to 60 seconds"),
        ("timeout_in_sec", "soon", "must be an integer"),
        ("response_validators", [{"json_path": "$.ok"}], "exactly the keys"),
        (
            "response_validators",
            [{"json_path": "$.ok", "expected_values": []}],
            "at least one expected value",
        ),
        (
            "response_validators",
            [{"json_path": "$[?(@.a =~ 'b')]", "expected_values": ["1"]}],
            'The operator "=~" is not allowed',
        ),
        (
            "response_validators",
            [{"json_path": "$.ok", "expected_values": [True]}],
            'write "true" in quotes',
        ),
        ("max_attempts", 12, "1 to 11 attempts"),
        ("max_per_minute", 0, "1 or more"),
        ("event_types", ["access flow"], "no event type"),
        ("event_types", "access.*", "Enter a list"),
        ("signing_secret", "hunter2", 'starts with "whsec_"'),
        ("signing_secret", "whsec_c2hvcnQ=", "24 to 64 bytes"),
        ("signing_secret", "***", "no stored signing secret"),
    ],
)
def test_a_bad_value_is_refused_with_its_field_and_the_way_out(
    field: str, value: object, words: str
) -> None:
    errors = errors_of(unsaved(**{field: value}))

    assert list(errors) == [field]
    assert any(words in message for message in errors[field]), errors


def test_all_bad_fields_are_told_at_once() -> None:
    webhook = unsaved(name="", url="ftp://x", headers={"Host": "x"}, timeout_in_sec=99)

    assert set(errors_of(webhook)) == {"name", "url", "headers", "timeout_in_sec"}


@pytest.mark.parametrize("name", ["SIEM", "siem", "ＳＩＥＭ", "Siem"])  # noqa: RUF001
def test_names_are_unique_without_regard_to_case(name: str) -> None:
    make_webhook(name="Siem")

    assert list(errors_of(unsaved(name=name))) == ["name"]


def test_names_that_differ_in_accents_are_different_names() -> None:
    make_webhook(name="Cafe")

    make_webhook(name="Café")

    assert Webhook.objects.count() == 2


def test_the_database_keeps_names_unique_too() -> None:
    make_webhook(name="Straße")

    with pytest.raises(IntegrityError), transaction.atomic():
        Webhook.objects.create(name="STRASSE", url="https://hooks.example.com/")


def test_a_webhook_may_be_saved_again_under_its_own_name() -> None:
    webhook = make_webhook(name="Siem")
    webhook.name = "SIEM"

    webhook.full_clean()
    webhook.save(update_fields=["name"])

    assert reload(webhook).name == "SIEM"


def test_a_new_name_frees_the_old_one() -> None:
    webhook = make_webhook(name="Old")
    webhook.name = "New"
    webhook.save(update_fields=["name"])

    make_webhook(name="old")


def test_secrets_read_masked_before_and_after_saving() -> None:
    webhook = unsaved(headers={"Authorization": CANARY}, signing_secret=SECRET)
    assert webhook.headers == {"Authorization": "***"}
    assert webhook.signing_secret == "***"

    webhook.save()
    again = reload(webhook)

    for one in (webhook, again):
        assert one.headers == {"Authorization": "***"}
        assert one.signing_secret == "***"
        assert json.dumps(one.headers) == '{"Authorization": "***"}'
        assert "canary" not in repr(one.__dict__)


def test_the_database_holds_ciphertext_and_the_sending_path_reveals() -> None:
    webhook = make_webhook(headers={"Authorization": CANARY}, signing_secret=SECRET)

    assert "canary" not in stored("headers")
    assert SECRET not in stored("signing_secret")
    again = reload(webhook)
    assert again.revealed_headers() == {"Authorization": CANARY}
    assert [s.reveal() for s in again.revealed_signing_secrets(timezone.now())] == [SECRET]


def test_stars_keep_a_stored_value_in_any_case_of_its_name() -> None:
    webhook = reload(make_webhook(headers={"Authorization": CANARY, "X-Old": "gone"}))

    webhook.headers = {"authorization": "***", "X-New": "fresh"}
    webhook.full_clean()
    webhook.save()

    assert reload(webhook).revealed_headers() == {"authorization": CANARY, "X-New": "fresh"}


def test_headers_may_be_built_from_what_was_read() -> None:
    webhook = reload(make_webhook(headers={"Authorization": CANARY}))

    webhook.headers = {**webhook.headers, "X-Team": "red"}
    webhook.save()

    assert reload(webhook).revealed_headers() == {"Authorization": CANARY, "X-Team": "red"}


def test_a_header_added_in_place_is_encrypted_too() -> None:
    webhook = reload(make_webhook())
    webhook.headers["X-Late"] = "late-canary"

    webhook.save()

    assert "canary" not in stored("headers")
    assert reload(webhook).revealed_headers() == {"X-Late": "late-canary"}


def test_secrets_of_a_new_host_must_be_typed_again() -> None:
    webhook = reload(make_webhook(headers={"A": CANARY}, signing_secret=SECRET))
    webhook.url = "https://other.example.com/in"

    errors = errors_of(webhook)

    assert set(errors) == {"headers", "signing_secret"}
    assert "Type them again" in errors["headers"][0]


def test_secrets_stay_with_another_path_of_the_same_host() -> None:
    webhook = reload(make_webhook(headers={"A": CANARY}))
    webhook.url = "https://HOOKS.example.com/other?x=1"

    webhook.full_clean()
    webhook.save()

    assert reload(webhook).revealed_headers() == {"A": CANARY}


def test_typing_them_again_moves_the_secrets_to_the_new_host() -> None:
    webhook = reload(make_webhook(headers={"A": CANARY}, signing_secret=SECRET))
    webhook.url = "https://other.example.com/"
    webhook.headers = {"A": "typed again"}
    webhook.signing_secret = SECRET

    webhook.full_clean()
    webhook.save()

    assert reload(webhook).revealed_headers() == {"A": "typed again"}
    # The old secret belongs to the old host and signs nothing here.
    assert len(reload(webhook).revealed_signing_secrets(timezone.now())) == 1


def test_a_url_changed_past_the_model_reveals_nothing() -> None:
    webhook = make_webhook(headers={"A": CANARY})
    Webhook.objects.filter(pk=webhook.pk).update(url="https://evil.example.com/")

    with pytest.raises(EncryptionError, match="another scheme, host or port"):
        reload(webhook).revealed_headers()


def test_secrets_cannot_be_written_past_the_model() -> None:
    make_webhook()

    with pytest.raises(TypeError, match="encrypted"), transaction.atomic():
        Webhook.objects.update(signing_secret="whsec_plain")
    with pytest.raises(TypeError, match="encrypted"), transaction.atomic():
        Webhook.objects.update(headers={"A": "plain"})


def test_bulk_create_encrypts_keys_and_collects() -> None:
    Webhook.objects.bulk_create([unsaved(headers={"A": CANARY})])

    webhook = Webhook.objects.get()
    assert "canary" not in stored("headers")
    assert webhook.revealed_headers() == {"A": CANARY}
    assert webhook.was_collecting(timezone.now())
    with pytest.raises(IntegrityError), transaction.atomic():
        make = unsaved(name="siem")
        make.save()


def test_refresh_from_db_takes_the_stored_secrets() -> None:
    webhook = make_webhook(headers={"A": "old"})
    other = reload(webhook)
    other.headers = {"A": "new"}
    other.save()

    webhook.refresh_from_db()

    assert webhook.revealed_headers() == {"A": "new"}


def test_deferred_secrets_are_loaded_when_asked_for() -> None:
    make_webhook(headers={"A": CANARY})

    webhook = Webhook.objects.defer("headers", "signing_secret").get()

    assert webhook.revealed_headers() == {"A": CANARY}


def test_fixtures_hold_ciphertext_and_can_be_loaded() -> None:
    webhook = make_webhook(url=URL, headers={"A": CANARY}, signing_secret=SECRET)
    text = serializers.serialize("json", Webhook.objects.all())
    assert "canary" not in text
    assert SECRET not in text
    webhook.delete()

    for loaded in serializers.deserialize("json", text):
        loaded.save()

    again = Webhook.objects.get()
    assert again.url == URL
    assert again.revealed_headers() == {"A": CANARY}
    assert [s.reveal() for s in again.revealed_signing_secrets(timezone.now())] == [SECRET]


def test_a_loaded_webhook_pickles_and_a_typed_secret_does_not() -> None:
    webhook = make_webhook(headers={"A": CANARY})

    assert b"canary" not in pickle.dumps(webhook)
    assert pickle.loads(pickle.dumps(webhook)).revealed_headers() == {"A": CANARY}  # noqa: S301
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(unsaved(headers={"A": CANARY}))


def test_saving_without_full_clean_never_stores_stars() -> None:
    with pytest.raises(ValidationError, match="no stored value"):
        unsaved(headers={"A": "***"}).save()


def test_a_new_signing_secret_keeps_the_old_one_valid_for_a_day() -> None:
    webhook = reload(make_webhook(signing_secret=SECRET))
    newer = signing.new_secret()
    webhook.signing_secret = newer
    webhook.save()
    now = timezone.now()

    def valid_at(moment: Any) -> list[str]:
        return [s.reveal() for s in reload(webhook).revealed_signing_secrets(moment)]

    assert valid_at(now) == [newer, SECRET]
    assert valid_at(now + ROTATION_OVERLAP + timedelta(minutes=1)) == [newer]


def test_a_kept_signing_secret_is_no_rotation() -> None:
    webhook = reload(make_webhook(signing_secret=SECRET))
    webhook.signing_secret = "***"
    webhook.save()

    assert len(reload(webhook).revealed_signing_secrets(timezone.now())) == 1


def test_a_webhook_collects_from_its_making() -> None:
    before = timezone.now()
    webhook = make_webhook()

    assert not reload(webhook).was_collecting(before)
    assert reload(webhook).was_collecting(timezone.now())


def test_switching_off_and_on_leaves_a_gap() -> None:
    webhook = make_webhook()
    while_on = timezone.now()
    webhook.active = False
    webhook.save()
    while_off = timezone.now()
    webhook.active = True
    webhook.save()

    again = reload(webhook)
    assert again.was_collecting(while_on)
    assert not again.was_collecting(while_off)
    assert again.was_collecting(timezone.now())


def test_a_bulk_switch_leaves_the_same_gap() -> None:
    webhook = make_webhook()
    assert Webhook.objects.update(active=False) == 1
    while_off = timezone.now()
    Webhook.objects.update(active=True)

    assert not reload(webhook).was_collecting(while_off)
    assert reload(webhook).was_collecting(timezone.now())


def test_what_the_system_switched_off_keeps_collecting() -> None:
    webhook = make_webhook()
    webhook.switch_off_by_system()
    again = reload(webhook)
    again.name = "Renamed while off"
    again.save()

    assert reload(webhook).active is False
    assert reload(webhook).was_collecting(timezone.now())


def test_a_webhook_made_inactive_collects_nothing() -> None:
    webhook = make_webhook(active=False)

    assert not reload(webhook).was_collecting(timezone.now())


def test_health_reads_empty_before_the_first_delivery() -> None:
    webhook = make_webhook()

    assert webhook.last_success_at is None
    assert webhook.last_failure_at is None
    assert webhook.consecutive_failures == 0
    assert webhook.paused_until is None
    assert webhook.disabled_reason == ""


def test_a_pause_for_the_configuration_ends_when_it_changes() -> None:
    webhook = make_webhook()
    WebhookHealth.objects.create(
        webhook=webhook,
        paused_until=timezone.now() + timedelta(hours=1),
        pause_reason="configuration",
        paused_configuration=webhook.updated_at,
    )
    assert reload(webhook).paused_until is not None

    webhook.save()

    assert reload(webhook).paused_until is None


def test_the_timeout_is_never_longer_than_the_most(configure: Any) -> None:
    webhook = unsaved(timeout_in_sec=50)
    configure(MAX_TIMEOUT=20)

    assert webhook.timeout == 20
    assert unsaved().timeout == 10


URL = "https://hooks.example.com/T0/canary-path?token=canary"


def test_the_path_of_a_url_is_encrypted_at_rest() -> None:
    webhook = make_webhook(url=URL)

    assert stored("url").startswith("https://hooks.example.com/*** gAAAA")
    assert "canary" not in stored("url")
    assert reload(webhook).url == URL
    assert list(Webhook.objects.values_list("url", flat=True)) == [URL]

    Webhook.objects.update(url=URL + "2")
    assert "canary" not in stored("url")
    assert reload(webhook).url == URL + "2"


def test_nothing_finds_a_webhook_by_its_url() -> None:
    """Ciphertext differs each time: a filter that never matches would be a trap."""
    with pytest.raises(FieldError, match="Unsupported lookup"):
        Webhook.objects.filter(url=URL)


def test_a_url_that_cannot_be_read_is_kept_and_typed_again(settings: Any) -> None:
    webhook = make_webhook(url=URL)
    before = stored("url")
    settings.SECRET_KEY = "another one"

    lost = reload(webhook)
    assert lost.url == "https://hooks.example.com/***"
    with pytest.raises(EncryptionError, match="type the URL again"):
        lost.address()
    assert errors_of(lost) == {"url": ["The stored URL cannot be read: type it again."]}
    lost.save()
    assert stored("url") == before

    lost.url = URL
    lost.full_clean()
    lost.save()
    assert reload(webhook).address().url == URL


def test_a_stored_url_that_is_pasted_is_not_read_for_anybody() -> None:
    """Who reads the database must not get at a URL by making a webhook of it."""
    make_webhook(url=URL)
    thief = unsaved(url=stored("url"))

    assert "url" in errors_of(thief)
    assert "canary" not in thief.url


def test_a_header_s_token_is_no_url() -> None:
    webhook = make_webhook(url=URL, headers={"A": CANARY})
    token = json.loads(stored("headers"))["A"]
    with connection.cursor() as cursor:
        row = [f"https://a.example/ {token}"]
        cursor.execute("UPDATE auditwebhooks_webhook SET url = %s", row)

    assert "canary" not in reload(webhook).url


def test_rotated_secrets_stand_under_the_first_key(configure: Any) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    configure(ENCRYPTION_KEYS=[old])
    webhook = reload(make_webhook(url=URL, headers={"A": CANARY}, signing_secret=SECRET))
    webhook.signing_secret = signing.new_secret()
    webhook.save()
    newest = [one.reveal() for one in webhook.revealed_signing_secrets(timezone.now())]
    configure(ENCRYPTION_KEYS=[new, old])

    Webhook.objects.update(**reload(webhook).rotated_secrets())

    configure(ENCRYPTION_KEYS=[new])
    again = reload(webhook)
    assert again.url == URL
    assert again.revealed_headers() == {"A": CANARY}
    assert [one.reveal() for one in again.revealed_signing_secrets(timezone.now())] == newest
    assert len(newest) == 2
    assert again.updated_at == webhook.updated_at


def test_an_old_signing_secret_that_cannot_be_read_is_not_kept(settings: Any) -> None:
    webhook = make_webhook(signing_secret=SECRET)
    settings.SECRET_KEY = "another one"
    lost = reload(webhook)
    lost.url, lost.signing_secret = URL, signing.new_secret()
    lost.save()

    assert reload(webhook).previous_signing_secret == ""
    assert reload(webhook).rotated_secrets()


def test_a_rotation_leaves_an_old_signing_secret_out_that_signs_no_more() -> None:
    webhook = reload(make_webhook(signing_secret=SECRET))
    webhook.signing_secret = signing.new_secret()
    webhook.save()
    Webhook.objects.update(
        previous_signing_secret_until=timezone.now() - timedelta(seconds=1),
        **{"previous_signing_secret": ProtectedText("of a lost key")},
    )

    assert reload(webhook).rotated_secrets()["previous_signing_secret"] == ""


def test_str_shows_the_name_only() -> None:
    assert str(unsaved(url="https://hooks.example.com/T0/secret-path")) == "SIEM"
    assert unsaved(url="https://hooks.example.com/T0/x").masked_url == (
        "https://hooks.example.com/***"
    )


@pytest.mark.django_db(transaction=True)
def test_a_write_of_another_while_it_is_deleted_fails_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On SQLite a transaction that has read may write no more once another has committed."""
    webhook, other = make_webhook(name="one"), make_webhook(name="other")
    hold = webhooks._hold

    def another_writes() -> None:
        with suppress(OperationalError), connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.execute("PRAGMA busy_timeout = 0")
            WebhookHealth.objects.create(webhook=other)
        connection.close()

    def hold_and_wait(rows: Any, using: str, **options: Any) -> None:
        hold(rows, using, **options)
        if not threads:
            threads.append(threading.Thread(target=another_writes))
            threads[0].start()
            threads[0].join(30)

    threads: list[threading.Thread] = []
    monkeypatch.setattr(webhooks, "_hold", hold_and_wait)
    webhook.delete()

    assert threads
    assert list(Webhook.objects.all()) == [other]

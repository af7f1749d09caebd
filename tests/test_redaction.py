"""A person is erased from the recorded events and their invocations."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

import auditwebhooks
from auditwebhooks import redaction, rows
from auditwebhooks.delivery import replay
from auditwebhooks.delivery.selection import Selection
from auditwebhooks.models import Event, IdempotencyKey, Invocation, Replay
from auditwebhooks.redaction import Redacted, redact
from tests.factories import make_event, make_invocation, make_webhook
from tests.testapp.models import Article

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "PAUSE", 0)


ID = "ada@example.com"


@pytest.fixture
def ada() -> User:
    """A user, her own event, and one of somebody else about her."""
    with auditwebhooks.paused():
        # With a key that none of the articles has: it is looked for as a target's.
        ada = User.objects.create_user(
            "ada", ID, id=987_654, first_name="Ada", last_name="Lovelace", is_staff=True
        )
    with auditwebhooks.context(actor=ada):
        Article.objects.create(title="Notes", text="by Ada Lovelace")
    with auditwebhooks.context(actor="bob"):
        ada.is_staff = False
        ada.save()
        Article.objects.create(title="Ada Lovelace")
    return ada


def events() -> list[Event]:
    return list(Event.objects.order_by("id"))


def everything() -> str:
    rows = [*Event.objects.values(), *Invocation.objects.values()]
    return json.dumps(rows, default=str)


def test_what_she_did_and_what_was_done_to_her_is_erased(ada: User) -> None:
    before = events()
    assert redact(ID) == Redacted(events=2)
    own, about, other = events()

    assert (own.actor_id, own.actor_name) == ("***", "***")
    assert own.payload["data"]["actor_id"] == own.payload["data"]["actor_name"] == "***"
    assert own.payload["data"]["metadata"]["actor_pk"] == "***"
    assert own.payload["data"]["current_target_object"]["text"] == "by Ada Lovelace"
    assert about.actor_id == "bob"
    assert about.payload["data"]["current_target_object"]["email"] == "***"
    assert about.payload["data"]["previous_target_object"]["email"] == "***"
    assert about.payload["data"]["current_target_object"]["username"] == "ada"
    assert other.payload_text == before[2].payload_text, "found by a full search only"
    assert [(one.pk, one.event_id, one.created_at) for one in events()] == [
        (one.pk, one.event_id, one.created_at) for one in before
    ]
    assert redact(ID) == Redacted()


def test_everywhere_finds_her_in_other_objects(ada: User) -> None:
    assert redact(ID, everywhere=True) == Redacted(events=3)
    other = events()[2]

    assert other.payload["data"]["current_target_object"]["title"] == "***"
    assert other.target_name == "***"
    assert other.actor_id == "bob"


def test_further_texts_can_be_given(ada: User) -> None:
    redact(ID, also=["ada", "Ada", "Lovelace"])
    about = events()[1]

    row = about.payload["data"]["current_target_object"]
    assert (row["username"], row["first_name"], row["last_name"]) == ("***", "***", "***")
    assert about.target_name == "***"


def test_a_dry_run_counts_and_changes_nothing(ada: User) -> None:
    make_invocation(make_webhook(), event=events()[0], status="failed", request_body=ID)
    before = everything()

    assert redact(ID, dry_run=True) == Redacted(events=2, invocations=1)
    assert everything() == before


def test_bodies_and_messages_that_hold_her_go(ada: User) -> None:
    own, about, other = events()
    webhook = make_webhook()
    key = ada.pk

    def call(event: Event, **values: Any) -> Invocation:
        return make_invocation(webhook, event=event, status="failed", **values)

    whole = call(
        own,
        request_body=own.payload_text,
        response_body=f"No such user: {ID}",
        response_headers={"X-User": "Ada%20Lovelace", "Server": "x"},
        message=f"$.who is {ID}",
        validation_results=[{"found": ID, "path": "$.who"}],
    )
    by_key = call(own, request_body=json.dumps({"who": key}), response_body='{"ok":true}')
    cut = call(own, response_body="hello ada@exam", response_truncated=True)
    of_her = call(about, request_body=f"{ID} has changed", response_body="ok")
    others = call(other, request_body="Ada Lovelace")

    assert redact(ID) == Redacted(events=2, invocations=4)
    for invocation in (whole, by_key, cut, of_her, others):
        invocation.refresh_from_db()
    assert (whole.request_body, whole.response_body, whole.message) == ("***",) * 3
    assert whole.response_headers == {"X-User": "***", "Server": "x"}
    assert whole.validation_results == [{"found": "***", "path": "$.who"}]
    assert (by_key.request_body, by_key.response_body) == ("***", '{"ok":true}')
    assert cut.response_body == "***"
    assert (of_her.request_body, of_her.response_body) == ("***", "ok")
    assert others.request_body == "Ada Lovelace"


def test_what_still_waits_is_sent_without_her(ada: User) -> None:
    waiting = make_invocation(make_webhook(), event=events()[0])
    redact(ID)

    waiting.refresh_from_db()
    assert waiting.status == "pending"
    assert ID not in waiting.event.payload_text


def test_an_event_that_is_being_sent_is_left_for_the_next_run(ada: User) -> None:
    own = events()[0]
    call = make_invocation(make_webhook(), event=own, status="sending", claim_token="x")

    assert redact(ID) == Redacted(events=1, busy=1)
    assert events()[0].actor_id == ID

    Invocation.objects.filter(pk=call.pk).update(status="failed", request_body=ID)
    assert redact(ID) == Redacted(events=1, invocations=1)


def test_batches_reach_everything_and_a_stopped_run_is_begun_again(
    ada: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redaction, "BATCH", 2)
    with auditwebhooks.context(actor=ada):
        for number in range(7):
            Article.objects.create(title=str(number))
    seen: list[Redacted] = []

    def stop(redacted: Redacted) -> None:
        seen.append(redacted)
        if redacted.events >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        redact(ID, on_batch=stop)
    rest = redact(ID)

    assert seen[-1].events + rest.events == 9
    assert not Event.objects.filter(actor_id=ID).exists()
    assert Event.objects.count() == 10


def test_a_search_reads_the_table_in_pages(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_SEARCH", 2)
    monkeypatch.setattr(redaction, "BATCH", 1)
    with auditwebhooks.context(actor="bob"):
        for _ in range(5):
            Article.objects.create(title="Ada Lovelace")
            Article.objects.create(title="Somebody else")

    assert redact(ID, everywhere=True) == Redacted(events=8)


def test_somebody_with_nearly_the_same_id_is_left() -> None:
    """MariaDB compares without regard to case, accents and blanks at the end."""
    others = [make_event(actor_id=one) for one in ("Bob", "böb", "bob ")]
    for event, actor in zip(others, ("Bob", "böb", "bob "), strict=True):
        payload = event.payload
        payload["data"]["actor_id"] = actor
        QuerySet(Event).filter(pk=event.pk).update(payload_text=json.dumps(payload))

    assert redact("bob") == Redacted()
    assert {one.actor_id for one in events()} == {"Bob", "böb", "bob "}


def test_an_id_that_is_longer_than_its_column_is_found_whole() -> None:
    long = "x" * 300
    with auditwebhooks.context(actor=long):
        Article.objects.create(title="mine")
    with auditwebhooks.context(actor=f"{long}y"):
        Article.objects.create(title="not mine")

    assert redact(long) == Redacted(events=1)
    assert [one.actor_id for one in events()] == ["***", "x" * 255]


def test_letters_beyond_ascii_are_found(ada: User) -> None:
    with auditwebhooks.context(actor="Zoë \U0001f600"):
        Article.objects.create(title="mine")
    with auditwebhooks.context(actor="bob"):
        Article.objects.create(title="Zoë \U0001f600")

    assert redact("Zoë \U0001f600", everywhere=True) == Redacted(events=2)
    assert "Zo\\u00eb" not in everything()


def test_a_name_that_no_database_takes_is_found_as_it_was_stored(ada: User) -> None:
    """Half of a letter, where a host cut the name: sent and stored with a question mark."""
    name = "Zoe \ud83d"
    with auditwebhooks.context(actor=name):
        Article.objects.create(title="mine")
    own = Event.objects.latest("id")
    call = make_invocation(
        make_webhook(), event=own, status="failed", request_body='{"by": "Zoe ?"}'
    )

    assert redact(name) == Redacted(events=1, invocations=1)
    call.refresh_from_db()
    assert call.request_body == "***"
    assert "Zoe" not in everything()


def test_she_goes_from_tests_that_were_made_with_her_events(ada: User) -> None:
    webhook = make_webhook()
    own = Event.objects.get(actor_id=ID)
    with_her = make_invocation(
        webhook,
        event=None,
        trigger="test",
        request_body=own.payload_text,
        response_body="thanks, Ada Lovelace",
    )
    other = make_invocation(webhook, event=None, trigger="test", request_body='{"a": "b"}')

    assert redact(ID, dry_run=True).invocations == 1
    with_her.refresh_from_db()
    assert with_her.request_body == own.payload_text
    assert redact(ID).invocations == 1
    with_her.refresh_from_db()
    other.refresh_from_db()
    assert (with_her.request_body, with_her.response_body) == ("***", "***")
    assert other.request_body == '{"a": "b"}'


def test_she_goes_from_the_replays_that_she_asked_for(ada: User) -> None:
    now = timezone.now()
    selection = Selection(since=now, until=now)
    for who in (ID, "bob@example.com", ID.upper()):
        replay.start(make_webhook(), selection, who)

    redact(ID, dry_run=True)
    assert Replay.objects.filter(requested_by="***").count() == 0
    redact(ID)
    asked = Replay.objects.order_by("id").values_list("requested_by", flat=True)
    assert list(asked) == ["***", "bob@example.com", ID.upper()]


def test_an_address_is_hers_in_tests_too() -> None:
    with auditwebhooks.context(actor=ID, ip="203.0.113.99"):
        event = auditwebhooks.record("own.word")
    test = make_invocation(
        make_webhook(), event=None, trigger="test", request_body='{"from": "203.0.113.99"}'
    )
    assert event is not None

    redact(ID)

    test.refresh_from_db()
    assert test.request_body == "***"


def test_she_goes_from_the_answers_that_the_api_keeps(ada: User) -> None:
    test = {"result": "Test successful", "invocation": {"id": 7, "request_body": f"of {ID}"}}
    for number, answer in enumerate((test, {"requested_by": "bob"}, None)):
        IdempotencyKey.objects.create(
            digest=str(number),
            body_digest="",
            answer="" if answer is None else json.dumps(answer),
            created_at=timezone.now(),
        )

    redact(ID)

    kept = IdempotencyKey.objects.order_by("pk").values_list("answer", flat=True)
    assert [answer and json.loads(answer) for answer in kept] == [
        {"result": "Test successful", "invocation": {"id": 7, "request_body": "***"}},
        {"requested_by": "bob"},
        "",
    ]

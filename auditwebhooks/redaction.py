"""Erases a person from the recorded events and their invocations, on request.

In batches, each a transaction. First comes what was done to the person's own record, then what
they did: these events are found by their actor until they are done, so a run that was stopped can
be begun again. No event goes and none changes its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from django.db import connections, router, transaction
from django.db.models import Q

from auditwebhooks.enums import ActorType, Status, Trigger
from auditwebhooks.erasure import Finder, Person, as_json_text, erased, traces
from auditwebhooks.masking import MASK
from auditwebhooks.models import Event, IdempotencyKey, Invocation, Replay
from auditwebhooks.models.event import COLUMN_LENGTH
from auditwebhooks.payload import json_text
from auditwebhooks.querysets import EventQuerySet
from auditwebhooks.rows import let_others_write, locked, pages, take_write_lock
from auditwebhooks.storable import storable

# Events of a transaction.
BATCH = 100
# Invocations that are in memory together: their bodies are long.
_ROWS = 20
# Events that a full search looks through with one statement.
_SEARCH = 5000

# Ids that are no person's; "unknown" where a host's user object could not tell.
NOBODY = (ActorType.SYSTEM.value, ActorType.ANONYMOUS.value, "unknown", MASK, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Redacted:
    """How many rows the person was erased from, or would be."""

    events: int = 0
    invocations: int = 0
    # Events that are being sent: what is stored of that call would hold the person again.
    busy: int = 0

    def __add__(self, other: Redacted) -> Redacted:
        return Redacted(
            events=self.events + other.events,
            invocations=self.invocations + other.invocations,
            busy=self.busy + other.busy,
        )


def redact(
    actor_id: str,
    *,
    also: Collection[str] = (),
    everywhere: bool = False,
    dry_run: bool = False,
    on_batch: Callable[[Redacted], object] = lambda redacted: None,
) -> Redacted:
    """Replace the person by ``***``; in how many rows.

    ``also``: further texts that are the person's. ``everywhere``: looks for them in every event,
    not only in the person's own and in those of their own record. ``on_batch`` is told after each
    batch what was done so far.
    """
    own = _events().filter(actor_id=_column(actor_id))
    person, records, told = _survey(own, actor_id, also)
    about = _holding(person.texts) if everywhere else _about(records)
    batches = chain(((ids, False) for ids in about), ((ids, True) for ids in _pages(own)))
    total = Redacted(invocations=_redact_tests(person, told, dry_run=dry_run))
    if not dry_run:
        _redact_replays(person)
        _redact_answers(person, told)
    for ids, is_own in batches:
        total += _redact(ids, person, is_own=is_own, dry_run=dry_run)
        on_batch(total)
        let_others_write(router.db_for_write(Event))
    return total


def _events() -> EventQuerySet[Event]:
    return Event.objects.primary()


def _column(text: str) -> str:
    return storable(text)[:COLUMN_LENGTH]


def _survey(
    own: EventQuerySet[Event], actor_id: str, also: Collection[str]
) -> tuple[Person, set[str], set[str]]:
    """Who it is by all their events, the keys of their own record, and what tells of them
    otherwise."""
    names: set[str] = set()
    told: set[str] = set()
    records = {actor_id}
    person = Person(id=actor_id, texts=frozenset())
    for ids in _pages(own):
        for event in _events().filter(pk__in=ids).only("payload_text"):
            payload = event.payload
            if person.acted_in(payload):
                names.add(payload["data"]["actor_name"])
                found = traces(payload)
                records |= found.keys
                told |= found.texts
    texts = frozenset({actor_id, *names, *also}) - {MASK, ""}
    return Person(id=actor_id, texts=texts), records, told


def _about(records: Collection[str]) -> Iterator[list[int]]:
    """The events of the person's own record, and of others with the same key."""
    for key in sorted(records):
        yield from _pages(_events().filter(target_id=_column(key)))


def _holding(texts: Collection[str]) -> Iterator[list[int]]:
    """The events that hold one of the texts anywhere, by reading all of them."""
    holds = Q()
    for text in texts:
        holds |= Q(payload_text__contains=as_json_text(text))
    for ids in _pages(_events(), _SEARCH):
        found = _events().filter(holds, pk__gte=ids[0], pk__lte=ids[-1])
        yield from pages(found.order_by("pk").values_list("pk", flat=True), BATCH)


def _pages(events: EventQuerySet[Event], size: int = BATCH) -> Iterator[list[int]]:
    """Their keys. What leaves the queryset meanwhile moves nothing."""
    keys = events.order_by("pk").values_list("pk", flat=True)
    ids = list(keys[:size])
    while ids:
        yield ids
        ids = list(keys.filter(pk__gt=ids[-1])[:size])


def _redact_tests(person: Person, told: Collection[str], *, dry_run: bool) -> int:
    """Of tests that were made with a recorded event, which their rows do not name."""
    using = router.db_for_write(Invocation)
    finder = Finder(person.texts | set(told))
    tests = Invocation.objects.using(using).filter(event__isnull=True, trigger=Trigger.TEST)
    redacted = 0
    for keys in pages(tests.order_by("pk").values_list("pk", flat=True), _ROWS):
        with transaction.atomic(using=using):
            take_write_lock(connections[using], Invocation)
            rows = Invocation.objects.using(using).filter(pk__in=keys).order_by("pk")
            for invocation in locked(rows, using):
                redacted += _redact_invocation(invocation, finder, using, dry_run=dry_run)
        let_others_write(using)
    return redacted


def _redact_replays(person: Person) -> None:
    """Who asked for them."""
    texts = {_column(text) for text in person.texts}
    rows = Replay.objects.primary()
    asked = rows.filter(requested_by__in=texts).values_list("pk", "requested_by")
    # Collations take other texts for the same.
    theirs = [pk for pk, who in asked if who in texts]
    rows.filter(pk__in=theirs).update(requested_by=MASK)


def _redact_answers(person: Person, told: Collection[str]) -> None:
    """What the API has answered and keeps for whoever asks the same again: tests with their
    bodies, and replays."""
    finder = Finder(person.texts | set(told))
    kept = IdempotencyKey.objects.primary().exclude(answer="")
    for keys in pages(kept.order_by("pk").values_list("pk", flat=True), _ROWS):
        for row in kept.filter(pk__in=keys):
            answer = json.loads(row.answer)
            redacted = finder.without(answer)
            if redacted != answer:
                kept.filter(pk=row.pk).update(answer=json_text(redacted))


def _redact(ids: list[int], person: Person, *, is_own: bool, dry_run: bool) -> Redacted:
    using = router.db_for_write(Event)
    events = invocations = 0
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Event)
        # Invocations first: a worker that stores its results holds these, and waits for events.
        of_events = Invocation.objects.using(using).filter(event__in=ids).order_by("pk")
        list(locked(of_events, using).values_list("pk", flat=True))
        rows = Event.objects.using(using).filter(pk__in=ids).order_by("pk")
        found = [
            event for event in locked(rows, using) if person.acted_in(event.payload) == is_own
        ]
        sending = of_events.filter(status=Status.SENDING).values_list("event_id", flat=True)
        finders: dict[int, Finder] = {}
        busy = set(sending)
        for event in found:
            payload = event.payload
            finders[event.pk] = _finder(payload, person, is_own=is_own)
            if event.pk not in busy:
                events += _redact_event(event, payload, person, using, dry_run=dry_run)
        free = [pk for pk in finders if pk not in busy]
        keys = list(of_events.filter(event__in=free).values_list("pk", flat=True))
        for some in pages(keys, _ROWS):
            for invocation in of_events.filter(pk__in=some):
                finder = finders[invocation.event_id or 0]
                invocations += _redact_invocation(invocation, finder, using, dry_run=dry_run)
    return Redacted(
        events=events,
        invocations=invocations,
        busy=len(busy.intersection(finders)),
    )


def _finder(payload: dict[str, Any], person: Person, *, is_own: bool) -> Finder:
    if not is_own:
        return Finder(person.texts)
    found = traces(payload)
    name = payload["data"]["actor_name"]
    return Finder(person.texts | found.texts | {name}, found.keys)


def _redact_event(
    event: Event, payload: dict[str, Any], person: Person, using: str, *, dry_run: bool
) -> bool:
    redacted = erased(payload, person)
    if redacted == payload:
        return False
    if not dry_run:
        data = redacted["data"]
        columns = ("actor_id", "actor_name", "target_id", "target_name")
        # The others stay as they are: columns are cut, and hold no lone surrogates.
        values = {name: MASK for name in columns if data[name] == MASK}
        rows = Event.objects.using(using).filter(pk=event.pk)
        rows._redact(payload_text=json_text(redacted), **values)
    return True


def _redact_invocation(
    invocation: Invocation, finder: Finder, using: str, *, dry_run: bool
) -> bool:
    """A text that holds the person goes as a whole: what is left of it could tell of them."""
    is_cut = invocation.response_truncated
    values: dict[str, Any] = {
        name: MASK
        for name in ("message", "request_body", "response_body")
        if finder(getattr(invocation, name), is_cut=is_cut and name == "response_body")
    }
    for name in ("response_headers", "validation_results"):
        value = getattr(invocation, name)
        redacted = finder.without(value)
        if redacted != value:
            values[name] = redacted
    if values and not dry_run:
        Invocation.objects.using(using).filter(pk=invocation.pk).update(**values)
    return bool(values)

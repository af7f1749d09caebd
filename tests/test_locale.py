"""The translations: whole, up to date, and only where a person reads."""

from __future__ import annotations

import gettext
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django
import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.utils import translation
from rest_framework.test import APIClient

import auditwebhooks
from auditwebhooks.capture.subject import type_of
from auditwebhooks.delivery.again import send_again
from auditwebhooks.delivery.drain import Drain
from auditwebhooks.delivery.switching import switch
from auditwebhooks.delivery.trial import send_test
from auditwebhooks.models import Event, Invocation, Webhook
from auditwebhooks.payload_schema import json_schema
from auditwebhooks.receiver import Answer
from auditwebhooks.registry import Options
from auditwebhooks.sentences import shown
from tests.catalogs import LANGUAGES, LOCALE, catalog, entries, extract
from tests.conftest import Inbox
from tests.factories import make_event, make_invocation, make_webhook

# What a text is filled with: both formats, and the placeholders that are told of.
_FILLED = re.compile(r"%\(\w+\)[sd]|%[sd%]|\{\w+\}|\{\{[^}]*\}\}")

LOCALES = "django.middleware.locale.LocaleMiddleware"


@pytest.fixture(autouse=True)
def own_language() -> Iterator[None]:
    """What LocaleMiddleware activates stays active in the thread of a test client."""
    with translation.override("en", deactivate=True):
        yield


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_and_none_is_fuzzy(language: str) -> None:
    told = entries(catalog(language))

    assert len(told) > 500
    assert [one.msgid for one in told if one.fuzzy or not all(one.texts.values())] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_translations_are_filled_with_the_same(language: str) -> None:
    wrong = [
        (text, source)
        for one in entries(catalog(language))
        for number, text in one.texts.items()
        for source in [one.plural if number and one.plural else one.msgid]
        if sorted(_FILLED.findall(text)) != sorted(_FILLED.findall(source))
        # Languages write percentages in their own ways.
        and source != "%s %%"
    ]
    assert wrong == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_what_is_compiled_is_what_is_written(language: str) -> None:
    with catalog(language).with_suffix(".mo").open("rb") as file:
        compiled = dict(gettext.GNUTranslations(file)._catalog)  # type: ignore[attr-defined]
    compiled.pop("")

    written = {}
    for one in entries(catalog(language)):
        name = f"{one.context}\x04{one.msgid}" if one.context else one.msgid
        written |= {(name, at) if one.plural else name: text for at, text in one.texts.items()}
    assert compiled == written


def test_the_catalogs_hold_the_texts_of_the_sources(tmp_path: Path) -> None:
    if shutil.which("xgettext") is None:
        pytest.skip("gettext's xgettext is not installed: the sources are not compared")
    package = Path(auditwebhooks.__file__).parent
    shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("*.pyc"))
    extract(tmp_path)

    for language in LANGUAGES:
        present = {one.key for one in entries(catalog(language))}
        wanted = {one.key for one in entries(catalog(language, tmp_path))}
        assert present == wanted, "run python -m tests.catalogs and translate what is new"


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_of_django_keep_the_meaning_that_django_gave_them(language: str) -> None:
    """Catalogs of all apps are one: what is said otherwise here is so on the host's pages, too."""
    ours = {one.key: one.texts[0] for one in entries(catalog(language)) if not one.plural}
    apps = ("conf", *(f"contrib/{app}" for app in ("admin", "auth", "contenttypes", "sessions")))
    changed = []
    for app in apps:
        path = Path(django.__file__).parent / app / "locale" / language / "LC_MESSAGES/django.po"
        changed += [
            (one.msgid, one.texts[0], ours[one.key])
            for one in (entries(path) if path.exists() else ())
            if one.texts.get(0)
            and not one.plural
            and ours.get(one.key, "") not in ("", one.texts[0])
        ]
    assert changed == []


def test_the_catalogs_are_beside_the_code() -> None:
    for language in LANGUAGES:
        assert (Path(auditwebhooks.__file__).parent.parent / LOCALE / language).is_dir()


WORDS = {
    "de": {
        "": ["Audit-Webhooks", "Ereignisse", "Aufrufe", "Nachsendungen"],
        "webhook/": ["Rückstau", "Letztes Ergebnis", "Inaktiv", "Einschalten"],
        "webhook/add/": ["Body-Vorlage", "Antwortprüfungen", "Signaturschlüssel", "Bedeutung"],
        "webhook/1/change/": ["Wartendes", "1 Zustellung wartet"],
        "webhook/1/rotate-secret/": ["Neuer Signaturschlüssel"],
        "webhook/1/history/": ["Getestet: Test fehlgeschlagen"],
        "event/": ["Akteur", "Webanwendung", "Ändern", "Letzte 24 Stunden", "Erneut senden"],
        "event/1/change/": ["Änderungen", "Metadaten", "Webanwendung", "Benutzer"],
        "invocation/": ["HTTP-Status", "Fehlgeschlagen", "Auslöser"],
        "invocation/1/change/": ["Der Empfänger antwortete mit 401 Unauthorized.", "Tipp:"],
        "replay/": ["Nachsendungen"],
    },
    "he": {
        "": ["וובהוקים לביקורת", "אירועים", "קריאות"],
        "webhook/": ["תוצאה אחרונה", "לא פעיל", "הפעלה"],
        "webhook/add/": ["תבנית גוף הבקשה", "בדיקות תגובה", "סוד חתימה"],
        "webhook/1/change/": ["מה ממתין"],
        "webhook/1/rotate-secret/": ["סוד חתימה חדש"],
        "webhook/1/history/": ["נבדק: הבדיקה נכשלה"],
        "event/": ["מבצע", "יישום אינטרנט", "עדכון", "שליחה חוזרת"],
        "event/1/change/": ["שינויים", "מטא-נתונים"],
        "invocation/": ["קוד HTTP", "נכשל", "גורם"],
        "invocation/1/change/": ["המקבל ענה \u2066401 Unauthorized\u2069."],
        "replay/": ["שידורים חוזרים"],
    },
}

PAGES = [
    pytest.param(language, page, words, id=f"{language} {page or 'index'}")
    for language, pages in WORDS.items()
    for page, words in pages.items()
]


@pytest.fixture
def operator(client: Client, settings: Any) -> Client:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:1], LOCALES, *settings.MIDDLEWARE[1:]]
    with auditwebhooks.paused():
        user = User.objects.create_superuser("op")
    client.force_login(user)
    return client


@pytest.fixture
def rows() -> dict[str, Any]:
    webhook = make_webhook(name="SIEM", active=False)
    invocation = make_invocation(
        webhook,
        status="failed",
        outcome="http_status",
        message="The receiver answered 401 Unauthorized.",
        response_status=401,
    )
    make_invocation(webhook)
    return {"webhook": webhook, "invocation": invocation, "event": invocation.event}


@pytest.mark.django_db
@pytest.mark.parametrize(("language", "page", "words"), PAGES)
def test_the_pages_are_in_the_language_of_who_reads_them(
    operator: Client, rows: dict[str, Any], language: str, page: str, words: list[str]
) -> None:
    model, _slash, rest = page.partition("/")
    if rest.startswith("1/"):
        page = f"{model}/{rows[model].pk}/{rest[2:]}"
    if rest.endswith("history/"):
        _note_test(rows["webhook"])
    answer = operator.get(f"/admin/auditwebhooks/{page}", headers={"accept-language": language})
    shown_page = answer.content.decode()

    assert answer.status_code == 200
    assert f'dir="{"rtl" if language == "he" else "ltr"}"' in shown_page
    assert [word for word in words if word not in shown_page] == []


def _note_test(webhook: Webhook) -> None:
    user = User.objects.get(username="op")
    LogEntry.objects.log_actions(user.pk, [webhook], 2, "Tested: Test failed")


@pytest.mark.django_db
def test_a_form_is_refused_in_the_language_of_who_reads_it(operator: Client) -> None:
    answer = operator.post(
        "/admin/auditwebhooks/webhook/add/",
        {
            "name": "a?",
            "type": "http",
            "method": "POST",
            "url": "https://user@hooks.example.com/",
            "body_template": '{"a": {{x}} }',
            "headers-0-key": "Host",
            "headers-0-value": "x",
            "response_validators-0-path": "data",
            "response_validators-0-expected": "1",
        },
        headers={"accept-language": "de"},
    )
    page = answer.content.decode()

    for sentence in (
        "Ein Name besteht nur aus Buchstaben, Ziffern, Leerzeichen, - und _.",
        "Entfernen Sie Benutzer und Passwort aus der URL",
        "Zeile 1, Spalte 7: Setzen Sie den Platzhalter in Anführungszeichen",
        "wird von der Zustellung selbst gesetzt.",
        "Prüfung 1: Ein JSONPath beginnt mit",
    ):
        assert sentence in page


@pytest.mark.django_db
def test_the_values_of_the_api_are_the_same_in_every_language(
    inbox: Inbox, settings: Any, rows: dict[str, Any]
) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:1], LOCALES, *settings.MIDDLEWARE[1:]]
    with auditwebhooks.paused():
        user = User.objects.create_superuser("op")
    api = APIClient(headers={"accept-language": "de"})
    api.force_authenticate(user)
    inbox.answers = [Answer(status=401)]
    base = "/api/audit/"
    values = {"name": "Neu", "url": inbox.url, "body_template": ""}

    tested = api.post(f"{base}webhooks/test/", values, format="json").json()
    listed = api.get(f"{base}invocations/{rows['invocation'].pk}/").json()
    event = api.get(f"{base}events/{rows['event'].event_id}/").json()
    refused = api.post(f"{base}webhooks/", {**values, "name": "?"}, format="json").json()

    assert tested["result"] == "Test failed"
    assert tested["invocation"]["message"] == "The receiver answered 401 Unauthorized."
    assert tested["invocation"]["outcome"] == "http_status"
    assert (listed["status"], listed["trigger"]) == ("failed", "event")
    assert (event["source"], event["action"]) == ("web application", "update")
    assert event["actor_type"] == "user"
    assert api.get(f"{base}payload-schema/").json() == json_schema()
    # What a person reads is translated.
    assert "Ein Name besteht nur" in refused["name"][0]


@pytest.mark.django_db
def test_what_is_stored_is_in_english_whoever_caused_it(inbox: Inbox) -> None:
    inbox.answers = [Answer(status=500)]
    webhook = make_webhook(url=inbox.url)
    failed = make_invocation(webhook, status="failed", outcome="timeout")
    with translation.override("de"):
        tested = send_test(webhook)
        broken = send_test(Webhook(name="x", url="http://example.com"))
        switch([webhook.pk], active=False)
        [again] = send_again([failed]).queued
        Invocation.objects.filter(pk=failed.pk).cancel("Started.")

    assert tested.message == "The receiver answered 500 Internal Server Error."
    assert broken.message == "The URL must start with https://."
    assert again.message == ("The webhook is switched off: this waits until it is switched on.")
    with translation.override("de"):
        assert shown(broken.message) == "Die URL muss mit https:// beginnen."
        assert shown(again.message).startswith("Der Webhook ist ausgeschaltet")


@pytest.mark.django_db
def test_what_a_worker_stores_is_in_english_whatever_the_host_speaks(
    settings: Any, configure: Any
) -> None:
    settings.LANGUAGE_CODE = "de"
    configure(ALLOWED_SCHEMES=["https", "http"], ALLOWED_PORTS=[80])
    waiting = make_invocation(make_webhook(url="http://example.com"))
    configure(ALLOWED_SCHEMES=["https"])
    with Drain() as drain:
        drain.run()
        drain.finish()

    waiting.refresh_from_db()
    assert waiting.message == "The URL must start with https://."


@pytest.mark.django_db
def test_the_target_type_is_the_same_in_every_language(operator: Client) -> None:
    with translation.override("de"):
        assert type_of(User, Options()) == "user"
        User.objects.create_user("new")
    assert Event.objects.get(target_name="new").target_type == "user"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("zone", "local"), [("Asia/Jerusalem", "21:30:05"), ("America/New_York", "14:30:05")]
)
def test_times_are_those_of_the_viewers_zone(
    operator: Client, settings: Any, zone: str, local: str
) -> None:
    settings.TIME_ZONE = zone
    at = datetime(2026, 6, 1, 18, 30, 5, tzinfo=UTC)
    row = make_invocation(
        make_webhook(),
        event=make_event(created_at=at),
        status="failed",
        **dict.fromkeys(("created_at", "due_at", "started_at", "finished_at"), at),
    )
    pages = [
        operator.get(f"/admin/auditwebhooks/{path}").content.decode()
        for path in (
            "event/",
            f"event/{row.event_id}/change/",
            "invocation/",
            f"invocation/{row.pk}/change/",
        )
    ]

    assert [local in page for page in pages] == [True] * 4
    assert [f"{at:%H:%M}" in page for page in pages] == [False] * 4

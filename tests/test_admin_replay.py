"""The Replays page: progress, and *Cancel*."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from auditwebhooks.models import Invocation, Replay
from tests.factories import make_invocation, make_webhook

pytestmark = pytest.mark.django_db

URL = "/admin/auditwebhooks/replay/"


def log_in(client: Client, *permissions: str) -> None:
    user = User.objects.create_user("staff", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user)


@pytest.fixture
def running() -> Replay:
    webhook = make_webhook(name="SIEM")
    now = timezone.now()
    return Replay.objects.create(
        webhook=webhook,
        webhook_name=webhook.name,
        since=now,
        until=now,
        event_types=["shop.*", "*.deleted"],
        requested_by="ada@example.com",
        count=3000,
        queued=1000,
    )


def test_the_list_shows_how_far_it_is(client: Client, running: Replay) -> None:
    log_in(client, "view_replay")
    page = client.get(URL).content.decode()

    for words in ("SIEM", "running", "1000 of 3000 queued", "ada@example.com"):
        assert words in page
    assert 'value="cancel"' not in page


@pytest.mark.parametrize(("only_failed", "word"), [(True, "Yes"), (False, "No")])
def test_what_tells_nothing_by_itself_has_a_label(
    client: Client, running: Replay, only_failed: bool, word: str
) -> None:
    Replay.objects.update(only_failed=only_failed)
    log_in(client, "view_replay")
    page = client.get(URL).content.decode()

    for label, told in (
        ("Only failed or never attempted", word),
        ("Requested by", "ada@example.com"),
    ):
        assert f'<span data-auditwebhooks-label="{label}">{told}</span>' in page


def test_its_page_is_read_only(client: Client, running: Replay) -> None:
    log_in(client, "resend_invocation")
    page = client.get(f"{URL}{running.pk}/change/")

    assert page.status_code == 200
    for words in ("shop.*, *.deleted", "1000 of 3000 queued", "ada@example.com"):
        assert words in page.content.decode()
    assert client.get(f"{URL}add/").status_code == 403
    assert client.post(f"{URL}{running.pk}/change/", {"count": 1}).status_code == 403
    assert client.post(f"{URL}{running.pk}/delete/", {"post": "yes"}).status_code == 403


def test_it_is_cancelled(client: Client, running: Replay) -> None:
    log_in(client, "resend_invocation")
    assert running.webhook is not None
    make_invocation(running.webhook, replay=running, trigger="replay")
    assert 'value="cancel"' in client.get(URL).content.decode()

    page = client.post(URL, {"action": "cancel", "_selected_action": [running.pk]}, follow=True)

    assert [str(one) for one in page.context["messages"]] == [
        "Cancelled. 1 delivery that waited is ended."
    ]
    running.refresh_from_db()
    assert running.status == "cancelled"
    assert Invocation.objects.get().outcome == "cancelled"
    assert LogEntry.objects.get().change_message == "Cancelled."


@pytest.mark.parametrize("status", ["finished", "cancelled"])
def test_one_that_has_ended_is_not_said_to_be_cancelled(
    client: Client, running: Replay, status: str
) -> None:
    log_in(client, "resend_invocation")
    Replay.objects.update(status=status, finished_at=timezone.now())

    page = client.post(URL, {"action": "cancel", "_selected_action": [running.pk]}, follow=True)

    assert [str(one) for one in page.context["messages"]] == [
        "Nothing was cancelled: it has ended already."
    ]
    running.refresh_from_db()
    assert running.status == status
    assert not LogEntry.objects.exists()


def test_a_viewer_cannot_cancel(client: Client, running: Replay) -> None:
    log_in(client, "view_replay")
    client.post(URL, {"action": "cancel", "_selected_action": [running.pk]})

    running.refresh_from_db()
    assert running.status == "running"


@pytest.mark.parametrize("permissions", [(), ("view_invocation", "view_webhook")])
def test_others_see_no_replays(
    client: Client, running: Replay, permissions: tuple[str, ...]
) -> None:
    log_in(client, *permissions)

    assert client.get(URL).status_code == 403

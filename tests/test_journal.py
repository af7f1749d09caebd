"""What people do by hand is noted in Django's admin log."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import AnonymousUser, User

from auditwebhooks import journal
from tests.factories import make_webhook

pytestmark = pytest.mark.django_db


def test_each_object_gets_an_entry(django_assert_max_num_queries: Any) -> None:
    user = User.objects.create_user("op")
    webhooks = [make_webhook() for _ in range(3)]

    with django_assert_max_num_queries(5):
        journal.note(user, webhooks, journal.SENT_AGAIN)

    rows = LogEntry.objects.values_list("user", "object_id", "change_message", "action_flag")
    assert set(rows) == {(user.pk, str(one.pk), "Sent again.", 2) for one in webhooks}


@pytest.mark.parametrize("user", [AnonymousUser(), None, "a service"])
def test_who_is_no_user_leaves_no_entry(user: object) -> None:
    journal.note(user, [make_webhook()], "x")

    assert not LogEntry.objects.exists()


def test_a_host_without_the_admin_has_no_log(settings: Any) -> None:
    user = User.objects.create_user("op")
    webhook = make_webhook()
    settings.INSTALLED_APPS = [
        name for name in settings.INSTALLED_APPS if name != "django.contrib.admin"
    ]

    journal.note(user, [webhook], "x")

    assert not LogEntry.objects.exists()

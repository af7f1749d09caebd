"""The help for a host's own tests."""

from __future__ import annotations

import pytest
from django.db import transaction
from django.test import TestCase

import auditwebhooks
from auditwebhooks import testing
from auditwebhooks.exceptions import EncryptionError
from auditwebhooks.models import Event, Invocation
from tests.factories import make_webhook
from tests.testapp.models import Article, Tag


class TestEvents(TestCase):
    def test_the_events_of_the_block_only(self) -> None:
        Article.objects.create(title="before")
        with testing.events() as recorded:
            article = Article.objects.create(title="inside")
            Tag.objects.bulk_create([Tag(name="a"), Tag(name="b")])
            Article.objects.update(stars=1)
            auditwebhooks.record("approve", target=article)
        Article.objects.create(title="after")

        assert [one.event_type for one in recorded] == [
            "testapp.article.created",
            "testapp.tag.created",
            "testapp.tag.created",
            "testapp.article.updated",
            "testapp.article.updated",
            "testapp.article.approve",
        ]
        assert recorded[0].payload["data"]["target_name"] == "inside"
        assert all(Event.objects.filter(pk=one.pk).exists() for one in recorded)

    def test_an_error_in_the_block_is_raised_and_nothing_is_left_behind(self) -> None:
        with pytest.raises(ZeroDivisionError), testing.events() as recorded:
            Article.objects.create(title="inside")
            raise ZeroDivisionError
        Article.objects.create(title="after")

        assert len(recorded) == 1

    def test_what_is_rolled_back_was_recorded_in_its_time(self) -> None:
        with testing.events() as recorded, transaction.atomic():
            Article.objects.create(title="never")
            transaction.set_rollback(True)

        assert [one.target_name for one in recorded] == ["never"]


class TestDeliveries(TestCase):
    def test_what_each_active_webhook_would_be_sent(self) -> None:
        make_webhook(
            event_types=["testapp.*"],
            url="https://hooks.example.com/in",
            headers={"Authorization": "Bearer token"},
            body_template='{"text": "{{data.actor_name}}: {{data.target_name}}"}',
        )
        make_webhook(active=False)
        make_webhook(event_types=["auth.*"])
        with testing.deliveries() as sent, auditwebhooks.context(actor="importer"):
            Article.objects.create(title="inside")

        [delivery] = sent
        assert delivery.body == {"text": "importer: inside"}
        assert delivery.request.url == "https://hooks.example.com/in"
        assert delivery.request.headers["Authorization"] == "Bearer token"
        assert delivery.event.target_name == "inside"
        assert not Invocation.objects.exists()

    def test_what_is_rolled_back_is_not_sent(self) -> None:
        make_webhook()
        with testing.deliveries() as sent:
            with transaction.atomic():
                Article.objects.create(title="never")
                transaction.set_rollback(True)
            Article.objects.create(title="kept")

        assert [one.event.target_name for one in sent] == ["kept"]

    def test_without_a_template_there_is_no_body(self) -> None:
        make_webhook(body_template="", method="DELETE")
        with testing.deliveries() as sent:
            Article.objects.create(title="inside")

        assert (sent[0].request.method, sent[0].body) == ("DELETE", None)

    def test_what_cannot_be_sent_is_raised(self) -> None:
        make_webhook(headers={"Authorization": "Bearer token"})
        with (
            self.settings(SECRET_KEY="another one"),
            pytest.raises(EncryptionError),
            testing.deliveries(),
        ):
            Article.objects.create(title="inside")

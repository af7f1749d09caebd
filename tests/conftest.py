"""Fixtures: a real HTTPS receiver with a certificate that only the tests trust."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import trustme
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import connection
from django.test import override_settings
from django.test.utils import isolate_apps
from django_q.brokers import get_broker
from django_q.conf import Conf
from pytest_django.live_server_helper import LiveServer

import auditwebhooks
from auditwebhooks.receiver import Answer, Delivery, Receiver
from auditwebhooks.registry import registry
from tests.browsing import chromium

# Time is not what property tests judge; a busy machine must not fail them.
hypothesis.settings.register_profile("auditwebhooks", deadline=None)
hypothesis.settings.load_profile("auditwebhooks")


class Inbox:
    """A running receiver, what it got, and what it answers."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.answers: list[Answer] = []
        self.answer: Callable[[Delivery], Answer] = lambda delivery: Answer()
        self.url = ""
        self._arrived = threading.Condition()

    def take(self, delivery: Delivery) -> None:
        with self._arrived:
            self.deliveries.append(delivery)
            self._arrived.notify_all()

    def reply(self, delivery: Delivery) -> Answer:
        """The next of ``answers``, then what ``answer`` makes."""
        return self.answers.pop(0) if self.answers else self.answer(delivery)

    def wait_for(self, count: int, seconds: float = 20) -> list[Delivery]:
        with self._arrived:
            arrived = self._arrived.wait_for(lambda: len(self.deliveries) >= count, seconds)
        assert arrived, f"{len(self.deliveries)} of {count} deliveries arrived"
        return self.deliveries


def _empty_queue() -> None:
    if not Conf.ORM:
        for key in (None, "audit"):
            get_broker(key).purge_queue()


@pytest.fixture(scope="session", autouse=True)
def no_tasks_left() -> Iterator[None]:
    yield
    _empty_queue()


@pytest.fixture(autouse=True)
def empty_queue() -> None:
    """A broker outside the database is not rolled back. Before each test, not after it: then the
    sockets that a test replaced are still replaced."""
    _empty_queue()


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    """It counts the tests of a user, and is not rolled back."""
    cache.clear()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certificate(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files: ``ca`` to trust, ``chain`` and ``key`` of the server on 127.0.0.1 and localhost."""
    folder = tmp_path_factory.mktemp("certificate")
    files = {name: folder / f"{name}.pem" for name in ("ca", "chain", "key")}
    issued = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(files["ca"])
    for blob in issued.cert_chain_pems:
        blob.write_to_path(files["chain"], append=True)
    issued.private_key_pem.write_to_path(files["key"])
    return {name: str(path) for name, path in files.items()}


@pytest.fixture
def inbox(certificate: dict[str, str], settings: Any) -> Iterator[Inbox]:
    """A receiver over TLS on a free port that webhooks may call."""
    inbox = Inbox()
    with Receiver(
        certificate=certificate["chain"],
        key=certificate["key"],
        on_delivery=inbox.take,
        answer=inbox.reply,
    ) as receiver:
        inbox.url = receiver.url
        settings.AUDITWEBHOOKS = {
            **settings.AUDITWEBHOOKS,
            "ALLOWED_NETWORKS": ["127.0.0.0/8"],
            "ALLOWED_PORTS": [443, receiver.port],
            "CA_FILE": certificate["ca"],
        }
        yield inbox


@pytest.fixture
def configure(settings: Any) -> Callable[..., None]:
    """Set keys of AUDITWEBHOOKS for one test."""

    def change(**keys: object) -> None:
        settings.AUDITWEBHOOKS = {**settings.AUDITWEBHOOKS, **keys}

    return change


@pytest.fixture
def table(transactional_db: None) -> Iterator[Callable[..., Any]]:
    """Makes the table of a model that one test has made, and audits it, for that long."""
    made: list[Any] = []

    def make(model: Any, *, is_audited: bool = True, **options: Any) -> Any:
        made.append(model)
        with connection.schema_editor() as editor:
            editor.create_model(model)
        return auditwebhooks.register(model, **options) if is_audited else model

    with isolate_apps("tests.testapp"):
        yield make
    for model in reversed(made):
        registry._options.pop(model, None)
        registry._audited.clear()
        with connection.schema_editor() as editor:
            editor.delete_model(model)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        # Playwright runs a loop of its own in this thread.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with chromium() as running:
            yield running


@pytest.fixture(scope="session")
def strict_server(django_db_setup: None) -> Iterator[str]:
    """Where a server runs that is as strict as a host's should be; its pages speak the language
    of the browser. A server of its own: middleware is loaded once, when a server starts."""
    middleware = ["tests.browsing.strict_policy", *django_settings.MIDDLEWARE]
    middleware[2:2] = [
        "django.middleware.locale.LocaleMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ]
    with override_settings(MIDDLEWARE=middleware):
        server = LiveServer("localhost")
    yield server.url
    server.stop()


@pytest.fixture
def served(strict_server: str, transactional_db: None) -> str:
    return strict_server

"""The management commands."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import nullcontext
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db.models import QuerySet
from django.utils import timezone

from auditwebhooks import signing, wake
from auditwebhooks.management.commands import (
    auditwebhooks_deliver,
    auditwebhooks_listen,
    auditwebhooks_prune,
)
from auditwebhooks.models import Event, Invocation, Wake, Webhook, WebhookHealth
from auditwebhooks.receiver import Receiver
from tests.conftest import Inbox
from tests.factories import SECRET, make_event, make_invocation, make_webhook


@pytest.mark.django_db(transaction=True)
class TestDeliver:
    def test_once_delivers_what_is_due(self, inbox: Inbox) -> None:
        make_webhook(url=inbox.url)
        for _ in range(3):
            make_event()
        told = io.StringIO()

        call_command("auditwebhooks_deliver", "--once", stdout=told)

        assert told.getvalue() == "Attempts made: 3\n"
        assert Invocation.objects.filter(status="succeeded").count() == 3
        assert Wake.objects.get(slot=0).state == "idle"

    def test_it_delivers_beside_a_running_worker(self, inbox: Inbox) -> None:
        make_webhook(url=inbox.url)
        make_event()
        worker = wake.acquire(range(1))

        call_command("auditwebhooks_deliver", "--once", stdout=io.StringIO())

        assert len(inbox.deliveries) == 1
        assert worker.renew()

    def test_while_it_runs_commits_call_nobody_else(self) -> None:
        command = auditwebhooks_deliver.Command()
        assert command._keep(backlog=False) is True
        assert wake.call(wake.BELL) is False

        command._stop()
        assert command._keep(backlog=False) is False
        command._release()
        assert wake.call(wake.BELL) is True

    def test_it_says_when_sending_is_off(self, inbox: Inbox, configure: Any) -> None:
        make_webhook(url=inbox.url)
        make_event()
        configure(SEND=False)
        told = io.StringIO()

        call_command("auditwebhooks_deliver", "--once", stderr=told)

        assert "SEND is off" in told.getvalue()
        assert inbox.deliveries == []


class TestListen:
    def show(self, **delivery: Any) -> str:
        """What the command prints of a delivery that a receiver got."""
        told = io.StringIO()
        command = auditwebhooks_listen.Command(stdout=told)
        with Receiver(on_delivery=command._show, secret=delivery.get("secret", "")) as receiver:
            request = urllib.request.Request(  # noqa: S310
                receiver.url + "in",
                data=delivery["body"],
                headers=delivery.get("headers", {}),
                method="POST",
            )
            urllib.request.urlopen(request).read()  # noqa: S310
        return told.getvalue()

    def test_it_prints_request_line_headers_json_and_signature(self) -> None:
        body = b'{"a":"\xc3\xa9"}'
        now = int(time.time())
        printed = self.show(
            body=body,
            secret=SECRET,
            headers={
                "webhook-id": "evt_1",
                "webhook-timestamp": str(now),
                "webhook-signature": signing.sign(SECRET, "evt_1", now, body),
            },
        )

        assert " POST /in\n" in printed
        assert "webhook-id: evt_1\n" in printed.lower()
        assert "Signature verified\n" in printed
        assert '{\n  "a": "é"\n}' in printed

    def test_a_body_that_is_no_json_is_printed_as_it_is(self) -> None:
        assert "\nplain \ufffd\n" in self.show(body=b"plain \xff")

    def test_a_busy_port_is_told(self) -> None:
        with (
            Receiver() as receiver,
            pytest.raises(CommandError, match="Choose another --port"),
        ):
            call_command("auditwebhooks_listen", "--port", str(receiver.port))

    @pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
    def test_what_the_terminal_cannot_show_ends_no_delivery(self, encoding: str) -> None:
        terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        command = auditwebhooks_listen.Command(stdout=terminal)
        with Receiver(on_delivery=command._show) as receiver:
            body = '{"a": "\\ud800", "b": "ψ"}'.encode()
            urllib.request.urlopen(receiver.url, data=body).read()  # noqa: S310
        terminal.seek(0)

        printed = terminal.read()

        assert "\\ud800" in printed
        assert ("ψ" if encoding == "utf-8" else "\\u03c8") in printed

    @pytest.mark.parametrize("port", ["65536", "-1"])
    def test_a_port_that_cannot_be_is_told(self, port: str) -> None:
        with pytest.raises(CommandError, match="0 to 65535"):
            call_command("auditwebhooks_listen", f"--port={port}")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--certificate", "nowhere.pem", "--key", "nowhere.pem"], "nowhere.pem"),
            (["--certificate", "nowhere.pem"], "--key"),
            (["--key", "nowhere.pem"], "--certificate"),
        ],
    )
    def test_half_a_certificate_is_told(self, arguments: list[str], words: str) -> None:
        with pytest.raises(CommandError, match=words) as refused:
            call_command("auditwebhooks_listen", "--port", "0", *arguments)
        assert "another --port" not in str(refused.value)

    def test_a_secret_that_is_none_is_told(self) -> None:
        with pytest.raises(CommandError, match="starts with"):
            call_command("auditwebhooks_listen", "--secret", "hunter2")

    def test_it_runs_until_it_is_stopped(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "django", "auditwebhooks_listen", "--port", "0"],
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
            stdout=subprocess.PIPE,
            text=True,
            # What a shell starts in the background ignores it, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            url = process.stdout.readline().split()[2]
            urllib.request.urlopen(url, data=b"{}").read()  # noqa: S310
            assert process.stdout.readline() == "\n"
            assert "POST /" in process.stdout.readline()
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=20)
        finally:
            process.kill()
            process.communicate()
        assert rest.endswith("Stopped.\n")
        assert process.returncode == 0


@pytest.mark.django_db
class TestRotateKeys:
    def rotate(self) -> str:
        told = io.StringIO()
        call_command("auditwebhooks_rotate_keys", stdout=told)
        return told.getvalue()

    def test_the_old_key_can_be_taken_out_afterwards(self, settings: Any) -> None:
        webhook = make_webhook(headers={"A": "canary"}, signing_secret=SECRET)
        make_webhook()
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another one"

        assert self.rotate() == "Encrypted with the first key: 2 webhooks.\n"
        assert self.rotate() == "Encrypted with the first key: 2 webhooks.\n"

        settings.SECRET_KEY_FALLBACKS = []
        assert Webhook.objects.get(pk=webhook.pk).revealed_headers() == {"A": "canary"}

    def test_what_waited_for_its_key_is_sent_again(self) -> None:
        webhook = make_webhook(headers={"A": "canary"})
        WebhookHealth.objects.create(
            webhook=webhook,
            paused_until=timezone.now() + timedelta(hours=1),
            pause_reason="configuration",
            paused_configuration=webhook.updated_at,
        )
        self.rotate()

        assert Webhook.objects.get().paused_until is None

    def test_what_cannot_be_read_is_named_and_left(self, configure: Any) -> None:
        old, new = (Fernet.generate_key().decode() for _ in range(2))
        configure(ENCRYPTION_KEYS=[old])
        lost = make_webhook(name="Lost", headers={"A": "canary"})
        configure(ENCRYPTION_KEYS=[new])
        kept = make_webhook(name="Kept", headers={"A": "canary"})

        with pytest.raises(CommandError, match=r"cannot be read: Lost\."):
            self.rotate()

        configure(ENCRYPTION_KEYS=[old])
        assert Webhook.objects.get(pk=lost.pk).revealed_headers() == {"A": "canary"}
        configure(ENCRYPTION_KEYS=[new])
        assert Webhook.objects.get(pk=kept.pk).revealed_headers() == {"A": "canary"}
        assert Event.objects.count() == 2, "a rotation is no change of the configuration"


@pytest.mark.django_db
class TestPrune:
    def prune(self, *arguments: str) -> str:
        told = io.StringIO()
        call_command("auditwebhooks_prune", *arguments, stdout=told)
        return told.getvalue()

    @pytest.fixture(autouse=True)
    def rows(self) -> None:
        webhook = make_webhook()
        for _ in range(3):
            make_invocation(
                webhook, status="failed", finished_at=timezone.now() - timedelta(days=91)
            )

    def test_a_dry_run_counts(self) -> None:
        assert self.prune("--dry-run") == "Would be deleted: 0 events, 3 invocations, 0 replays.\n"
        assert Invocation.objects.count() == 3

    def test_it_deletes_and_says_how_much(self) -> None:
        assert self.prune() == "Deleted: 0 events, 3 invocations, 0 replays.\n"
        assert Invocation.objects.count() == 0

    def test_long_work_is_told_of(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(auditwebhooks_prune, "_TELL_EVERY", 0)

        assert self.prune().startswith("So far: 0 events, 3 invocations, 0 replays.\n")


@pytest.mark.django_db
class TestRedact:
    def redact(self, *arguments: str) -> str:
        told = io.StringIO()
        call_command("auditwebhooks_redact", *arguments, stdout=told)
        return told.getvalue()

    def test_it_erases_and_says_how_much(self) -> None:
        event = make_event(fanned_out_at=timezone.now())
        make_invocation(make_webhook(), event=event, request_body="by ada@example.com")

        told = self.redact("--actor", "ada@example.com", "--dry-run")
        assert told == "Would be erased from 1 events, 1 invocations.\n"
        assert Event.objects.filter(actor_id="ada@example.com").exists()

        told = self.redact("--actor", "ada@example.com")
        assert told == "Erased from 1 events, 1 invocations.\n"
        assert not Event.objects.filter(actor_id="ada@example.com").exists()

    @pytest.mark.parametrize("actor", ["system", "anonymous", "unknown", "***", ""])
    def test_those_who_are_no_person_are_refused(self, actor: str) -> None:
        make_event(actor_id=actor)
        with pytest.raises(CommandError, match="no person"):
            self.redact("--actor", actor)
        assert Event.objects.filter(actor_id=actor).exists()

    def test_an_empty_text_is_refused(self) -> None:
        with pytest.raises(CommandError, match="--also"):
            self.redact("--actor", "ada@example.com", "--also", "")

    def test_what_is_being_sent_asks_for_another_run(self) -> None:
        event = make_event(fanned_out_at=timezone.now())
        make_invocation(make_webhook(), event=event, status="sending")
        with pytest.raises(CommandError, match="1 more events are being sent .* Run it again"):
            self.redact("--actor", "ada@example.com")

    def test_help_says_what_is_not_searched(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            call_command("auditwebhooks_redact", "--help")
        assert "Not searched: texts that hold" in capsys.readouterr().out


@pytest.mark.django_db
class TestStatus:
    def status(self, *arguments: str, code: int = 0) -> str:
        told = io.StringIO()
        with pytest.raises(SystemExit) if code else nullcontext() as ended:
            call_command("auditwebhooks_status", *arguments, stdout=told)
        if code:
            assert ended.value.code == code
        return told.getvalue()

    @pytest.fixture
    def late(self) -> Webhook:
        """A webhook that fails, and no worker."""
        webhook = make_webhook(name="SIEM")
        QuerySet(Event).all().delete()
        at = timezone.now() - timedelta(minutes=9)
        make_invocation(webhook, due_at=at)
        WebhookHealth.objects.create(
            webhook=webhook, last_failure_at=at, consecutive_failures=1234
        )
        return webhook

    def test_a_healthy_one_ends_with_0(self) -> None:
        assert self.status() == "Worker: never seen\nEvents waiting: 0\nBacklog: 0\n"
        assert json.loads(self.status("--json"))["healthy"] is True

    def test_what_is_wrong_is_told_and_ends_with_1(self, late: Webhook) -> None:
        wake.acquire(range(1))
        lines = self.status(code=1).splitlines()

        assert lines[:3] == [
            "Worker: seen 0 s ago",
            "Events waiting: 0",
            "Backlog: 1 (oldest due 9 min ago)",
        ]
        assert lines[3].startswith(
            "SIEM: active, backlog 1 (oldest due 9 min ago), 1,234 failures in a row, last failure"
        )
        assert lines[4].startswith('Problem: Events for the webhook "SIEM" are')

    def test_a_pause_and_a_reason_are_told(self, late: Webhook) -> None:
        WebhookHealth.objects.update(
            paused_until=timezone.now() + timedelta(hours=1), pause_reason="retry_after"
        )
        assert "\nSIEM: paused until 2" in self.status()

        WebhookHealth.objects.update(disabled_reason="410 Gone.")
        late.switch_off_by_system()
        Event.objects.update(fanned_out_at=timezone.now())
        told = self.status(code=1)
        assert "\nSIEM: off, switched off by the system (410 Gone), backlog 1" in told

    def test_programs_read_json(self, late: Webhook) -> None:
        told = json.loads(self.status("--json", code=1))

        assert told["healthy"] is False
        assert told["backlog"] == 1
        assert told["worker_seen_at"] is None
        [webhook] = told["webhooks"]
        assert (webhook["id"], webhook["state"]) == (str(late.pk), "active")
        assert webhook["oldest_waiting_seconds"] > 500
        assert len(told["problems"]) == 1

    def test_it_says_when_sending_is_off(self, late: Webhook, configure: Any) -> None:
        configure(SEND=False)
        assert self.status().startswith("Nothing is sent: ")

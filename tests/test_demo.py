"""The demo project: as processes of their own, the way a person starts it, and its pure parts."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from pathlib import Path

import pytest
import requests

from auditwebhooks.receiver import VERIFIED, Delivery, Receiver
from project import storage
from project.demo.certificate import write_certificate
from project.demo.errors import DemoError
from project.demo.form import form_fields
from project.demo.inbox import stored_deliveries
from project.demo.processes import Child, Processes
from project.demo.sockets import check_free, free_ports
from project.demo.stopping import Stopping, time_limit
from project.ports import HOST, Ports
from project.receiver.board import KEPT, Board
from project.receiver.page import PageServer

ROOT = Path(__file__).resolve().parents[1]

# For everything that is waited for, in seconds.
PATIENCE = 60


def demo_environment(folder: Path, ports: Ports) -> dict[str, str]:
    named = {name: str(port) for name, port in ports.named().items()}
    return {**os.environ, **named, storage.FOLDER_VARIABLE: str(folder)}


def run_demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "project.demo", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
    )


@contextmanager
def running_demo(folder: Path, ports: Ports) -> Iterator[subprocess.Popen[str]]:
    """A demo that says it is running. It is killed at the end if the block did not end it."""
    with subprocess.Popen(
        [sys.executable, "-m", "project.demo"],
        cwd=ROOT,
        env=demo_environment(folder, ports),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        try:
            said = []
            for line in demo.stdout:
                said.append(line)
                if "Ctrl-C" in line:
                    break
            assert "The demo is running." in "".join(said), "".join(said)
            yield demo
        finally:
            if demo.poll() is None:
                demo.terminate()
                demo.communicate(timeout=PATIENCE)


def count_of(folder: Path, models: str) -> dict[str, int]:
    """How many rows the demo's database holds of each model."""
    code = (
        "import django; django.setup()\n"
        "from django.apps import apps\n"
        f"print(*(apps.get_model(name).objects.count() for name in {models.split()!r}))"
    )
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        storage.FOLDER_VARIABLE: str(folder),
    }
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(models.split(), map(int, answer.stdout.split()), strict=True))


def delivery(number: int = 1, body: bytes = b"{}") -> Delivery:
    headers = Message()
    headers["webhook-id"] = f"evt_{number}"
    return Delivery(
        method="POST",
        path=f"/{number}",
        headers=headers,
        body=body,
        signature=VERIFIED,
        received_at=1764000000.5,
    )


@contextmanager
def page_of(board: Board) -> Iterator[Ports]:
    """A running page, by the ports under which it is found."""
    with PageServer(0, board) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Ports(server=1, receiver=2, page=server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


def test_a_check_shows_a_change_arriving(tmp_path):
    answer = run_demo("--check", TMPDIR=str(tmp_path))

    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert answer.stderr == ""
    told = dict(re.findall(r"^  (\S.*?) {2,}(.+)$", answer.stdout, re.MULTILINE))
    assert told == {
        "Request": "POST /audit",
        "Event type": "access.accessflow.updated",
        "Actor": "Demo Admin (admin@example.com)",
        "Target": "access flow 1: Support reads invoices",
        "Changed fields": "max_hours",
        "Signature": "verified",
    }
    assert list(tmp_path.iterdir()) == []


def test_a_second_start_keeps_the_data_and_follows_the_receivers_port(tmp_path):
    models = "auth.User access.AccessFlow access.Bundle access.Integration auditwebhooks.Webhook"
    with running_demo(tmp_path, free_ports()) as demo:
        demo.send_signal(signal.SIGINT)
        said, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0
    assert "The demo has ended." in said
    assert "Traceback" not in said
    first = count_of(tmp_path, models)

    ports = free_ports()
    with running_demo(tmp_path, ports) as demo:
        # The move of the webhook to the new port is an event, and the first that it gets there.
        arrived = [json.loads(text) for text in live_texts(ports, 1)]
        demo.send_signal(signal.SIGTERM)
        demo.communicate(timeout=PATIENCE)

    assert demo.returncode == 0
    assert arrived[0]["signature"] == "verified"
    assert json.loads(arrived[0]["body"])["event_type"] == "auditwebhooks.webhook.updated"
    assert count_of(tmp_path, models) == first
    assert first["access.AccessFlow"] > 2
    check_free(ports)


def live_texts(ports: Ports, count: int) -> list[str]:
    """The first messages of the page's stream, waited for."""
    found: list[str] = []
    url = ports.page_url + "stream"
    with (
        time_limit(PATIENCE),
        requests.Session() as session,
        session.get(url, stream=True, timeout=PATIENCE) as answer,
    ):
        for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("data: "):
                found.append(line.removeprefix("data: "))
            if len(found) == count:
                break
    return found


def test_a_busy_port_is_told_with_a_way_out(tmp_path):
    ports = free_ports()
    with socket.create_server((HOST, ports.page)):
        answer = run_demo(**demo_environment(tmp_path, ports))

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"Port {ports.page} is in use. End the program that uses it")
    assert "make demo DEMO_PAGE_PORT=" in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_senseless_port_is_told(tmp_path):
    answer = run_demo(DEMO_PORT="http", DEMO_VAR=str(tmp_path))

    assert answer.returncode == 1
    assert answer.stderr == "DEMO_PORT is 'http': it must be a number from 1 to 65535.\n"


def test_django_has_nothing_to_say_about_the_project(tmp_path):
    for command in (["check"], ["makemigrations", "--check", "--dry-run", "access"]):
        answer = subprocess.run(
            [sys.executable, "-W", "error", "manage.py", *command],
            cwd=ROOT,
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "project.settings",
                storage.FOLDER_VARIABLE: str(tmp_path),
            },
            capture_output=True,
            text=True,
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr
        assert answer.stderr == ""


class TestPorts:
    def test_have_defaults(self):
        assert Ports.read({}) == Ports(server=8000, receiver=8443, page=8080)

    def test_come_from_the_environment(self):
        ports = Ports.read({"DEMO_PORT": "1", "DEMO_RECEIVER_PORT": "65535", "DEMO_PAGE_PORT": ""})
        assert ports == Ports(server=1, receiver=65535, page=8080)
        assert Ports.read({name: str(port) for name, port in ports.named().items()}) == ports

    @pytest.mark.parametrize("text", ["0", "65536", "-1", "8e3", "8 ", "٣", "9" * 5000])
    def test_are_numbers_in_range(self, text):
        with pytest.raises(ValueError, match="DEMO_PORT is .*: it must be a number"):
            Ports.read({"DEMO_PORT": text})

    def test_are_different(self):
        with pytest.raises(ValueError, match="DEMO_PAGE_PORT and DEMO_PORT are both 8000"):
            Ports.read({"DEMO_PAGE_PORT": "8000"})

    def test_free_ones_are_free_and_different(self):
        ports = free_ports()
        check_free(ports)
        assert len(set(ports.named().values())) == 3


class TestStorage:
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path, monkeypatch):
        monkeypatch.setenv(storage.FOLDER_VARIABLE, str(tmp_path / "a" / "b"))

    def test_a_secret_is_made_once_and_read_by_nobody_else(self):
        assert storage.kept_secret("secret", lambda: "one") == "one"
        assert storage.kept_secret("secret", lambda: "two") == "one"
        [path] = storage.folder().iterdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(storage.folder().stat().st_mode) == 0o700

    def test_the_certificate_is_verified_by_its_authority(self):
        write_certificate()
        folder = storage.folder()
        with (
            Receiver(
                certificate=str(folder / storage.CERTIFICATE_FILE),
                key=str(folder / storage.KEY_FILE),
            ) as receiver,
            requests.Session() as session,
        ):
            session.trust_env = False
            answer = session.post(receiver.url, verify=str(folder / storage.CA_FILE), timeout=10)
            with pytest.raises(requests.exceptions.SSLError):
                session.post(receiver.url, timeout=10)
        assert answer.json() == {"data": {"ok": True}}


class TestForm:
    PAGE = """
    <form id="other"><input name="a" value="no"></form>
    <form id="mine"><input type="hidden" name="token" value="&lt;t&gt;">
    <input name="empty"><input type="checkbox" name="on" checked>
    <input type="checkbox" name="off"><input type="submit" name="_save" value="Save">
    <input name="grey" value="x" disabled><input value="nameless">
    <select name="one"><option value="1">x</option><option value="2" selected>y</option></select>
    <select name="many" multiple><option value="3" selected><option value="4" selected></select>
    <textarea name="text">
{"a": 1}
</textarea></form><input name="outside" value="no">
    """

    def test_is_sent_back_unchanged(self):
        assert form_fields(self.PAGE, "mine") == [
            ("token", "<t>"),
            ("empty", ""),
            ("on", "on"),
            ("one", "2"),
            ("many", "3"),
            ("many", "4"),
            ("text", '{"a": 1}\n'),
        ]

    def test_that_is_not_there_is_told(self):
        with pytest.raises(ValueError, match="no form 'mine'"):
            form_fields("<form id='other'></form>", "mine")


class TestBoard:
    def test_keeps_the_latest_for_a_page_that_is_opened_later(self):
        board = Board()
        for number in range(KEPT + 5):
            board.put(delivery(number))
        texts = list(self.stored(board))
        assert [json.loads(text)["path"] for text in texts] == [
            f"/{number}" for number in range(5, KEPT + 5)
        ]

    def test_gives_what_arrives_meanwhile(self):
        board = Board()
        following = board.follow()
        assert next(following) is None
        board.put(delivery(7))
        assert json.loads(next(following))["number"] == 1
        assert next(following) is None
        board.put(delivery(8))
        assert json.loads(next(following))["number"] == 2

    @staticmethod
    def stored(board: Board) -> Iterator[str]:
        for text in board.follow():
            if text is None:
                return
            yield text


class TestPage:
    def test_gets_deliveries_without_asking_again(self):
        board = Board()
        with page_of(board) as ports:
            board.put(delivery(1))
            timer = threading.Timer(0.1, board.put, [delivery(2, b'{"text": "</script>\\n"}')])
            timer.start()
            first, second = map(json.loads, live_texts(ports, 2))
            timer.join()
        assert first == {
            "number": 1,
            "received_at": 1764000000.5,
            "method": "POST",
            "path": "/1",
            "headers": [["webhook-id", "evt_1"]],
            "body": "{}",
            "signature": "verified",
        }
        assert json.loads(second["body"]) == {"text": "</script>\n"}

    def test_tells_what_is_stored_and_ends(self):
        board = Board()
        with page_of(board) as ports:
            assert list(stored_deliveries(ports)) == []
            board.put(delivery(3))
            assert [stored["path"] for stored in stored_deliveries(ports)] == ["/3"]

    def test_serves_its_files_and_no_others(self):
        with page_of(Board()) as ports, requests.Session() as session:
            session.trust_env = False
            for path, kind in (("", "text/html"), ("page.js", "text/javascript")):
                answer = session.get(ports.page_url + path, timeout=10)
                assert answer.headers["Content-Type"].startswith(kind)
                assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
            for path in ("page.py", "..%2fpage.py", "static/page.js"):
                assert session.get(ports.page_url + path, timeout=10).status_code == 404

    def test_nothing_in_it_is_inline_or_set_as_html(self):
        static = ROOT / "project" / "receiver" / "static"
        html = (static / "index.html").read_text()
        assert re.findall(r"<script[^>]*>", html) == ['<script src="page.js" defer>']
        assert not re.search(r"<style| style=| on\w+=", html)
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent", (static / "page.js").read_text()
        )


class TestProcesses:
    @staticmethod
    def start(tmp_path: Path, code: str, patience: float = PATIENCE) -> tuple[Processes, Child]:
        processes = Processes(tmp_path, Stopping(), patience)
        return processes, processes.start("worker", "-c", code)

    def test_one_that_ends_by_itself_is_told_with_its_last_words(self, tmp_path):
        processes, child = self.start(tmp_path, "print('last words'); raise SystemExit(3)")
        with processes, pytest.raises(DemoError) as error:
            child.process.wait(PATIENCE)
            processes.watch()
        assert str(error.value) == (
            "The worker has ended by itself (exit code 3).\nThe worker said last:\n    last words"
        )

    def test_what_does_not_happen_in_time_is_told(self, tmp_path):
        processes, child = self.start(tmp_path, "import signal; signal.pause()", 0.2)
        with processes, pytest.raises(DemoError, match=r"^No delivery\.\nThe worker said last:"):
            processes.wait_for(lambda: None, child, "No delivery.")
        assert child.process.returncode == -signal.SIGTERM

    def test_the_children_of_a_child_end_with_it(self, tmp_path):
        with socket.create_server((HOST, 0)) as server:
            code = (
                "import os, signal, socket\n"
                f"held = socket.create_connection({server.getsockname()!r})\n"
                "os.fork()\n"
                "print('started', flush=True)\n"
                "signal.pause()"
            )
            processes, child = self.start(tmp_path, code)
            with processes:
                processes.wait_for(
                    lambda: child.log.read_text().count("started") == 2, child, "No start."
                )
                held, _address = server.accept()
        with held:
            held.settimeout(PATIENCE)
            # Both hold the connection: it ends with the last of them.
            assert held.recv(1) == b""


def test_a_time_limit_ends_what_hangs():
    with pytest.raises(DemoError, match="longer than 0 seconds"), time_limit(0.05):
        threading.Event().wait(PATIENCE)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)

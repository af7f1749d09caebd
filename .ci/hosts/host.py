"""A project of somebody else: the app is put in as the README says, changes are made at the
project's own pages, their deliveries are waited for, and the app is taken out again.

Runs on the interpreter of the project's own environment, where the wheel is installed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from bs4 import BeautifulSoup, Tag

from auditwebhooks.receiver import Delivery, Receiver

SECONDS = 60

# What the README asks for, line by line.
LINES = """\
INSTALLED_APPS += ["django_q", "auditwebhooks"]
MIDDLEWARE += ["auditwebhooks.middleware.AuditContextMiddleware"]
AUDITWEBHOOKS = {"MODELS": {"*": {}}}
Q_CLUSTER = {"name": "host", "orm": "default", "workers": 1, "timeout": 120, "retry": 400}
"""

# And where the project is on SQLite.
SQLITE = """\
DATABASES["default"]["OPTIONS"] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
}
"""

# Only what lets it call a receiver on this machine over plain HTTP, and what turns a change that
# could not be recorded into an error of the host's page.
TRIAL = """\
AUDITWEBHOOKS |= {"ALLOWED_SCHEMES": ["http"], "ALLOWED_NETWORKS": ["127.0.0.0/8"]}
AUDITWEBHOOKS |= {"ALLOWED_PORTS": [%d], "STRICT": True}
"""

MAKE_WEBHOOK = """
from auditwebhooks.models import Webhook
Webhook.objects.create(name="Receiver", url="%s")
"""

LEFT_OVER = """
from django.apps import apps
from django.db import connection
print([name for name in connection.introspection.table_names() if "auditwebhooks" in name])
if apps.is_installed("django_q"):
    from django_q.models import Schedule
    print([one.func for one in Schedule.objects.all()])
"""


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return int(door.getsockname()[1])


class Visitor:
    """A person at the project's pages: cookies are kept, forms are sent as a browser would."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.session = requests.Session()
        # Proxies of the environment do not lead to this machine.
        self.session.trust_env = False

    def request(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Anything but success is an error that shows what the page said."""
        response = self.session.request(method, self.base + path, timeout=SECONDS, **arguments)
        if not response.ok:
            said = BeautifulSoup(response.text, "html.parser").get_text(" ", True)
            raise SystemExit(f"{method} {path}: {response.status_code} {said[:2000]}")
        return response

    def submit(
        self,
        path: str,
        values: dict[str, Any],
        form: str = "form[method=post i]",
        files: dict[str, Any] | None = None,
        stays: bool = False,
    ) -> requests.Response:
        """Opens the page, fills in its form and sends it. A form that comes back is an error
        unless it ``stays``: then its page is where one is after success too."""
        page = self.request("GET", path)
        found = BeautifulSoup(page.text, "html.parser").select_one(form)
        if found is None:
            raise SystemExit(f"{path} has no form {form!r}, only {page.text[:2000]}")
        action = str(found.get("action") or "")
        target = requests.compat.urljoin(page.url, action)
        data = {**fields(found), **values}
        answer = self.request(
            "POST",
            target.removeprefix(self.base),
            data=data,
            files=files,
            headers={"Referer": page.url},
        )
        if not stays and answer.url == target and not answer.history:
            errors = BeautifulSoup(answer.text, "html.parser").select("[class*=error]")
            raise SystemExit(f"{path} came back: {[one.get_text(' ', True) for one in errors]}")
        return answer


def fields(form: Tag) -> dict[str, Any]:
    """What a browser would send of a form that nobody touched."""
    values: dict[str, Any] = {}
    for field in form.select("input[name], select[name], textarea[name]"):
        name, kind = str(field["name"]), str(field.get("type", "text")).lower()
        if field.name == "select":
            options = field.select("option")
            chosen = [one for one in options if one.has_attr("selected")]
            if not chosen and not field.has_attr("multiple"):
                chosen = options[:1]
            values[name] = [one.get("value", one.get_text()) for one in chosen]
        elif field.name == "textarea":
            values[name] = field.get_text().removeprefix("\n")
        elif kind in ("checkbox", "radio"):
            if field.has_attr("checked"):
                values[name] = field.get("value", "on")
        elif kind not in ("submit", "button", "image", "file", "reset"):
            values[name] = field.get("value", "")
    return values


class Inbox:
    """What the receiver got."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._arrived = threading.Condition()

    def take(self, delivery: Delivery) -> None:
        with self._arrived:
            self.bodies.append(json.loads(delivery.body))
            self._arrived.notify_all()

    def expect(self, event_type: str, *changed: str, **data: Any) -> dict[str, Any]:
        """Waits for a delivery with these values, and with changes of these fields."""

        def match() -> dict[str, Any] | None:
            for body in self.bodies:
                told = body["data"]
                fields = told["metadata"].get("changed_fields", [])
                fits = data.items() <= told.items() and set(changed) <= set(fields)
                if body["event_type"] == event_type and fits:
                    return told
            return None

        with self._arrived:
            found = self._arrived.wait_for(match, SECONDS)
        if found is None:
            near = [
                (one["event_type"], {key: one["data"].get(key) for key in data})
                for one in self.bodies
            ]
            raise SystemExit(f"{event_type} {data} did not arrive; what did: {near}")
        return found


class Host:
    """``settings`` is the file that gets the lines, ``manage`` how its commands are called."""

    def __init__(
        self, name: str, folder: Path, settings: Path, manage: list[str], **environment: str
    ) -> None:
        self.name = name
        self.folder = folder
        self.settings = settings
        self._manage = manage
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **environment}
        self.inbox = Inbox()

    def manage(self, *arguments: str) -> str:
        """Runs a command of the project to its end."""
        done = subprocess.run(
            [sys.executable, *self._manage, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def shell(self, code: str) -> str:
        return self.manage("shell", "-c", code)

    @contextmanager
    def running(self, *arguments: str, ready: Callable[[], bool]) -> Iterator[Path]:
        """A command of the project that stays; its output goes to the file."""
        log = self.folder / f"{arguments[0]}.log"
        with log.open("w") as output:
            process = subprocess.Popen(
                [sys.executable, *self._manage, *arguments],
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            until = time.monotonic() + SECONDS
            while not ready():
                if process.poll() is not None or time.monotonic() > until:
                    raise SystemExit(f"{arguments[0]} does not run:\n{log.read_text()}")
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
            yield log
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def live(self, change: Callable[[Visitor, Inbox], None], port: int) -> None:
        """Web server and workers, as in production; ``change`` visits and waits."""
        base = f"http://127.0.0.1:{port}"
        visitor = Visitor(base)

        def answers() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return True
            return False

        server = self.running("runserver", "--noreload", f"127.0.0.1:{port}", ready=answers)
        with server as log, self.running("qcluster", ready=lambda: True) as worker:
            change(visitor, self.inbox)
        for file in (log, worker):
            if any(word in file.read_text() for word in ("Internal Server Error", " ERROR ")):
                raise SystemExit(f"{file.name}:\n{file.read_text()[-5000:]}")

    def try_out(
        self,
        change: Callable[[Visitor, Inbox], None],
        extra: str = SQLITE,
        also: dict[Path, str] | None = None,
    ) -> None:
        """The whole of it; prints what it took. ``also``: lines for other files."""
        also = also or {}
        before = {path: path.read_text() for path in (self.settings, *also)}
        warned = self.manage("check")
        begun = time.monotonic()
        with Receiver(on_delivery=self.inbox.take) as receiver:
            lines = LINES + extra
            for path, added in also.items():
                path.write_text(before[path] + added)
            self.settings.write_text(f"{before[self.settings]}\n{lines}{TRIAL % receiver.port}")
            # Errors end it; warnings are the reader's to judge.
            warnings = [line for line in self.manage("check").splitlines() if "(auditw" in line]
            self.manage("makemigrations", "--check", "--dry-run", "auditwebhooks", "django_q")
            self.manage("migrate", "--verbosity", "0")
            installed = time.monotonic()
            self.shell(MAKE_WEBHOOK % receiver.url)
            self.live(change, free_port())
        tried = time.monotonic()
        self.settings.write_text(f'{self.settings.read_text()}AUDITWEBHOOKS["ENABLED"] = False\n')
        self.manage("migrate", "auditwebhooks", "zero", "--verbosity", "0")
        left = self.shell(LEFT_OVER).split("\n")
        if left[-3:-1] != ["[]", "[]"]:
            raise SystemExit(f"left over: {left}")
        for path, text in before.items():
            path.write_text(text)
        if self.manage("check") != warned:
            raise SystemExit("check tells other things than before")
        self.manage("migrate", "--verbosity", "0")
        removed = time.monotonic()
        count = sum(len(text.strip().splitlines()) for text in (lines, *also.values()))
        print(
            f"{self.name}: {count} lines; check and migrate "
            f"{installed - begun:.0f} s, {len(self.inbox.bodies)} deliveries in "
            f"{tried - installed:.0f} s, taken out in {removed - tried:.0f} s",
            *warnings,
            sep="\n    ",
            flush=True,
        )

"""A real browser for the tests: Debian's Chromium, driven by Playwright.

Its pages come with the Content-Security-Policy that the admin has to bear. ``SCREENSHOTS`` names a
folder for pictures of what was seen.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client

POLICY = "default-src 'self'"


def strict_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Any:
    """Middleware."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response["Content-Security-Policy"] = POLICY
        return response

    return middleware


@contextmanager
def chromium() -> Iterator[Any]:
    """Skips, naming what is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is missing")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


def log_in(context: Any, served: str, user: User) -> None:
    client = Client()
    client.force_login(user)
    value = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": value, "url": served}])


class Opened:
    """A page, and everything that went wrong in it."""

    def __init__(self, browser: Any, served: str, user: User, **options: Any) -> None:
        self.context = browser.new_context(base_url=served, **options)
        log_in(self.context, served, user)
        self.page = self.context.new_page()
        self.page.set_default_timeout(10_000)
        self.faults: list[str] = []
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", self._note)
        self.page.on("dialog", self._close)

    def _close(self, dialog: Any) -> None:
        self.faults.append(dialog.message)
        dialog.dismiss()

    def _note(self, message: Any) -> None:
        # The browser tells of each answer such as 403 or 429, too.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.faults.append(message.text)


def picture(page: Any, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

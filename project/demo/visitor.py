"""Somebody at the admin's pages, over HTTP."""

from __future__ import annotations

from types import TracebackType

import requests

from project.demo.form import form_fields
from project.ports import Ports

_SECONDS = 10


class VisitError(Exception):
    """The server answered otherwise than expected; the text says how."""


class Visitor:
    """A context manager. Its methods raise VisitError."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._session = requests.Session()
        # Proxies of the environment do not lead to this machine.
        self._session.trust_env = False

    def __enter__(self) -> Visitor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def answers(self, url: str) -> bool:
        """Whether there is a page at the URL."""
        try:
            return self._session.get(url, timeout=_SECONDS).ok
        except requests.RequestException:
            return False

    def log_in(self, username: str, password: str) -> None:
        self._submit("login/", "login-form", username=username, password=password)

    def change_access_flow(self, pk: int, **values: str) -> None:
        """Open the change form, type the values, press Save."""
        self._submit(f"access/accessflow/{pk}/change/", "accessflow_form", **values)

    def _submit(self, path: str, form_id: str, **values: str) -> None:
        """Fill in and send a form; the admin answers with a redirect when it is content."""
        url = self._ports.admin_url + path
        try:
            page = self._session.get(url, timeout=_SECONDS)
            shown = form_fields(page.text, form_id)
            kept = [(name, value) for name, value in shown if name not in values]
            answer = self._session.post(
                url, data=[*kept, *values.items()], timeout=_SECONDS, allow_redirects=False
            )
        except (requests.RequestException, ValueError) as error:
            raise VisitError(f"The admin did not show {path}: {error}") from None
        if answer.status_code != requests.codes.found:
            raise VisitError(f"The admin refused the form {path} (HTTP {answer.status_code}).")

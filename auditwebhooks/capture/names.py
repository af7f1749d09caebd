"""The names of many rows, without a query for each."""

from __future__ import annotations

from typing import Any

from django.db import connections, models

from auditwebhooks.capture.subject import nameless, words_of
from auditwebhooks.registry import ModelClass


class _QueryRefusedError(Exception):
    """A ``__str__`` that queries would do so once for each of thousands of rows."""


class Names:
    """The names of many rows of one model, without a query; after the first that would ask the
    database, all are told by their keys."""

    def __init__(self, model: ModelClass, using: str) -> None:
        self._connection = connections[using]
        self._guard = self._connection.execute_wrapper(self._refuse)
        self._refused = False

    def __enter__(self) -> Names:
        self._guard.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._guard.__exit__(*error)

    def of(self, instance: models.Model) -> str:
        if self._refused:
            return nameless(instance)
        is_broken = self._connection.needs_rollback
        try:
            return words_of(instance)
        except Exception:  # noqa: BLE001 - and what the host's __init__ sets is not there to read
            return nameless(instance)
        finally:
            # A save that was refused has marked the host's transaction, where it did nothing.
            self._connection.needs_rollback = is_broken

    def _refuse(self, *args: Any) -> None:
        self._refused = True
        raise _QueryRefusedError

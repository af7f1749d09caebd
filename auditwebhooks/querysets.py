"""Querysets of the app's own tables."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NoReturn, Self, TypeVar

from django.core.exceptions import EmptyResultSet
from django.db import connections, router
from django.db.models import BooleanField, F, Func, Model, QuerySet
from django.db.models.lookups import Exact
from django.utils import timezone, translation

from auditwebhooks.enums import Outcome, Status
from auditwebhooks.exceptions import AppendOnlyError

M = TypeVar("M", bound=Model, covariant=True)


class PrimaryQuerySet(QuerySet[M]):
    def primary(self) -> Self:
        """Rows as the database that is written to has them: a replica lags behind."""
        return self.using(router.db_for_write(self.model))


def rows_between(rows: QuerySet[M], start: int, stop: int) -> list[M]:
    """A page of a long list that goes along an index. MariaDB and MySQL read each row that a
    filter passes over, even where the index has all that the filter asks: so they are asked for
    the keys first, which they find by the index alone. So is every database behind the first
    page: else it reads all rows before it, and joins to each what only the page shows."""
    if start or (connections[rows.db].vendor == "mysql" and rows.query.where):
        keys = list(rows.values_list("pk", flat=True)[start:stop])
        found = rows.order_by().in_bulk(keys)
        # Else some were deleted meanwhile, and the page seemed to be the last.
        if len(found) == len(keys):
            return [found[key] for key in keys]
    return list(rows[start:stop])


class _Unindexed(Func):
    """A column that SQLite does not look for in an index. Other databases know how many rows have
    a value, and need no telling."""

    template = "%(expressions)s"

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, template="+%(expressions)s", **context)


class Among(Func):
    """Whether a column of whole numbers has one of these values, never told of NULL. PostgreSQL
    is given one array: with a mark for each of them psycopg reads the statement for longer than
    the server works on it."""

    output_field = BooleanField()

    def __init__(self, column: str, numbers: Iterable[int]) -> None:
        super().__init__(column)
        self._numbers = tuple(numbers)

    def as_sql(self, compiler: Any, connection: Any, *_args: Any, **_context: Any) -> Any:
        if not self._numbers:
            raise EmptyResultSet
        column, parameters = compiler.compile(self.source_expressions[0])
        marks = ", ".join(["%s"] * len(self._numbers))
        return f"{column} IN ({marks})", (*parameters, *self._numbers)

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        column, parameters = compiler.compile(self.source_expressions[0])
        array = "{" + ",".join(map(str, self._numbers)) + "}"
        return f"{column} = ANY (%s::bigint[])", (*parameters, array)


class InvocationQuerySet(PrimaryQuerySet[M]):
    def with_status(self, status: str) -> Self:
        """For lists, newest first. Most attempts succeed: found by their status they would all be
        sorted for one page, so the list goes along the time."""
        if status != Status.SUCCEEDED:
            return self.filter(status=status)
        return self.filter(Exact(_Unindexed(F("status")), status))

    def finished_since(self, moment: datetime) -> Self:
        """For lists. Told what is true anyway, that they ended, a database that knows how many did
        so since then finds few of them by an index of their own. SQLite does not know."""
        found = self.filter(finished_at__gte=moment)
        if connections[found.db].vendor == "sqlite":
            return found
        return found.filter(status__in=(Status.SUCCEEDED, Status.FAILED))

    def cancel(self, message: object) -> int:
        """End what is not to be sent, with a sentence that says why; how many rows. It is stored
        in English, whoever ends them."""
        with translation.override(None):
            sentence = str(message)
        return self.update(
            status=Status.FAILED,
            outcome=Outcome.CANCELLED,
            message=sentence,
            finished_at=timezone.now(),
        )

    cancel.alters_data = True  # type: ignore[attr-defined]


class WebhookQuerySet(PrimaryQuerySet[M]):
    def update(self, **values: Any) -> int:
        """As ever, but a webhook that is switched on or off is saved by itself: what it gets
        depends on when it was switched."""
        if "active" not in values:
            return super().update(**values)
        webhooks = list(self)
        for webhook in webhooks:
            for name, value in values.items():
                setattr(webhook, name, value)
            webhook.save(update_fields=list(values))
        return len(webhooks)

    update.alters_data = True  # type: ignore[attr-defined]


class EventQuerySet(PrimaryQuerySet[M]):
    """Events are appended and read. Only the fan-out marks them as done; RETENTION ends them, and
    a person can be erased from them: see ``_prune`` and ``_redact``."""

    def update(self, **values: Any) -> int:
        if set(values) != {"fanned_out_at"}:
            refuse_change()
        return super().update(**values)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_update(self, *args: Any, **kwargs: Any) -> NoReturn:
        refuse_change()

    def delete(self) -> NoReturn:
        refuse_change()

    def _prune(self) -> None:
        """Delete the events; for ``retention`` only, which deletes their invocations before."""
        self._raw_delete(self.db)

    def _redact(self, **values: Any) -> None:
        """Write over what was recorded; for ``redaction`` only."""
        super().update(**values)


def refuse_change() -> NoReturn:
    raise AppendOnlyError(
        "Recorded events are not changed or deleted. To keep fewer of them set "
        "AUDITWEBHOOKS['RETENTION']."
    )

"""Querysets of the app's own tables."""

from __future__ import annotations

from typing import Any, NoReturn, Self, TypeVar

from django.db import router
from django.db.models import Model, QuerySet
from django.utils import timezone, translation

from auditwebhooks.enums import Outcome, Status
from auditwebhooks.exceptions import AppendOnlyError

M = TypeVar("M", bound=Model, covariant=True)


class PrimaryQuerySet(QuerySet[M]):
    def primary(self) -> Self:
        """Rows as the database that is written to has them: a replica lags behind."""
        return self.using(router.db_for_write(self.model))


def page_of(rows: QuerySet[M], start: int, size: int) -> tuple[list[M], bool]:
    """So many of the rows in their order, and whether there are more behind them.

    Their keys are looked for first, which an index with the columns of order and filters tells by
    itself. MariaDB reads the whole of each row that it passes on the way, if asked for rows.
    """
    keys = list(rows.values_list("pk", flat=True)[start : start + size + 1])
    wanted = keys[:size]
    found = {row.pk: row for row in rows.filter(pk__in=wanted).order_by()}
    # Those that were deleted meanwhile, or do not match any more, are left out.
    return [found[key] for key in wanted if key in found], len(keys) > size


class InvocationQuerySet(PrimaryQuerySet[M]):
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

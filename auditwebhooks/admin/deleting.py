"""What the admin says before webhooks are deleted: their invocations stay, and are not listed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import ngettext

from auditwebhooks.admin.display import ModelAdmin
from auditwebhooks.delivery.stats import kept_and_waiting
from auditwebhooks.models import WebhookHealth


class DeletingAdmin(ModelAdmin):
    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Django's own search stays, for what a host hangs on a webhook."""
        listed, counts, permissions, protected = super().get_deleted_objects(objs, request)
        health = WebhookHealth._meta
        counts.pop(str(health.verbose_name_plural), None)
        lines = list(_without(listed, f"{capfirst(str(health.verbose_name))}: "))
        kept, waiting = kept_and_waiting([webhook.pk for webhook in objs])
        if kept:
            text = ngettext("%d invocation is kept.", "%d invocations are kept.", kept)
            lines.append(text % kept)
        if waiting:
            text = ngettext(
                "%d of them waits and is cancelled.",
                "%d of them wait and are cancelled.",
                waiting,
            )
            lines.append(text % waiting)
        return lines, counts, permissions, protected


def _without(lines: Iterable[Any], beginning: str) -> Iterator[Any]:
    """The lines of a nested list but for those that begin so, and lists that become empty."""
    for line in lines:
        if isinstance(line, list):
            below = list(_without(line, beginning))
            if below:
                yield below
        elif not line.startswith(beginning):
            yield line

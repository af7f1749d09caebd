"""Whether the worker works: it gets a small task and does it."""

from __future__ import annotations

from django_q.models import Success
from django_q.tasks import async_task


def give_task() -> str:
    """Queue a task that does nothing; returns what ``has_done`` asks for."""
    return str(async_task("builtins.len", (), q_options={"save": True, "ack_failure": True}))


def has_done(task: str) -> bool:
    """Whether it was done; its result is taken away then."""
    deleted, _models = Success.objects.filter(pk=task).delete()
    return bool(deleted)

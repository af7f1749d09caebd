"""Single writes of articles, and the time that they take."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from django.db import models

OPERATIONS = ("create", "update", "delete")


class Writes:
    """So many rows of a model, written one by one with nothing around the writes."""

    def __init__(self, model: type[models.Model], rows: int) -> None:
        self.model = model
        self.rows = rows

    def prepare(self, operation: str) -> Iterable[Any]:
        """What the writes take one by one: a number, or an article that is stored."""
        if operation == "create":
            return range(self.rows)
        articles = [self.model(title="x") for _ in range(self.rows)]
        # A queryset made by hand, whose rows nobody records.
        return models.QuerySet(self.model).bulk_create(articles)

    def microseconds(self, operation: str, prepared: Iterable[Any]) -> float:
        """How long one row takes."""
        write = getattr(self, operation)
        started = time.perf_counter()
        for one in prepared:
            write(one)
        return (time.perf_counter() - started) / self.rows * 1e6

    def create(self, number: int) -> Any:
        return self.model.objects.create(title=f"Article {number}", options={"a": [1, 2]})

    def update(self, article: Any) -> None:
        article.title, article.stars = f"Changed {article.pk}", article.pk
        article.save()

    def delete(self, article: Any) -> None:
        article.delete()

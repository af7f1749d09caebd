"""The model that is written: the fields of the test suite's Article, and nothing of any side."""

from __future__ import annotations

from django.apps import apps
from django.conf import settings
from django.db import models


class Section(models.Model):
    title = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.title


class Tag(models.Model):
    name = models.CharField(max_length=100, unique=True)

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    title = models.CharField(max_length=100)
    text = models.TextField(blank=True)
    stars = models.IntegerField(default=0)
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    published_at = models.DateTimeField(null=True, blank=True)
    options = models.JSONField(default=dict, blank=True)
    section = models.ForeignKey(Section, on_delete=models.CASCADE, null=True, blank=True)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True
    )
    tags = models.ManyToManyField(Tag, blank=True, related_name="articles")
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.title


if apps.is_installed("simple_history"):
    # The others are told of their models by the settings.
    import simple_history

    simple_history.register(Article)

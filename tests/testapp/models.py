"""Models that are audited, and some that are not."""

from __future__ import annotations

import uuid
from typing import Any

from django.conf import settings
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models

import auditwebhooks


class Section(models.Model):
    """Not audited."""

    title = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.title


@auditwebhooks.register
class Tag(models.Model):
    """Audited, with a unique key beside its primary one."""

    name = models.CharField(max_length=100, unique=True)
    weight = models.IntegerField(default=0)

    def __str__(self) -> str:
        return self.name


class Article(models.Model):
    """Audited by the settings."""

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


class ArticleProxy(Article):
    class Meta:
        proxy = True


class BookQuerySet(models.QuerySet["Book"]):
    """A host's own, which changes what is written."""

    def update(self, **values: Any) -> int:
        return super().update(**{"edited": True, **values})

    def thick(self) -> BookQuerySet:
        return self.filter(pages__gt=500)


class BookManager(models.Manager["Book"]):
    use_in_migrations = True

    def get_queryset(self) -> BookQuerySet:
        return BookQuerySet(self.model, using=self._db).filter(lost=False)


@auditwebhooks.register
class Book(models.Model):
    """Audited; its managers and querysets are the host's own."""

    title = models.CharField(max_length=100)
    pages = models.IntegerField(default=0)
    edited = models.BooleanField(default=False)
    lost = models.BooleanField(default=False)
    author = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="books",
    )

    objects = BookManager()
    everything = BookQuerySet.as_manager()

    def __str__(self) -> str:
        # Asks the database for its author.
        return f"{self.title} by {self.author}"


@auditwebhooks.register
class Team(models.Model):
    """Audited; its members come through a model with a field of its own."""

    name = models.CharField(max_length=100)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Membership", related_name="teams"
    )
    friends = models.ManyToManyField("self", blank=True)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """Not audited itself: its rows are changes of their team."""

    team = models.ForeignKey(Team, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    role = models.CharField(max_length=20, default="member")

    def __str__(self) -> str:
        return self.role


class Account(models.Model):
    """Audited with a mask and an exclusion."""

    owner = models.CharField(max_length=100)
    iban = models.CharField(max_length=40, blank=True)
    api_key = models.CharField(max_length=100, blank=True)
    settings = models.JSONField(default=dict, blank=True)
    internal_note = models.TextField(blank=True)

    class Meta:
        verbose_name = "bank account"

    def __str__(self) -> str:
        return self.owner


class Place(models.Model):
    """Audited; the parent of multi-table children."""

    name = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.name


class Restaurant(Place):
    """Not audited itself: its rows are recorded as places."""

    serves_pizza = models.BooleanField(default=False)


@auditwebhooks.register(name="café")
class Cafe(Place):
    """Audited itself, by the decorator."""

    seats = models.IntegerField(default=0)


@auditwebhooks.register(actions=["create", "update"])
class Draft(models.Model):
    """Deletes are not recorded."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    text = models.TextField(blank=True)

    def __str__(self) -> str:
        return "a draft"


class Everything(models.Model):
    """A field of every kind that the snapshot converts."""

    flag = models.BooleanField(null=True)
    number = models.BigIntegerField(null=True)
    ratio = models.FloatField(null=True)
    amount = models.DecimalField(max_digits=20, decimal_places=4, null=True)
    day = models.DateField(null=True)
    moment = models.DateTimeField(null=True)
    clock = models.TimeField(null=True)
    span = models.DurationField(null=True)
    key = models.UUIDField(null=True)
    blob = models.BinaryField(null=True)
    file = models.FileField(null=True)
    data = models.JSONField(null=True)
    address = models.GenericIPAddressField(null=True)

    def __str__(self) -> str:
        return "everything"


@auditwebhooks.register
class Seat(models.Model):
    """Audited, with a composite primary key."""

    pk = models.CompositePrimaryKey("row", "number")
    row = models.CharField(max_length=5)
    number = models.IntegerField()
    taken = models.BooleanField(default=False)

    def __str__(self) -> str:
        return f"{self.row}{self.number}"


@auditwebhooks.register
class Note(models.Model):
    """Audited; belongs to an object of any model."""

    text = models.CharField(max_length=100)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE, null=True)
    object_id = models.PositiveIntegerField(null=True)
    about = GenericForeignKey()

    def __str__(self) -> str:
        return self.text


class Dated(models.Model):
    """Abstract."""

    title = models.CharField(max_length=100)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.title


@auditwebhooks.register
class Topic(Dated):
    """Audited; its fields come from an abstract parent, and notes go with it."""

    notes = GenericRelation(Note)


class Plain(Dated):
    """Not audited, though its sibling is."""


class Building(models.Model):
    """Not audited, though its child is."""

    street = models.CharField(max_length=100)

    def __str__(self) -> str:
        return self.street


@auditwebhooks.register
class House(Building):
    """Audited, and its parent is not."""

    rooms = models.IntegerField(default=1)

"""A user model of the host's own: its key is a UUID, people are known by their e-mail address."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models


class PersonManager(BaseUserManager["Person"]):
    def create_user(self, mail: str, password: str | None = None, **values: Any) -> Person:
        person = self.model(mail=self.normalize_email(mail), **values)
        person.set_password(password)
        person.save(using=self._db)
        return person


class Person(AbstractBaseUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    mail = models.EmailField(unique=True)

    objects = PersonManager()

    USERNAME_FIELD = "mail"
    EMAIL_FIELD = "mail"

    class Meta:
        verbose_name_plural = "people"

    def __str__(self) -> str:
        return self.mail

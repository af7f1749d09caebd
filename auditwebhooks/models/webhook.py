from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from auditwebhooks import rules
from auditwebhooks.conf import conf
from auditwebhooks.encryption import ProtectedText, Secret, rotate
from auditwebhooks.enums import Method, WebhookType
from auditwebhooks.exceptions import EncryptionError, InvalidURLError
from auditwebhooks.masking import MASK
from auditwebhooks.models.fields import (
    ActivePeriodsField,
    HeadersField,
    NameKeyField,
    SealedField,
    SealedURLField,
    SecretField,
    StoredURL,
)
from auditwebhooks.models.health import WebhookHealth
from auditwebhooks.models.periods import ActivePeriods, StoredPeriod
from auditwebhooks.payload import DEFAULT_TEMPLATE
from auditwebhooks.querysets import WebhookQuerySet
from auditwebhooks.transport.address import Address, mask_url, parse_address

# After a rotation both secrets sign, so that receivers can follow without a gap.
ROTATION_OVERLAP = timedelta(hours=24)


class Webhook(models.Model):
    """Where events are sent, and how a success is told."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(gettext_lazy("name"), max_length=rules.NAME_LENGTH)
    name_key = NameKeyField(max_length=64, editable=False)
    active = models.BooleanField(gettext_lazy("active"), default=True)
    type = models.CharField(
        gettext_lazy("type"),
        max_length=20,
        choices=WebhookType.choices,
        default=WebhookType.HTTP,
    )
    method = models.CharField(
        gettext_lazy("method"),
        max_length=10,
        choices=Method.choices,
        default=Method.POST,
    )
    # Path and query can be secrets: in full only for those who may change the webhook.
    url = SealedURLField(gettext_lazy("URL"))
    body_template = models.TextField(
        gettext_lazy("body template"), blank=True, default=DEFAULT_TEMPLATE
    )
    headers = HeadersField(gettext_lazy("headers"), blank=True)
    timeout_in_sec = models.PositiveSmallIntegerField(
        gettext_lazy("timeout in seconds"), null=True, blank=True
    )
    response_validators = models.JSONField(
        gettext_lazy("response validators"), blank=True, default=list
    )
    max_attempts = models.PositiveSmallIntegerField(
        gettext_lazy("most attempts"), null=True, blank=True
    )
    retry_on_validation = models.BooleanField(
        gettext_lazy("retry when a validator fails"), default=False
    )
    max_per_minute = models.PositiveIntegerField(
        gettext_lazy("most calls a minute"), null=True, blank=True
    )
    event_types = models.JSONField(gettext_lazy("event types"), blank=True, default=list)
    signing_secret = SecretField(gettext_lazy("signing secret"), blank=True)
    previous_signing_secret = SecretField(blank=True, editable=False)
    previous_signing_secret_until = models.DateTimeField(null=True, editable=False)
    # When events were collected for this webhook: see ActivePeriods.
    active_periods = ActivePeriodsField(default=list, editable=False)
    created_at = models.DateTimeField(gettext_lazy("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(gettext_lazy("updated at"), auto_now=True)

    objects = WebhookQuerySet.as_manager()

    class Meta:
        verbose_name = gettext_lazy("webhook")
        verbose_name_plural = gettext_lazy("webhooks")
        permissions = [("test_webhook", "Can send a test to a webhook")]
        constraints = [
            models.UniqueConstraint(fields=["name_key"], name="auditwebhooks_webhook_name"),
        ]
        indexes = [
            # Newest first, with what a list may be filtered by.
            models.Index(
                fields=["created_at", "id", "active", "method"],
                name="auditwebhooks_webhook_time",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    # As the row was loaded; None and empty for one that is new.
    _was_active: bool | None = None
    _old_signing_secret: ProtectedText | None = None

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Saves the configuration; secrets are encrypted, name and switch kept track of."""
        self._keep_old_signing_secret(timezone.now())
        update_fields = kwargs.get("update_fields")
        if update_fields is not None:
            kwargs["update_fields"] = {*update_fields, *_followers(update_fields)}
        super().save(*args, **kwargs)
        if self.active and self._was_active is False:
            self._forget_why_disabled()
        self._remember_loaded()

    def _forget_why_disabled(self) -> None:
        """Should a person switch it off next, the system's old reason says nothing."""
        health = WebhookHealth.objects.using(self._state.db).filter(pk=self.pk)
        health.update(disabled_reason="")
        self._state.fields_cache.pop("health", None)

    @classmethod
    def from_db(cls, *args: Any, **kwargs: Any) -> Self:
        webhook = super().from_db(*args, **kwargs)
        webhook._remember_loaded()
        return webhook

    def _remember_loaded(self) -> None:
        loaded = self.__dict__
        self._was_active = loaded.get("active")
        self._old_signing_secret = loaded.get("signing_secret")

    def periods_after_save(self, now: datetime, adding: bool) -> list[StoredPeriod]:
        periods = ActivePeriods(self.active_periods)
        if self.active:
            periods.open(now)
        elif adding or self._was_active:
            # Switched off by a person. What the system switched off keeps collecting.
            periods.close(now)
        return periods.stored

    def switch_off_by_system(self) -> None:
        """Save as not active while events keep queueing for it."""
        self.active = False
        self._was_active = False
        self.save(update_fields=["active"])

    def switch_off_for_good(self) -> None:
        """A person agrees with the system: it collects no more, and a Test leaves it off."""
        self.active = False
        self._was_active = True
        self.save(update_fields=["active"])
        self._forget_why_disabled()

    def _keep_old_signing_secret(self, now: datetime) -> None:
        old, new = self._old_signing_secret, self.signing_secret
        if not (isinstance(new, ProtectedText) and new.typed and old):
            return
        try:
            rotate(old.token(""))
        except EncryptionError:
            # With its key lost it signs nothing, and would only stand in the way.
            old = None
        self.previous_signing_secret = old or ""
        self.previous_signing_secret_until = now + ROTATION_OVERLAP if old else None

    def clean(self) -> None:
        errors: dict[str, list[ValidationError]] = {}
        for field, check in self._checks():
            try:
                check()
            except ValidationError as error:
                errors.setdefault(field, []).append(error)
        if errors:
            raise ValidationError(errors)

    def _checks(self) -> Iterable[tuple[str, Callable[[], object]]]:
        """Field and rule. Fields of a wrong type have been refused by ``clean_fields``."""
        yield "name", lambda: rules.check_name(self.name)
        yield "name", self._check_name_is_free
        yield "url", self._check_url
        yield "body_template", lambda: rules.check_body_template(self.body_template)
        yield "headers", lambda: rules.check_headers(self.headers)
        yield (
            "response_validators",
            lambda: rules.check_response_validators(self.response_validators),
        )
        yield "event_types", lambda: rules.check_event_types(self.event_types)
        if self.timeout_in_sec is not None:
            yield "timeout_in_sec", lambda: rules.check_timeout(self.timeout_in_sec)
        if self.max_attempts is not None:
            yield "max_attempts", lambda: rules.check_max_attempts(self.max_attempts)
        if self.max_per_minute is not None:
            yield (
                "max_per_minute",
                lambda: rules.check_max_per_minute(self.max_per_minute),
            )
        if self.signing_secret:
            yield (
                "signing_secret",
                lambda: rules.check_signing_secret(self.signing_secret),
            )
        yield from self._checks_of_kept_secrets()

    def _checks_of_kept_secrets(self) -> Iterable[tuple[str, Callable[[], object]]]:
        origin = self.origin
        if origin and isinstance(self.headers, dict):
            yield "headers", lambda: rules.check_kept(self.headers.values(), origin)
        if origin:
            yield (
                "signing_secret",
                lambda: rules.check_kept([self.signing_secret], origin),
            )

    def _check_url(self) -> None:
        if isinstance(self.url, StoredURL):
            raise ValidationError(_("The stored URL cannot be read: type it again."))
        rules.check_url(self.url)

    def _check_name_is_free(self) -> None:
        same = Webhook.objects.primary().filter(name_key=rules.name_digest(str(self.name)))
        if same.exclude(pk=self.pk).exists():
            raise ValidationError(
                _("There is a webhook of this name already (upper and lower case are the same).")
            )

    def validate_constraints(self, exclude: Collection[str] | None = None) -> None:
        # The only constraint is on the name's key, and ``clean`` names the field.
        super().validate_constraints(exclude={*(exclude or ()), "name_key"})

    @property
    def origin(self) -> str:
        """What the stored secrets are bound to; empty while the URL cannot be read."""
        try:
            return parse_address(self.url).origin
        except InvalidURLError:
            return ""

    @property
    def version(self) -> str:
        """Of the configuration: another one after each change, the same after deliveries."""
        return f"{self.updated_at.timestamp():.6f}".replace(".", "")

    @property
    def masked_url(self) -> str:
        return mask_url(self.url)

    @property
    def host(self) -> str:
        """Name and port, for lists: nothing of the URL that could be a secret."""
        return self.masked_url.removesuffix(f"/{MASK}").rpartition("//")[2]

    @property
    def timeout(self) -> float:
        """Seconds for one call."""
        return min(float(self.timeout_in_sec or conf.default_timeout), conf.max_timeout)

    def address(self) -> Address:
        """For the sending path only. Raises InvalidURLError, and EncryptionError when the stored
        URL cannot be read."""
        if isinstance(self.url, StoredURL):
            raise EncryptionError(
                _(
                    "The stored URL cannot be read with the present keys. Put the old key back "
                    "(SECRET_KEY_FALLBACKS or ENCRYPTION_KEYS), or type the URL again."
                )
            )
        return parse_address(self.url)

    def revealed_headers(self) -> dict[str, str]:
        """For the sending path only. Raises EncryptionError when a value cannot be used."""
        return {name: value.reveal(self.origin).reveal() for name, value in self.headers.items()}

    def revealed_signing_secrets(self, now: datetime) -> list[Secret]:
        """For the sending path only: the secret, and the one before it while it is valid."""
        if not self.signing_secret:
            return []
        secrets = [self.signing_secret.reveal(self.origin)]
        until = self.previous_signing_secret_until
        if self.previous_signing_secret and until and now < until:
            # One that belongs to another host signs nothing here.
            with contextlib.suppress(EncryptionError):
                secrets.append(self.previous_signing_secret.reveal(self.origin))
        return secrets

    def rotated_secrets(self) -> dict[str, Any]:
        """Field name -> its loaded value under the first key, for ``update()``.

        Raises EncryptionError when one cannot be read. A previous signing secret that signs no
        more is left out.
        """
        until = self.previous_signing_secret_until
        over = {"previous_signing_secret"} if until is None or until <= timezone.now() else set()
        return {
            field.name: "" if field.name in over else field.rotated(getattr(self, field.name))
            for field in self._meta.concrete_fields
            if isinstance(field, SealedField | SealedURLField)
        }

    def sends_like(self, other: Webhook) -> bool:
        """Whether a call with these values is a call with those of the other."""
        return all(getattr(self, name) == getattr(other, name) for name in _OF_A_CALL)

    def was_collecting(self, moment: datetime) -> bool:
        """Whether an event of that moment belongs to this webhook."""
        return ActivePeriods(self.active_periods).contain(moment)

    @property
    def last_success_at(self) -> datetime | None:
        return self._health.last_success_at

    @property
    def last_failure_at(self) -> datetime | None:
        return self._health.last_failure_at

    @property
    def consecutive_failures(self) -> int:
        return self._health.consecutive_failures

    @property
    def paused_until(self) -> datetime | None:
        """Until when nothing is sent; None when it may send now."""
        return self._health.paused_until if self._health.is_pausing(self.updated_at) else None

    @property
    def pause_reason(self) -> str:
        """Why nothing is sent until then, in words; empty when it may send now."""
        return str(self._health.get_pause_reason_display()) if self.paused_until else ""

    @property
    def disabled_reason(self) -> str:
        """Why the system switched it off; empty otherwise."""
        return "" if self.active else self._health.disabled_reason

    @property
    def _health(self) -> WebhookHealth:
        try:
            return self.health
        except WebhookHealth.DoesNotExist:
            return WebhookHealth()


# What a call is made of, and judged by.
_OF_A_CALL = (
    "type",
    "method",
    "url",
    "body_template",
    "headers",
    "timeout_in_sec",
    "response_validators",
    "signing_secret",
)


def _followers(update_fields: Iterable[str]) -> set[str]:
    """The columns that must be written with the named ones."""
    followers = {
        "name": {"name_key"},
        "active": {"active_periods"},
        "signing_secret": {"previous_signing_secret", "previous_signing_secret_until"},
    }
    return {"updated_at"}.union(*(followers.get(name, set()) for name in update_fields))

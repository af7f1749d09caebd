"""Stored secrets under a new key, after ENCRYPTION_KEYS or SECRET_KEY got a new first one; and a
new signing secret in place of the old one."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db import connections, router, transaction

from auditwebhooks import signing
from auditwebhooks.context import paused
from auditwebhooks.encryption import Secret
from auditwebhooks.enums import PauseReason
from auditwebhooks.exceptions import EncryptionError
from auditwebhooks.models import Webhook, WebhookHealth
from auditwebhooks.rows import locked, take_write_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    # Webhooks whose secrets stand under the first key now.
    done: int
    # Names of those with a secret that no present key reads.
    unreadable: list[str]


def rotate_keys() -> Rotation:
    """Encrypt the secrets of every webhook anew with the first key. One row at a time, each in
    its own transaction, so that it can be stopped and run again, while everything else goes on.
    """
    using = router.db_for_write(Webhook)
    names = dict(Webhook.objects.using(using).order_by("name").values_list("pk", "name"))
    unreadable = []
    for pk, name in names.items():
        try:
            _rotate(pk, using)
        except EncryptionError:
            unreadable.append(name)
    return Rotation(done=len(names) - len(unreadable), unreadable=unreadable)


def _rotate(pk: uuid.UUID, using: str) -> None:
    # The configuration stays as it is, so this is no change of it.
    with paused(), transaction.atomic(using=using):
        take_write_lock(connections[using], Webhook)
        for webhook in locked(Webhook.objects.using(using).filter(pk=pk), using):
            # Not ``save()``, which would be a new configuration.
            Webhook.objects.using(using).filter(pk=pk).update(**webhook.rotated_secrets())
            # What waited because a key was missing need not wait for a look once an hour.
            WebhookHealth.objects.using(using).filter(
                webhook=webhook, pause_reason=PauseReason.CONFIGURATION
            ).update(paused_until=None, pause_reason="", paused_configuration=None)


def rotate_signing_secret(pk: uuid.UUID) -> Secret:
    """Give a webhook a new signing secret; the old one signs along for 24 hours. Two rotations at
    once follow each other, so that each secret that was answered has its turn.

    Raises EncryptionError where the stored URL, whose host it is bound to, cannot be read, and
    Webhook.DoesNotExist.
    """
    using = router.db_for_write(Webhook)
    secret = Secret(signing.new_secret())
    with transaction.atomic(using=using):
        take_write_lock(connections[using], Webhook)
        webhook: Webhook = locked(Webhook.objects.using(using).filter(pk=pk), using).get()
        webhook.address()
        webhook.signing_secret = secret.reveal()
        webhook.save(using=using, update_fields=["signing_secret"])
    return secret

from __future__ import annotations

from django.db import models

from auditwebhooks.querysets import PrimaryQuerySet


class IdempotencyKey(models.Model):
    """A request that is not to be acted on twice, and what was answered to it."""

    id = models.BigAutoField(primary_key=True)
    # Keyed digest of user, method, URL and key: one column that is unique under any collation.
    digest = models.CharField(max_length=64)
    # Keyed, since a body may hold a secret.
    body_digest = models.CharField(max_length=64)
    # Null while the first request is acted on.
    status = models.PositiveSmallIntegerField(null=True)
    # The JSON text that was answered.
    answer = models.TextField(blank=True)
    created_at = models.DateTimeField(db_index=True)

    objects = PrimaryQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["digest"], name="auditwebhooks_idempotency"),
        ]

    def __str__(self) -> str:
        return self.digest

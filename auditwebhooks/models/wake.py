from __future__ import annotations

from django.db import models

from auditwebhooks.enums import WakeState
from auditwebhooks.querysets import PrimaryQuerySet


class Wake(models.Model):
    """Which drain tasks run or were called: one row for each slot, changed by compare-and-set.

    Slot 0 is the bell that commits ring; the others are for helpers while there is a backlog.
    """

    slot = models.PositiveSmallIntegerField(primary_key=True)
    state = models.CharField(max_length=10, choices=WakeState.choices)
    token = models.CharField(max_length=32)
    # When the state is no longer believed: its holder died.
    until = models.DateTimeField()
    # When a worker was last there; the schedule brings one twice a minute.
    seen_at = models.DateTimeField(null=True)

    objects = PrimaryQuerySet.as_manager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.slot}: {self.state}"

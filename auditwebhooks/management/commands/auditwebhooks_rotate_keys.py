from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from auditwebhooks.rotation import rotate_keys


class Command(BaseCommand):
    help = (
        "Encrypts every stored secret anew with the first key. Put the new key first, keep the "
        "old one behind it (ENCRYPTION_KEYS, or SECRET_KEY and SECRET_KEY_FALLBACKS), run this, "
        "then take the old one out."
    )

    def handle(self, **options: Any) -> None:
        rotation = rotate_keys()
        self.stdout.write(f"Encrypted with the first key: {rotation.done} webhooks.")
        if rotation.unreadable:
            raise CommandError(
                "With the present keys these cannot be read: "
                f"{', '.join(rotation.unreadable)}. Put their old key back, or type their "
                "secrets again."
            )

from __future__ import annotations

import os
import ssl
from datetime import datetime
from typing import Any

from django.core.management.base import (
    BaseCommand,
    CommandError,
    CommandParser,
    no_translations,
)

from auditwebhooks import signing
from auditwebhooks.receiver import Delivery, Receiver


class Command(BaseCommand):
    help = (
        "Receives webhooks on this machine and prints each one: request line, headers, JSON, and "
        "whether its signature is right."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=9000)
        parser.add_argument("--secret", default="", help="whsec_... to verify signatures with")
        parser.add_argument("--certificate", help="PEM file with the certificate chain: use TLS")
        parser.add_argument("--key", help="PEM file with the key of the certificate")

    # What is wrong with a secret would else come in another language than the rest.
    @no_translations
    def handle(
        self,
        *,
        host: str,
        port: int,
        secret: str,
        certificate: str | None,
        key: str | None,
        **options: Any,
    ) -> None:
        if bool(certificate) != bool(key):
            raise CommandError("TLS takes both, --certificate and --key.")
        for path in filter(None, (certificate, key)):
            if not os.path.isfile(path):
                raise CommandError(f"There is no file {path}.")
        try:
            if secret:
                signing.key_of(secret)
            receiver = Receiver(
                host=host,
                port=port,
                certificate=certificate,
                key=key,
                secret=secret,
                on_delivery=self._show,
            )
        except ValueError as error:
            raise CommandError(str(error)) from None
        except ssl.SSLError as error:
            raise CommandError(
                f"Certificate and key cannot be used ({error.reason}): both are PEM files, and "
                "the key belongs to the first certificate."
            ) from None
        except OverflowError:
            raise CommandError(f"There is no port {port}: choose 0 to 65535.") from None
        except OSError as error:
            raise CommandError(
                f"Cannot listen on {host}:{port} ({error.strerror}). Choose another --port."
            ) from None
        self.stdout.write(f"Listening on {receiver.url} until Ctrl-C.")
        try:
            receiver.serve_forever()
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _show(self, delivery: Delivery) -> None:
        when = datetime.fromtimestamp(delivery.received_at).astimezone()
        lines = [
            "",
            f"{when:%H:%M:%S} {delivery.method} {delivery.path}",
            *(f"{name}: {value}" for name, value in delivery.headers.items()),
            f"Signature {delivery.signature}",
            delivery.readable_body,
        ]
        self.stdout.write(_printable("\n".join(lines), self.stdout.encoding))
        self.stdout.flush()


def _printable(text: str, encoding: str | None) -> str:
    """What a terminal cannot show must not end the delivery: JSON spells lone surrogates, and not
    every terminal knows every letter."""
    known = encoding or "utf-8"
    return text.encode(known, "backslashreplace").decode(known)

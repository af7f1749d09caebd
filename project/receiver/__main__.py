"""python -m project.receiver: takes deliveries over TLS and shows them on a page."""

from __future__ import annotations

import sys

from auditwebhooks import signing
from auditwebhooks.receiver import Delivery, Receiver
from project import storage
from project.ports import Ports
from project.receiver.board import Board
from project.receiver.page import PageServer


def main() -> int:
    ports = Ports.read()
    folder = storage.folder()
    board = Board()

    def take(delivery: Delivery) -> None:
        print(f"{delivery.method} {delivery.path} signature {delivery.signature}", flush=True)
        board.put(delivery)

    try:
        receiver = Receiver(
            port=ports.receiver,
            certificate=str(folder / storage.CERTIFICATE_FILE),
            key=str(folder / storage.KEY_FILE),
            secret=storage.kept_secret(storage.SIGNING_SECRET_FILE, signing.new_secret),
            on_delivery=take,
        )
        page = PageServer(ports.page, board)
    except OSError as error:
        print(f"The receiver cannot start: {error}", file=sys.stderr)
        return 1
    with receiver, page:
        print(f"{receiver.url} takes deliveries, {ports.page_url} shows them.", flush=True)
        page.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())

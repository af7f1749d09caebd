"""The demo's data directory, and its secrets, which nobody else on the machine may read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

FOLDER_VARIABLE = "DEMO_VAR"

CA_FILE = "ca.pem"
CERTIFICATE_FILE = "certificate.pem"
KEY_FILE = "key.pem"
SIGNING_SECRET_FILE = "signing_secret"


def folder() -> Path:
    """Where everything is kept that the demo makes; created when it is not there."""
    default = Path(__file__).resolve().parent / "var"
    path = Path(os.environ.get(FOLDER_VARIABLE) or default).resolve()
    # The database holds sessions and password hashes.
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def kept_secret(name: str, make: Callable[[], str]) -> str:
    """The text of a file; ``make`` gives it the first time."""
    path = folder() / name
    if not path.exists():
        write_secret(name, make())
    return path.read_text()


def write_secret(name: str, text: str) -> None:
    """Write a whole file that only its owner can read, in place of an older one."""
    path = folder() / name
    unfinished = path.with_name(f"{name}.{os.getpid()}.tmp")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.replace(path)

"""python -m project.demo: server, worker and receiver until Ctrl-C; with --check: one change."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path

import django

from project import storage
from project.demo import sockets
from project.demo.certificate import write_certificate
from project.demo.errors import DemoError, StoppedError
from project.demo.processes import Processes
from project.demo.stopping import Stopping, time_limit
from project.ports import Ports

# How long one thing is waited for, and how long a whole check may take, in seconds.
_PATIENCE, _CHECK_PATIENCE = 60, 40
_CHECK_SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m project.demo", description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="make one change, see it arrive, and end"
    )
    only_check = parser.parse_args().check
    stopping = Stopping()
    stopping.listen()
    try:
        if only_check:
            _check(stopping)
        else:
            _stay(stopping)
    except StoppedError:
        _say("\nThe demo has ended.")
        return 1 if only_check else 0
    except (DemoError, OSError) as error:
        print(error, file=sys.stderr, flush=True)
        return 1
    return 0


def _stay(stopping: Stopping) -> None:
    try:
        ports = Ports.read()
    except ValueError as error:
        raise DemoError(str(error)) from None
    sockets.check_free(ports)
    _set_up(ports)

    from project.demo import data, stack

    with Processes(_log_folder(), stopping, _PATIENCE) as processes:
        data.prepare(ports)
        _say("Starting receiver, worker and server ...")
        stack.start(processes, ports)
        _say(_welcome(ports, data.USER, data.PASSWORD))
        while True:
            processes.watch()


def _check(stopping: Stopping) -> None:
    """Beside a demo that may be running: with its own data and ports."""
    with tempfile.TemporaryDirectory(prefix="auditwebhooks-demo-") as folder:
        os.environ[storage.FOLDER_VARIABLE] = folder
        ports = sockets.free_ports()
        _set_up(ports)

        from project.demo import check, data, stack

        # The limit ends first: the children have time to end, whatever happened.
        with (
            Processes(_log_folder(), stopping, _CHECK_PATIENCE) as processes,
            time_limit(_CHECK_SECONDS),
        ):
            data.prepare(ports)
            _say("Starting receiver, worker and server ...")
            running = stack.start(processes, ports)
            _say("Changing an access flow in the admin ...")
            arrived = check.check(processes, running, ports)
        _say(f"It has arrived at the receiver:\n\n{arrived}\n")


def _set_up(ports: Ports) -> None:
    """Environment, certificate and Django. Modules that import models can be imported after it,
    and not before."""
    _say("Preparing database and certificate ...")
    for name, port in ports.named().items():
        os.environ[name] = str(port)
    # The caller's environment may name settings of its own.
    os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
    write_certificate()
    django.setup()
    # What the queue says of every task belongs into the worker's log.
    logging.getLogger("django-q").setLevel(logging.WARNING)


def _log_folder() -> Path:
    folder = storage.folder() / "log"
    folder.mkdir(exist_ok=True)
    return folder


def _welcome(ports: Ports, user: str, password: str) -> str:
    return f"""
The demo is running. Change an access flow in the admin and watch it arrive.

  Admin      {ports.admin_url}   (user {user}, password {password})
  Receiver   {ports.page_url}

What the processes say is in {_log_folder()}.
Ctrl-C ends the demo; its data is kept.
"""


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())

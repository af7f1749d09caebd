"""Receiver, worker and server: how each is started, and when it is ready."""

from __future__ import annotations

from dataclasses import dataclass

from project.demo import worker as work
from project.demo.processes import Child, Processes
from project.demo.visitor import Visitor
from project.ports import HOST, Ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    receiver: Child
    worker: Child
    server: Child


def start(processes: Processes, ports: Ports) -> Stack:
    """Start all three and come back when they are ready. The database is."""
    receiver = processes.start("receiver", "-m", "project.receiver")
    worker = processes.start("worker", "manage.py", "qcluster")
    server = processes.start(
        "server", "manage.py", "runserver", "--noreload", f"{HOST}:{ports.server}"
    )
    task = work.give_task()
    with Visitor(ports) as visitor:
        processes.wait_for(
            lambda: visitor.answers(ports.page_url), receiver, "The receiver does not answer."
        )
        processes.wait_for(
            lambda: visitor.answers(f"{ports.admin_url}login/"),
            server,
            "The server does not answer.",
        )
    processes.wait_for(lambda: work.has_done(task), worker, "The worker does not work.")
    return Stack(receiver=receiver, worker=worker, server=server)

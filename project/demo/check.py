"""One change in the admin, followed to the receiver."""

from __future__ import annotations

import json
from typing import Any

import requests

from auditwebhooks.enums import Status
from auditwebhooks.models import Event, Invocation
from auditwebhooks.receiver import VERIFIED
from project.access.models import AccessFlow
from project.demo import data
from project.demo.inbox import stored_deliveries
from project.demo.processes import Processes
from project.demo.stack import Stack
from project.demo.visitor import VisitError, Visitor
from project.ports import Ports


def check(processes: Processes, stack: Stack, ports: Ports) -> str:
    """Make the change and wait for its delivery; returns what arrived, for people to read.

    Raises DemoError when any of it goes wrong.
    """
    last = Event.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
    flow = AccessFlow.objects.order_by("pk")[0]
    try:
        with Visitor(ports) as visitor:
            visitor.log_in(data.USER, data.PASSWORD)
            visitor.change_access_flow(flow.pk, max_hours=str(flow.max_hours + 1))
    except VisitError as error:
        raise stack.server.failure(str(error)) from None
    invocation = processes.wait_for(
        lambda: _finished(last, flow), stack.worker, "The change was not delivered in time."
    )
    if invocation.status != Status.SUCCEEDED:
        raise stack.worker.failure(f"The delivery failed: {invocation.message}")
    return _report(stack, _arrived(stack, ports, invocation))


def _finished(last_event: int, flow: AccessFlow) -> Invocation | None:
    return (
        Invocation.objects.select_related("event")
        .filter(
            event__pk__gt=last_event,
            event__event_type="access.accessflow.updated",
            event__target_id=str(flow.pk),
            finished_at__isnull=False,
        )
        .first()
    )


def _arrived(stack: Stack, ports: Ports, invocation: Invocation) -> dict[str, Any]:
    """The delivery as the receiver's page shows it, with its body read."""
    event_time = invocation.event.payload["event_time"]
    try:
        for delivery in stored_deliveries(ports):
            body = json.loads(delivery["body"])
            if body.get("event_time") == event_time:
                return {**delivery, "body": body}
    except requests.RequestException as error:
        raise stack.receiver.failure(f"The receiver does not tell: {error}") from None
    raise stack.receiver.failure("The delivery succeeded, but the receiver does not show it.")


def _report(stack: Stack, delivery: dict[str, Any]) -> str:
    if delivery["signature"] != VERIFIED:
        raise stack.receiver.failure(f"The signature is {delivery['signature']}.")
    change = delivery["body"]["data"]
    lines = {
        "Request": f"{delivery['method']} {delivery['path']}",
        "Event type": delivery["body"]["event_type"],
        "Actor": f"{change['actor_name']} ({change['actor_id']})",
        "Target": f"{change['target_type']} {change['target_id']}: {change['target_name']}",
        "Changed fields": ", ".join(change["metadata"]["changed_fields"]),
        "Signature": delivery["signature"],
    }
    return "\n".join(f"  {title:<16}{text}" for title, text in lines.items())

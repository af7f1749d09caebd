"""What the demo's database holds at first. A second start changes none of it."""

from __future__ import annotations

from datetime import date
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import transaction

import auditwebhooks
from auditwebhooks import signing
from auditwebhooks.models import Webhook
from project import storage
from project.access.models import AccessFlow, Bundle, Integration
from project.ports import HOST, Ports

USER = "admin"
PASSWORD = "admin"
WEBHOOK = "Local receiver"

_AUTHORIZATION = "Bearer token-of-the-demo"

# They approve and cannot log in.
_PEOPLE = {
    "ada": {"email": "ada@example.com", "first_name": "Ada", "last_name": "Lovelace"},
    "grace": {"email": "grace@example.com", "first_name": "Grace", "last_name": "Hopper"},
}

_INTEGRATIONS: dict[str, dict[str, Any]] = {
    "AWS production": {
        "kind": Integration.Kind.AWS,
        "api_token": "token-of-aws",
        "options": {"account": "112233445566", "region": "eu-central-1"},
        "connected_on": date(2026, 1, 12),
    },
    "Billing database": {
        "kind": Integration.Kind.POSTGRESQL,
        "api_token": "token-of-billing",
        "options": {"host": "billing.internal", "port": 5432, "password": "only-a-sample"},
        "connected_on": date(2026, 2, 3),
    },
    "Staging cluster": {
        "kind": Integration.Kind.KUBERNETES,
        "status": Integration.Status.ERROR,
        "options": {"namespaces": ["web", "jobs"]},
        "connected_on": date(2026, 3, 27),
    },
    "Source code": {
        "kind": Integration.Kind.GITHUB,
        "api_token": "token-of-github",
        "options": {"organization": "example"},
        "connected_on": date(2026, 1, 12),
    },
}

_BUNDLES: dict[str, dict[str, Any]] = {
    "Prod DB read": {
        "integration": "Billing database",
        "description": "Look at invoices and payments.",
        "permissions": ["SELECT"],
    },
    "Prod DB write": {
        "integration": "Billing database",
        "description": "Correct invoices by hand.",
        "permissions": ["SELECT", "INSERT", "UPDATE"],
    },
    "Production logs": {
        "integration": "AWS production",
        "description": "Read the logs of every service.",
        "permissions": ["logs:Get*", "logs:FilterLogEvents"],
    },
    "Staging deploy": {
        "integration": "Staging cluster",
        "description": "Roll out and restart.",
        "permissions": ["deployments.patch", "pods.delete"],
    },
    "Repository admin": {
        "integration": "Source code",
        "description": "Change the rules of branches.",
        "permissions": ["admin"],
    },
}

_ACCESS_FLOWS: dict[str, dict[str, Any]] = {
    "Support reads invoices": {
        "status": AccessFlow.Status.ACTIVE,
        "requesters": "support",
        "bundles": ["Prod DB read"],
        "approval": AccessFlow.Approval.APPROVER,
        "approver": "grace",
        "max_hours": 4,
        "valid_from": date(2026, 2, 9),
        "conditions": {"weekdays": ["Mon", "Tue", "Wed", "Thu", "Fri"], "ticket": True},
    },
    "On-call mends production": {
        "status": AccessFlow.Status.ACTIVE,
        "requesters": "on-call",
        "bundles": ["Prod DB write", "Production logs"],
        "approval": AccessFlow.Approval.AUTOMATIC,
        "max_hours": 12,
        "valid_from": date(2026, 1, 19),
        "conditions": {"incident": True},
    },
    "Developers deploy to staging": {
        "status": AccessFlow.Status.ACTIVE,
        "requesters": "developers",
        "bundles": ["Staging deploy"],
        "approval": AccessFlow.Approval.ON_CALL,
        "max_hours": 8,
        "valid_from": date(2026, 4, 1),
    },
    "Auditors look at repositories": {
        "status": AccessFlow.Status.DRAFT,
        "requesters": "auditors",
        "bundles": ["Repository admin"],
        "approval": AccessFlow.Approval.APPROVER,
        "approver": "ada",
        "max_hours": 2,
        "valid_from": date(2026, 11, 2),
        "valid_until": date(2026, 12, 18),
    },
}


def prepare(ports: Ports) -> None:
    """Bring the database up to date and put in what is missing."""
    call_command("migrate", verbosity=0, interactive=False)
    with auditwebhooks.context(actor="demo", source="integration"), transaction.atomic():
        if not User.objects.filter(username=USER).exists():
            User.objects.create_superuser(
                USER, "admin@example.com", PASSWORD, first_name="Demo", last_name="Admin"
            )
        if not AccessFlow.objects.exists():
            _sample_data()
        _webhook(ports)


def _sample_data() -> None:
    people = {
        username: User.objects.get_or_create(username=username, defaults=values)[0]
        for username, values in _PEOPLE.items()
    }
    integrations = {
        name: Integration.objects.get_or_create(name=name, defaults=values)[0]
        for name, values in _INTEGRATIONS.items()
    }
    bundles = {
        name: Bundle.objects.get_or_create(
            name=name,
            defaults={**values, "integration": integrations[values["integration"]]},
        )[0]
        for name, values in _BUNDLES.items()
    }
    for name, values in _ACCESS_FLOWS.items():
        columns = {key: value for key, value in values.items() if key != "bundles"}
        columns["approver"] = people.get(values.get("approver", ""))
        flow = AccessFlow.objects.create(name=name, **columns)
        flow.bundles.set(bundles[bundle] for bundle in values["bundles"])


def _webhook(ports: Ports) -> None:
    """The webhook to the receiver, as it was left; only its port follows the receiver's."""
    webhook = Webhook.objects.filter(name=WEBHOOK).first()
    if webhook is None:
        webhook = Webhook(
            name=WEBHOOK,
            response_validators=[{"json_path": "$.data.ok", "expected_values": ["true"]}],
        )
    elif not _is_on_another_port(webhook, ports):
        return
    webhook.url = ports.receiver_url
    # Secrets belong to host and port, so a new port needs them once more.
    webhook.headers = {"Authorization": _AUTHORIZATION}
    webhook.signing_secret = storage.kept_secret(storage.SIGNING_SECRET_FILE, signing.new_secret)
    webhook.full_clean()
    webhook.save()


def _is_on_another_port(webhook: Webhook, ports: Ports) -> bool:
    address = urlsplit(webhook.url)
    return address.hostname == HOST and address.port != ports.receiver

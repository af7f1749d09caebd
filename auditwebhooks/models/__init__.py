"""The tables of the app."""

from auditwebhooks.models.event import Event
from auditwebhooks.models.health import WebhookHealth
from auditwebhooks.models.idempotency import IdempotencyKey
from auditwebhooks.models.invocation import Invocation
from auditwebhooks.models.replay import Replay
from auditwebhooks.models.wake import Wake
from auditwebhooks.models.webhook import Webhook

__all__ = ["Event", "IdempotencyKey", "Invocation", "Replay", "Wake", "Webhook", "WebhookHealth"]

"""The operator's console: webhooks, their invocations, and the audit log."""

from auditwebhooks.admin.events import EventAdmin
from auditwebhooks.admin.invocations import InvocationAdmin
from auditwebhooks.admin.replays import ReplayAdmin
from auditwebhooks.admin.webhooks import WebhookAdmin

__all__ = ["EventAdmin", "InvocationAdmin", "ReplayAdmin", "WebhookAdmin"]

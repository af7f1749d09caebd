"""The operator's console: webhooks, their invocations, and the audit log."""

from auditwebhooks.admin.events import EventAdmin
from auditwebhooks.admin.history import AuditHistoryMixin
from auditwebhooks.admin.invocations import InvocationAdmin
from auditwebhooks.admin.replays import ReplayAdmin
from auditwebhooks.admin.webhooks import WebhookAdmin

__all__ = ["AuditHistoryMixin", "EventAdmin", "InvocationAdmin", "ReplayAdmin", "WebhookAdmin"]

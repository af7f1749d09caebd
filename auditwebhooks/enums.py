"""The closed vocabularies of the app: one place for each value and its words."""

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Action(TextChoices):
    """What a model change did. A caller of ``record()`` may use words of its own."""

    CREATE = "create", _("create")
    UPDATE = "update", _("update")
    DELETE = "delete", _("delete")

    @property
    def past(self) -> str:
        """The word that ends the event type: ``created``, ``updated``, ``deleted``."""
        return f"{self.value}d"


class ActorType(TextChoices):
    USER = "user", _("user")
    SERVICE_ACCOUNT = "service_account", _("service account")
    # Nobody: a command, a background task, this app itself.
    SYSTEM = "system", _("system")
    # A request that nobody logged in for.
    ANONYMOUS = "anonymous", _("anonymous")


class Source(TextChoices):
    """Where a change came from. The host may use words of its own."""

    WEB_APPLICATION = "web application", _("web application")
    API = "API", _("API")
    TERRAFORM = "Terraform", _("Terraform")
    INTEGRATION = "integration", _("integration")
    MANAGEMENT_COMMAND = "management command", _("management command")
    BACKGROUND_TASK = "background task", _("background task")
    SHELL = "shell", _("shell")


class WebhookType(TextChoices):
    HTTP = "http", _("HTTP Webhook")


class WebhookState(TextChoices):
    """What a person sees at a glance."""

    ACTIVE = "active", _("active")
    # It may not be called now, and goes on by itself or when it was mended.
    PAUSED = "paused", _("paused")
    OFF = "off", _("off")


class Method(TextChoices):
    POST = "POST", "POST"
    PUT = "PUT", "PUT"
    PATCH = "PATCH", "PATCH"
    DELETE = "DELETE", "DELETE"
    GET = "GET", "GET"


class Trigger(TextChoices):
    """Why an attempt is made."""

    EVENT = "event", _("event")
    RETRY = "retry", _("retry")
    MANUAL = "manual", _("manual")
    REPLAY = "replay", _("replay")
    TEST = "test", _("test")


class Status(TextChoices):
    """The life of one attempt."""

    # Waits for its due time.
    PENDING = "pending", _("pending")
    # Claimed by a worker until its lease ends.
    SENDING = "sending", _("sending")
    SUCCEEDED = "succeeded", _("succeeded")
    FAILED = "failed", _("failed")


class Outcome(TextChoices):
    """Why an attempt ended as it did."""

    SUCCESS = "success", _("success")
    HTTP_STATUS = "http_status", _("HTTP status")
    VALIDATION = "validation", _("response validation")
    TIMEOUT = "timeout", _("timeout")
    CONNECTION = "connection", _("connection")
    TLS = "tls", _("TLS")
    DNS = "dns", _("DNS")
    BLOCKED_ADDRESS = "blocked_address", _("blocked address")
    INVALID_URL = "invalid_url", _("invalid URL")
    TEMPLATE = "template", _("body template")
    # The stored secrets cannot be read, or belong to another host.
    CONFIG = "config", _("configuration")
    # The webhook was deleted, or a person discarded what waited.
    CANCELLED = "cancelled", _("cancelled")
    # A surprise of ours.
    ERROR = "error", _("error")


class ReplayStatus(TextChoices):
    # A worker still queues its events.
    RUNNING = "running", _("running")
    # All of them are queued.
    FINISHED = "finished", _("finished")
    # A person ended it, or the webhook was deleted.
    CANCELLED = "cancelled", _("cancelled")


class Phase(TextChoices):
    """What a call spends its time with, in this order; a kept connection begins with WAIT."""

    RESOLVE = "resolve", _("resolving the name")
    CONNECT = "connect", _("connecting")
    TLS = "tls", _("TLS handshake")
    # Sending the request, and waiting until the head of the response has come.
    WAIT = "wait", _("sending and waiting")
    READ = "read", _("reading the body")


class WakeState(TextChoices):
    IDLE = "idle", _("idle")
    # A worker was called and has not come yet.
    PENDING = "pending", _("pending")
    RUNNING = "running", _("running")


class PauseReason(TextChoices):
    # The receiver asked for time (Retry-After).
    RETRY_AFTER = "retry_after", _("the receiver asked to wait")
    # Nothing can be sent before a person changes the webhook.
    CONFIGURATION = "configuration", _("the configuration must be mended")
    # The receiver fails; one delivery at a time is tried (circuit breaker).
    BREAKER = "breaker", _("the receiver fails")

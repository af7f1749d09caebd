"""Signals a host may connect to. Receivers' failures are logged and never stop a delivery."""

from django.dispatch import Signal

# An event was written, in the transaction of its change. Arguments: event.
event_recorded = Signal()

# An attempt was judged and its result stored. Arguments: invocation.
invocation_finished = Signal()

# The system switched a webhook off. Arguments: webhook, reason (text).
webhook_disabled = Signal()

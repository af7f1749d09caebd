"""Send every audited change of a Django project to HTTPS webhooks, and prove that it arrived.

auditwebhooks.register    audit a model
auditwebhooks.context     say who makes a change and where from
auditwebhooks.paused      record nothing in a block
auditwebhooks.record      record an event of your own
"""

from typing import Any

from auditwebhooks.context import context, paused
from auditwebhooks.registry import register

__version__ = "0.1.0"

__all__ = ["__version__", "context", "paused", "record", "register"]


def __getattr__(name: str) -> Any:
    # It needs the models, which cannot be imported while apps load.
    if name == "record":
        from auditwebhooks.capture.record import record

        return record
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Every project that has templates imports this: it must not need the admin."""

from __future__ import annotations

from typing import Any

from django import template

from auditwebhooks.dashboard import Board, board

register = template.Library()


@register.simple_tag(takes_context=True)
def audit_dashboard(context: Any) -> Board | None:
    """None where there is nothing to show."""
    request = context.get("request")
    return None if request is None else board(request)

"""Every project that has templates imports this: it must not need the admin."""

from __future__ import annotations

from typing import Any

from django import template

from auditwebhooks.history import history_url

register = template.Library()


@register.simple_tag(takes_context=True)
def audit_history_url(context: Any) -> str:
    """Of the object of a change page; empty where there is none to show."""
    request = context.get("request")
    return "" if request is None else history_url(request, context.get("original"))

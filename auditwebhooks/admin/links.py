"""Links to other pages of the same admin, for those who may look at them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from auditwebhooks.capture.subject import type_of
from auditwebhooks.enums import Action
from auditwebhooks.event_types import SESSIONS
from auditwebhooks.models import Event
from auditwebhooks.registry import ModelClass, registry

# Children and proxies whose pages are tried.
_MOST_PAGES = 5


def may_view(
    site: admin.AdminSite, request: HttpRequest, model: ModelClass, obj: Model | None = None
) -> bool:
    if not site.is_registered(model):
        return False
    return site.get_model_admin(model).has_view_permission(request, obj)


def page_of(site: admin.AdminSite, request: HttpRequest, target: Model | None) -> str:
    """The URL of an object's page; empty where there is none for this user."""
    if target is None or not may_view(site, request, type(target), target):
        return ""
    return _change_url(site, type(target), target.pk)


def page_of_target(site: admin.AdminSite, request: HttpRequest, event: Event) -> str:
    """The URL of the page of the object that an event is about, if it exists still."""
    if event.target_id is None:
        return ""
    for model in _models_with_pages(site, model_of(event)):
        page = site.get_model_admin(model)
        if not page.has_view_permission(request):
            continue
        found = page.get_object(request, event.target_id)
        if found is not None:
            allowed = page.has_view_permission(request, found)
            return _change_url(site, model, found.pk) if allowed else ""
    return ""


def model_of(event: Event) -> ModelClass | None:
    """The model that an event is about, as far as its type tells it."""
    if event.event_type in SESSIONS:
        return get_user_model()
    label, _dot, word = event.event_type.rpartition(".")
    try:
        model = apps.get_model(label)
    except (LookupError, ValueError):
        return None
    # Types of the host's own may be called like anything.
    audited = registry.audited_as(model)
    told = {event.action, *(one.past for one in Action if one == event.action)}
    is_ours = word in told or (
        audited is not None and event.target_type == type_of(audited[0], audited[1])
    )
    return model if is_ours else None


def _models_with_pages(site: admin.AdminSite, model: ModelClass | None) -> Iterator[ModelClass]:
    """The model itself first, then the proxies and children that are recorded under its name."""
    if model is None:
        return
    if site.is_registered(model):
        yield model
    audited = registry.audited_as(model)
    if audited is None:
        return
    others = (one for one in site._registry if one is not model and _is_told_as(one, audited[0]))
    for _number, one in zip(range(_MOST_PAGES), others, strict=False):
        yield one


def _is_told_as(model: Any, name: ModelClass) -> bool:
    audited = registry.audited_as(model)
    return audited is not None and audited[0] is name


def _change_url(site: admin.AdminSite, model: ModelClass, pk: Any) -> str:
    """As the admin spells keys: a page of its own would take ``_40`` in one for a sign."""
    meta = model._meta
    return reverse(f"{site.name}:{meta.app_label}_{meta.model_name}_change", args=[quote(pk)])

"""Admins of a host's own, beside the usual one."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from auditwebhooks.admin import AuditHistoryMixin, EventAdmin
from auditwebhooks.models import Event
from tests.testapp.models import (
    Article,
    ArticleProxy,
    Building,
    Cafe,
    Draft,
    Restaurant,
    Section,
)
from tests.urls import urlpatterns as usual

# Has an audit log.
office = admin.AdminSite("office")
office.register(Event, EventAdmin)
office.register([Article, ArticleProxy, Building, Cafe, Draft, Restaurant, Section])

# Has none.
bare = admin.AdminSite("bare")
bare.register(Article)


class MixedAdmin(AuditHistoryMixin, admin.ModelAdmin):  # type: ignore[misc, type-arg]
    """With a template of its own, too."""

    change_form_template = "admin/host_change_form.html"


mixed = admin.AdminSite("mixed")
mixed.register(Event, EventAdmin)
mixed.register([Article, Section], AuditHistoryMixin)

own = admin.AdminSite("own")
own.register(Event, EventAdmin)
own.register(Article, MixedAdmin)

urlpatterns = [
    *usual,
    *(path(f"{site.name}/", site.urls) for site in (office, bare, mixed, own)),
]

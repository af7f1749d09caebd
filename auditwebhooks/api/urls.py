from django.urls import URLPattern, URLResolver, path
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from auditwebhooks.api.index import Index
from auditwebhooks.api.logs import EventViewSet, InvocationViewSet
from auditwebhooks.api.openapi import IS_INSTALLED
from auditwebhooks.api.vocabulary import EventTypes, PayloadSchema
from auditwebhooks.api.webhooks import WebhookViewSet

app_name = "auditwebhooks"

router = SimpleRouter()
router.register("webhooks", WebhookViewSet)
router.register("invocations", InvocationViewSet)
router.register("events", EventViewSet)

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("event-types/", EventTypes.as_view(), name="event-types"),
    path("payload-schema/", PayloadSchema.as_view(), name="payload-schema"),
]

linked: dict[str, tuple[str, type[APIView]]] = {
    "webhooks": ("webhook-list", WebhookViewSet),
    "invocations": ("invocation-list", InvocationViewSet),
    "events": ("event-list", EventViewSet),
    "event-types": ("event-types", EventTypes),
    "payload-schema": ("payload-schema", PayloadSchema),
}

if IS_INSTALLED:
    from auditwebhooks.api.schema import Schema

    described = tuple(urlpatterns)
    urlpatterns.append(path("schema/", Schema.as_view(patterns=described), name="schema"))
    linked["schema"] = ("schema", Schema)

urlpatterns.append(path("", Index.as_view(linked=linked), name="api-root"))

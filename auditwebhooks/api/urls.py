from django.urls import path
from rest_framework.routers import SimpleRouter

from auditwebhooks.api.views import EventViewSet, InvocationViewSet, WebhookViewSet
from auditwebhooks.api.vocabulary import EventTypes, PayloadSchema

app_name = "auditwebhooks"

router = SimpleRouter()
router.register("webhooks", WebhookViewSet)
router.register("invocations", InvocationViewSet)
router.register("events", EventViewSet)

urlpatterns = [
    *router.urls,
    path("event-types/", EventTypes.as_view(), name="event-types"),
    path("payload-schema/", PayloadSchema.as_view(), name="payload-schema"),
]

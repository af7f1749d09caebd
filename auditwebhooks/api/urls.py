from rest_framework.routers import SimpleRouter

from auditwebhooks.api.views import EventViewSet, InvocationViewSet, WebhookViewSet

app_name = "auditwebhooks"

router = SimpleRouter()
router.register("webhooks", WebhookViewSet)
router.register("invocations", InvocationViewSet)
router.register("events", EventViewSet)

urlpatterns = router.urls

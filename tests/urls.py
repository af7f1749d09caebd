from django.contrib import admin
from django.urls import include, path

from tests.testapp import views

urlpatterns = [
    path("admin/", admin.site.urls),
    path("api/audit/", include("auditwebhooks.api.urls")),
    path("change/", views.change),
    path("change/async/", views.change_async),
    path("change/another/", views.change_for_another),
    path("change/api/", views.change_by_api),
    path("change/bearer/", views.change_by_bearer),
    path("reset/<slug:uid>/<slug:token>/", views.change),
]

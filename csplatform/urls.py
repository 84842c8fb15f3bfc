"""The whole site on one screen."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("auth/", include("allauth.urls")),
    path("", include("team.urls")),
    path("", include("playbooks.urls")),
    path("", include("intake.urls")),
    path("", include("workspace.urls")),
    path("api/v1/", include("workspace.api.urls")),
]

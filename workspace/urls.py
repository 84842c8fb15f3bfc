from django.urls import URLPattern, path

from workspace import design

app_name = "workspace"

urlpatterns: list[URLPattern] = [
    path("design/", design.design, name="design"),
]

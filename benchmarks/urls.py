"""The site's addresses and one more: a view that does nothing, behind the same middleware."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse("")


urlpatterns = [
    path("benchmarks/empty/", empty, name="empty"),
    path("", include("csplatform.urls")),
]

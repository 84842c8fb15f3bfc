"""The addresses of the API, version 1."""

from django.urls import path
from drf_spectacular.views import SpectacularAPIView
from rest_framework.routers import SimpleRouter

from workspace.api.problems import not_found
from workspace.api.views import customers

app_name = "api"

router = SimpleRouter()
router.register("accounts", customers.AccountViewSet, basename="account")
router.register("contacts", customers.ContactViewSet, basename="contact")
router.register("subscriptions", customers.SubscriptionViewSet, basename="subscription")

urlpatterns = [
    *router.urls,
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("<path:rest>", not_found),
]

"""The addresses of the API, version 1."""

from csp.decorators import csp_update
from django.contrib.auth.decorators import login_required
from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.routers import SimpleRouter

from workspace.api.problems import not_found
from workspace.api.views import cohorts, custom_kpis, customers, imports, kpis

app_name = "api"

# Swagger's own page writes styles into elements; only there are they allowed.
docs = login_required(
    csp_update({"style-src": ["'unsafe-inline'"]})(
        SpectacularSwaggerSplitView.as_view(
            url_name="api:schema", authentication_classes=[SessionAuthentication]
        )
    )
)

router = SimpleRouter()
router.register("accounts", customers.AccountViewSet, basename="account")
router.register("contacts", customers.ContactViewSet, basename="contact")
router.register("subscriptions", customers.SubscriptionViewSet, basename="subscription")

urlpatterns = [
    *router.urls,
    path("kpis/", kpis.KpiCatalogueView.as_view(), name="kpi-list"),
    path("kpis/custom/", custom_kpis.CustomKpiListView.as_view(), name="custom-kpi-list"),
    path("kpis/custom/preview/", custom_kpis.CustomKpiPreviewView.as_view(), name="custom-kpi-preview"),
    path("kpis/custom/<slug:slug>/", custom_kpis.CustomKpiView.as_view(), name="custom-kpi-detail"),
    path("kpis/cohort_retention/matrix/", cohorts.CohortMatrixView.as_view(), name="kpi-matrix"),
    path("kpis/<slug:slug>/", kpis.KpiView.as_view(), name="kpi-detail"),
    path("kpis/<slug:slug>/series/", kpis.KpiSeriesView.as_view(), name="kpi-series"),
    path("kpis/<slug:slug>/rows/", kpis.KpiRowsView.as_view(), name="kpi-rows"),
    path("imports/", imports.ImportListView.as_view(), name="import-list"),
    path("imports/<int:pk>/", imports.ImportView.as_view(), name="import-detail"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path("docs/", docs, name="docs"),
    path("<path:rest>", not_found),
]

from django.urls import URLPattern, path

from workspace import account, annotations, design, home, numbers, portfolio, rates, search, targets, undo
from workspace.dashboards import views as dashboards

app_name = "workspace"

urlpatterns: list[URLPattern] = [
    path("", home.home, name="home"),
    path("queue/", home.queue, name="queue"),
    path("figures/", home.figures, name="figures"),
    path("portfolio/", portfolio.portfolio, name="portfolio"),
    path("portfolio/export/", portfolio.export, name="portfolio-export"),
    path("portfolio/bulk/", portfolio.bulk, name="portfolio-bulk"),
    path("portfolio/views/", portfolio.save_view, name="view-save"),
    path("portfolio/views/<int:pk>/rename/", portfolio.rename_view, name="view-rename"),
    path("portfolio/views/<int:pk>/delete/", portfolio.delete_view, name="view-delete"),
    path("accounts/<int:pk>/", account.account, name="account"),
    path("accounts/<int:pk>/timeline/", account.timeline, name="timeline"),
    path("accounts/<int:pk>/touches/new/", account.touch_new, name="touch-new"),
    path("kpis/", numbers.catalogue, name="kpis"),
    path("kpis/<slug:slug>/", numbers.number, name="kpi"),
    path("kpis/<slug:slug>/export/", numbers.export, name="kpi-export"),
    path("annotations/", annotations.annotation_list, name="annotations"),
    path("annotations/new/", annotations.annotation_new, name="annotation-new"),
    path("annotations/<int:pk>/edit/", annotations.annotation_edit, name="annotation-edit"),
    path("annotations/<int:pk>/delete/", annotations.annotation_delete, name="annotation-delete"),
    path("targets/", targets.target_list, name="targets"),
    path("targets/new/", targets.target_new, name="target-new"),
    path("targets/<int:pk>/edit/", targets.target_edit, name="target-edit"),
    path("targets/<int:pk>/delete/", targets.target_delete, name="target-delete"),
    path("dashboards/", dashboards.overview, name="dashboards"),
    path("dashboards/<slug:slug>/", dashboards.dashboard, name="dashboard"),
    path("dashboards/<slug:slug>/print/", dashboards.printout, name="dashboard-print"),
    path("dashboards/<slug:slug>/export/", dashboards.export, name="dashboard-export"),
    path("dashboards/<slug:slug>/sections/<slug:key>/", dashboards.section, name="dashboard-section"),
    path("settings/rates/", rates.rate_list, name="rates"),
    path("search/", search.search, name="search"),
    path("search/names/", search.account_names, name="account-names"),
    path("undo/<str:key>/", undo.undo, name="undo"),
    path("design/", design.design, name="design"),
]

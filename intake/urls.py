from django.urls import URLPattern, path

from intake import views
from intake.models import RowNote

app_name = "intake"

urlpatterns: list[URLPattern] = [
    path("imports/", views.import_list, name="list"),
    path("imports/new/", views.upload, name="upload"),
    path("imports/<int:pk>/", views.detail, name="detail"),
    path("imports/<int:pk>/mapping/", views.mapping, name="mapping"),
    path("imports/<int:pk>/mapping.json", views.mapping_download, name="mapping-download"),
    path("imports/<int:pk>/start/", views.start, name="start"),
    path("imports/<int:pk>/cancel/", views.cancel, name="cancel"),
    path(
        "imports/<int:pk>/rejected.csv",
        views.notes_download,
        {"kind": RowNote.Kind.REJECTED},
        name="rejected",
    ),
    path(
        "imports/<int:pk>/repaired.csv",
        views.notes_download,
        {"kind": RowNote.Kind.REPAIRED},
        name="repaired",
    ),
]

from django.urls import URLPattern, path, re_path

from playbooks import alerts, views

app_name = "playbooks"

urlpatterns: list[URLPattern] = [
    re_path(
        r"^queue/(?P<account_id>\d{1,18})/(?P<kind>done|snooze|not-useful)/$",
        views.set_aside,
        name="set-aside",
    ),
    path("queue/bring-back/<int:pk>/", views.bring_back, name="bring-back"),
    path("tasks/", views.task_list, name="task-list"),
    path("tasks/new/", views.task_new, name="task-new"),
    path("accounts/<int:account_id>/tasks/new/", views.task_new, name="task-new-for"),
    path("tasks/<int:pk>/done/", views.task_done, name="task-done"),
    path("tasks/<int:pk>/reopen/", views.task_reopen, name="task-reopen"),
    path("renewals/", views.renewal_list, name="renewal-list"),
    path("alerts/", alerts.alert_list, name="alert-list"),
    path("alerts/unread/", alerts.unread, name="alerts-unread"),
    path("alerts/acknowledge/", alerts.acknowledge_all, name="alerts-acknowledge"),
    path("alerts/<int:pk>/acknowledge/", alerts.acknowledge, name="alert-acknowledge"),
    path("alerts/<int:pk>/forget/", alerts.forget, name="alert-forget"),
]

"""Has the days of each feature made from the events that are kept, by a worker."""

from django.db import migrations


def ask(apps, schema_editor):
    if apps.get_model("usage", "Event").objects.exists():
        work = apps.get_model("team", "Work")
        waiting = {"kind": "usage.fill_features", "key": "all", "state": "queued"}
        if not work.objects.filter(**waiting).exists():
            work.objects.create(lane="slow", **waiting)


class Migration(migrations.Migration):
    dependencies = [
        ("team", "0002_work_queue"),
        ("usage", "0002_days_of_each_feature"),
    ]

    operations = [migrations.RunPython(ask, migrations.RunPython.noop)]

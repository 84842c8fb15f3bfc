"""Has the tickets that are there already measured, by a worker, once the new columns exist."""

from django.db import migrations


def ask(apps, schema_editor):
    if apps.get_model("tickets", "Ticket").objects.exists():
        work = apps.get_model("team", "Work")
        waiting = {"kind": "tickets.measure", "key": "all", "state": "queued"}
        if not work.objects.filter(**waiting).exists():
            work.objects.create(lane="slow", **waiting)


class Migration(migrations.Migration):
    dependencies = [
        ("team", "0002_work_queue"),
        ("tickets", "0003_business_hours_and_durations"),
    ]

    operations = [migrations.RunPython(ask, migrations.RunPython.noop)]

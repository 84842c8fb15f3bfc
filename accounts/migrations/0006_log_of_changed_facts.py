"""A log of the facts that changed; triggers that write it are made after each migration (accounts.changes)."""

from django.db import migrations, models


def drop_triggers(apps, schema_editor):
    """Without the log there is nothing to write to."""
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "postgresql":
            cursor.execute(
                "SELECT format('DROP FUNCTION %I() CASCADE', proname) FROM pg_proc"
                " WHERE proname LIKE '%\\_facts\\_log\\_row%' AND pg_function_is_visible(oid)"
            )
        else:
            cursor.execute(
                "SELECT 'DROP TRIGGER \"' || name || '\"' FROM sqlite_master"
                " WHERE type = 'trigger' AND substr(name, 1, 9) = 'facts_log'"
            )
        statements = [row[0] for row in cursor.fetchall()]
    for statement in statements:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_exchange_rates_keep_their_history")]

    operations = [
        migrations.CreateModel(
            name="FactChange",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("source", models.CharField(help_text="The table.", max_length=63)),
                (
                    "first_on",
                    models.DateField(help_text="First day of the first month that the facts speak about."),
                ),
                ("last_on", models.DateField(help_text="Last day of the last month.")),
                (
                    "logged_at",
                    models.DateTimeField(help_text="When the transaction began that changed them."),
                ),
                ("written_in", models.BigIntegerField(help_text="That transaction; always 0 on SQLite.")),
            ],
            options={
                "ordering": ["pk"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("written_in", "source", "first_on", "last_on"),
                        name="accounts_factchange_once",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("last_on__gte", models.F("first_on"))),
                        name="accounts_factchange_days_in_order",
                    ),
                ],
            },
        ),
        migrations.RunPython(migrations.RunPython.noop, drop_triggers),
    ]

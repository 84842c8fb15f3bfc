"""Hold in the database that a version of a custom KPI is never edited: stored values point to it for good."""

from django.db import migrations

POSTGRESQL = """
CREATE FUNCTION metrics_custom_version_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'metrics_custom_version_never_changes' USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER metrics_custom_version_never_changes BEFORE UPDATE ON metrics_customkpiversion
FOR EACH ROW EXECUTE FUNCTION metrics_custom_version_refuse_change();
"""

SQLITE = """
CREATE TRIGGER metrics_custom_version_never_changes BEFORE UPDATE ON metrics_customkpiversion
BEGIN SELECT RAISE(ABORT, 'metrics_custom_version_never_changes'); END
"""


def add_rule(apps, schema_editor):
    schema_editor.execute(POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE)


def drop_rule(apps, schema_editor):
    table = "metrics_customkpiversion"
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP TRIGGER metrics_custom_version_never_changes ON {table}")
        schema_editor.execute("DROP FUNCTION metrics_custom_version_refuse_change()")
    else:
        schema_editor.execute("DROP TRIGGER metrics_custom_version_never_changes")


class Migration(migrations.Migration):
    dependencies = [("metrics", "0007_custom_kpis")]

    operations = [migrations.RunPython(add_rule, drop_rule)]

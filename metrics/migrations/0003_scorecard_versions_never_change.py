"""Hold in the database that a version of a scorecard is never edited: a score points to it for good."""

from django.db import migrations

POSTGRESQL = """
CREATE FUNCTION metrics_version_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'metrics_version_never_changes' USING ERRCODE = 'check_violation';
END
$$;
CREATE TRIGGER metrics_version_never_changes BEFORE UPDATE ON metrics_scorecardversion
FOR EACH ROW EXECUTE FUNCTION metrics_version_refuse_change();
"""

SQLITE = """
CREATE TRIGGER metrics_version_never_changes BEFORE UPDATE ON metrics_scorecardversion
BEGIN SELECT RAISE(ABORT, 'metrics_version_never_changes'); END
"""


def add_rule(apps, schema_editor):
    schema_editor.execute(POSTGRESQL if schema_editor.connection.vendor == "postgresql" else SQLITE)


def drop_rule(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP TRIGGER metrics_version_never_changes ON metrics_scorecardversion")
        schema_editor.execute("DROP FUNCTION metrics_version_refuse_change()")
    else:
        schema_editor.execute("DROP TRIGGER metrics_version_never_changes")


class Migration(migrations.Migration):
    dependencies = [("metrics", "0002_health")]

    operations = [migrations.RunPython(add_rule, drop_rule)]

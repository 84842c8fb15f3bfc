"""Hold in the database that an account has one CSM, and one backup, at a time.

PostgreSQL has exclusion constraints. Ranges of a single value stand for equality, which spares
the btree_gist extension. SQLite gets triggers that do the same.
"""

from django.db import migrations

POSTGRESQL = """
ALTER TABLE accounts_assignment ADD CONSTRAINT accounts_assignment_no_overlap EXCLUDE USING gist (
    int8range(account_id, account_id, '[]') WITH &&,
    (CASE kind WHEN 'csm' THEN int4range(0, 0, '[]') ELSE int4range(1, 1, '[]') END) WITH &&,
    daterange(starts_on, ends_on, '[]') WITH &&
)
"""

SQLITE = """
CREATE TRIGGER accounts_assignment_no_overlap_{event} BEFORE {event} ON accounts_assignment
WHEN EXISTS (
    SELECT 1 FROM accounts_assignment AS other
    WHERE other.account_id = NEW.account_id AND other.kind = NEW.kind AND other.id IS NOT NEW.id
      AND other.starts_on <= COALESCE(NEW.ends_on, '9999-12-31')
      AND COALESCE(other.ends_on, '9999-12-31') >= NEW.starts_on
)
BEGIN SELECT RAISE(ABORT, 'accounts_assignment_no_overlap'); END
"""


def add_rule(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)
    else:
        for event in ("INSERT", "UPDATE"):
            schema_editor.execute(SQLITE.format(event=event))


def drop_rule(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "ALTER TABLE accounts_assignment DROP CONSTRAINT accounts_assignment_no_overlap"
        )
    else:
        for event in ("INSERT", "UPDATE"):
            schema_editor.execute(f"DROP TRIGGER accounts_assignment_no_overlap_{event}")


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_facts")]

    operations = [migrations.RunPython(add_rule, drop_rule)]

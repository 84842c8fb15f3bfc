"""Which days of tasks figures may speak of; see accounts.changes."""

from accounts.changes import track

track(
    "playbooks.Task",
    days=("created_at", "due_on", "done_at"),
    ignores=("title", "rule", "fired_by", "created_by"),
)

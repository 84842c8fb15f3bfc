"""Which days of health figures may speak of; see accounts.changes."""

from accounts.changes import track

# A score holds until there is another one.
track(
    "metrics.HealthScore",
    days=("day",),
    is_open_ended=True,
    ignores=("computed_at", "oldest_signal_at", "points", "raws"),
)
# The moment decides which row of a term holds, and is no day that a figure is about.
track("metrics.RenewalForecast", days=("due_on",))

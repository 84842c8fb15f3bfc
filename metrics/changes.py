"""Which days of health figures may speak of; see accounts.changes."""

from accounts.changes import track

# A score holds until there is another one.
track(
    "metrics.HealthScore",
    days=("day",),
    is_open_ended=True,
    ignores=("computed_at", "oldest_signal_at", "points", "raws"),
)
# What is said anew of a term takes the place of what was said before, which may have been about another day.
track("metrics.RenewalForecast")

"""Which days of usage figures may speak of; see accounts.changes.

Raw events are not watched: they are kept for a while only, so no lasting figure may read them.
"""

from accounts.changes import track

track(
    "usage.EndUser",
    days=("first_seen_on", "removed_on"),
    ignores=("name", "email", "activity", "activity_until", "last_seen_at"),
)
track("usage.ActivityMonth", days=("month",))
track("usage.FeatureMonth", days=("month",))
track("usage.UsageDay", days=("day",))

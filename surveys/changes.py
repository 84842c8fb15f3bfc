"""Which days of answers figures may speak of; see accounts.changes."""

from accounts.changes import track

track("surveys.Survey")
track("surveys.Response", days=("given_at",))
track("surveys.Invitation", days=("sent_at", "bounced_at", "answered_at"))
track("surveys.Answer", days=("response__given_at",))
track("surveys.Feedback", days=("given_at",))

"""Which of a ticket's days figures may speak of; see accounts.changes."""

from accounts.changes import track

track(
    "tickets.Ticket",
    days=(
        *("opened_at", "first_response_at", "first_resolved_at", "resolved_at", "closed_at", "merged_at"),
        *("response_due_at", "resolution_due_at", "settles_at"),
    ),
    ignores=("subject", "source_status"),
)
# A figure about the day a ticket was opened may look for what happened to it later.
track("tickets.TicketEvent", days=("happened_at", "ticket__opened_at"))
track("tickets.Message", days=("sent_at", "ticket__opened_at"), ignores=("body",))
track("tickets.TicketSource")

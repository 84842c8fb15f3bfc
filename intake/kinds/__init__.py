"""The kinds of file that can be imported, by the word used for them everywhere."""

from intake.kinds.base import Kind
from intake.kinds.customers import Accounts, Assignments, Contacts
from intake.kinds.dealings import Costs, Feedback, Milestones, Outcomes, Referrals, Touches
from intake.kinds.money import Charges, Movements, Products, Rates, Subscriptions
from intake.kinds.surveys import Invitations, Responses
from intake.kinds.tickets import Messages, TicketEvents, Tickets
from intake.kinds.usage import UsageDays, UsageEvents

KINDS: dict[str, Kind] = {
    kind.slug: kind
    for kind in (
        Accounts(),
        Contacts(),
        Assignments(),
        Products(),
        Subscriptions(),
        Movements(),
        Charges(),
        Rates(),
        UsageEvents(),
        UsageDays(),
        Tickets(),
        TicketEvents(),
        Messages(),
        Responses(),
        Invitations(),
        Feedback(),
        Touches(),
        Referrals(),
        Costs(),
        Outcomes(),
        Milestones(),
    )
}

__all__ = ["KINDS", "Kind"]

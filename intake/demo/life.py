"""What the modules of the demo hand each other: one account's life, and the sheets it is written on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from accounts.models import (
    Account,
    AccountExternalId,
    AccountTrait,
    Assignment,
    Charge,
    Contact,
    Cost,
    Milestone,
    Movement,
    OutcomeMetric,
    OutcomeValue,
    Referral,
    Renewal,
    Subscription,
    SubscriptionTerms,
    Touch,
)
from intake.demo.calendar import Calendar
from intake.demo.contracts import Contract
from intake.demo.people import Company, Person
from intake.demo.stories import Story
from intake.demo.writing import Writer
from surveys.models import Answer, Feedback, Invitation, Response
from tickets.models import Message, Ticket, TicketEvent
from usage.models import ActivityMonth, EndUser, FeatureMonth, UsageDay

SOURCE = "crm"


class Size(NamedTuple):
    """How much is told of each account."""

    seats: float  # times the seats of the full record
    events: float  # times its tickets, answers and touches
    months: int  # of who was active when
    days: int  # of which feature was used how often


FULL = Size(seats=1.0, events=1.0, months=30, days=800)
LIGHT = Size(seats=0.26, events=0.55, months=7, days=60)


@dataclass
class Holding:
    """A CSM holds the account from `start` to the day before `end`."""

    user: int
    start: int
    end: int | None


@dataclass
class Life:
    """Everything about one account that the facts follow from."""

    pk: int
    story: Story
    company: Company
    people: list[Person]
    contract: Contract
    holdings: list[Holding]
    liveliness: Sequence[float]
    calendar: Calendar
    rng: Random
    size: Size

    def days_as_customer(self) -> list[tuple[int, int]]:
        """Return the spells within the demo's days, each with its first day and the day after its last."""
        story, end = self.story, self.calendar.end
        spells = [(story.joined, end if story.left is None else min(story.left, end))]
        if story.back is not None:
            spells.append((story.back, end))
        return [(max(start, 0), stop) for start, stop in spells if stop > max(start, 0)]

    def csm_on(self, day: int) -> int | None:
        for holding in self.holdings:
            if holding.start <= day and (holding.end is None or day < holding.end):
                return holding.user
        return None


class Book:
    """The tables that the demo fills."""

    def __init__(self) -> None:
        writer = self.writer = Writer()
        sheet = writer.sheet
        self.accounts = sheet(
            Account,
            "name segment industry region country lifecycle_stage website time_zone currency created_at"
            " plan mrr is_customer joined_on left_on renews_on",
        )
        self.external_ids = sheet(AccountExternalId, "account source external_id")
        self.traits = sheet(AccountTrait, "account kind value starts_on ends_on recorded_at")
        self.assignments = sheet(Assignment, "account user kind starts_on ends_on recorded_at")
        self.contacts = sheet(
            Contact, "account source external_id name email title role language time_zone left_on created_at"
        )
        self.subscriptions = sheet(
            Subscription,
            "account source external_id kind starts_on term_ends_on ends_on payment_due_on recorded_at"
            " plan quantity unit_price currency status mrr",
        )
        self.terms = sheet(
            SubscriptionTerms,
            "subscription effective_on recorded_at plan quantity unit_price currency interval"
            " discount_percent discount_ends_on is_paused",
        )
        self.movements = sheet(
            Movement,
            "account subscription effective_on recorded_at kind sub_kind currency delta customers",
        )
        self.renewals = sheet(
            Renewal,
            "account subscription due_on due_value renewed_value currency outcome decided_at recorded_at",
        )
        self.charges = sheet(Charge, "account source external_id day amount currency description recorded_at")
        self.end_users = sheet(
            EndUser,
            "account source external_id name email first_seen_on last_seen_at removed_on activity"
            " activity_until",
        )
        self.activity_months = sheet(ActivityMonth, "end_user account month days")
        self.feature_months = sheet(FeatureMonth, "end_user account feature month days")
        self.usage_days = sheet(UsageDay, "account feature day events users")
        self.tickets = sheet(
            Ticket,
            "account contact source external_id subject category channel priority source_status status agent"
            " opened_at first_response_at first_resolved_at resolved_at closed_at reopen_count"
            " reassignment_count agent_replies customer_replies is_repeated is_first_contact settles_at"
            " recorded_at response_recorded_at resolution_recorded_at"
            " response_seconds response_business_seconds resolution_seconds resolution_business_seconds"
            " response_due_at resolution_due_at",
        )
        self.ticket_events = sheet(TicketEvent, "ticket kind happened_at recorded_at status agent")
        self.messages = sheet(
            Message, "ticket external_id author is_public is_thanks body sent_at recorded_at"
        )
        self.responses = sheet(
            Response, "survey account contact source external_id state language given_at recorded_at"
        )
        self.answers = sheet(Answer, "response kind score scale_low scale_high positive_from text")
        self.invitations = sheet(
            Invitation,
            "survey account contact source external_id sent_at state bounced_at answered_at response"
            " recorded_at",
        )
        self.feedback = sheet(
            Feedback, "account contact source channel area sentiment quote given_at recorded_at"
        )
        self.touches = sheet(Touch, "account contact user kind happened_at recorded_at notes")
        self.referrals = sheet(
            Referral,
            "account contact referred_name referred_account referred_on converted_on recorded_at"
            " conversion_recorded_at",
        )
        self.costs = sheet(Cost, "category day amount currency account note recorded_at")
        self.outcomes = sheet(OutcomeMetric, "account name unit baseline baseline_on target higher_is_better")
        self.outcome_values = sheet(OutcomeValue, "metric day value recorded_at")
        self.milestones = sheet(
            Milestone, "account name started_on due_on reached_on recorded_at reach_recorded_at"
        )

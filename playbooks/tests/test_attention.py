"""The queue: who is in it, in which order, why, and how a line leaves and comes back."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from accounts.models import Account, Contact, Renewal, Subscription, Touch
from metrics.models import AccountHealth
from metrics.tests.health_cast import NOON, TODAY, on
from playbooks import attention, calculations
from playbooks.models import Dismissal
from playbooks.tests.cast import World, hold


def names(queue: attention.Queue) -> list[str]:
    return [line.account.name for line in queue.lines]


def line_of(world: World, account: Account) -> attention.Line:
    queue = attention.queue(world.ada, TODAY, limit=50)
    return next(line for line in queue.lines if line.account == account)


def set_aside(world: World, line: attention.Line, *, days: int = 1) -> Dismissal:
    return Dismissal.objects.create(
        account=line.account,
        user=world.ada,
        kind=Dismissal.Kind.SNOOZED,
        until=TODAY + timedelta(days=days),
        reason_key=line.reason_key,
    )


# --- Arithmetic -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "likelihood"),
    [("0", "0.95"), ("40", "0.60"), ("75", "0.25"), ("98", "0.05"), ("100", "0.05")],
)
def test_likelihood_is_the_points_missing_within_bounds(score, likelihood):
    assert calculations.likelihood(Decimal(score)) == Decimal(likelihood)


@pytest.mark.parametrize(
    ("days", "change", "urgency"),
    [
        (30, None, "1.0"), (31, None, "0.8"), (60, None, "0.8"), (90, None, "0.6"), (180, None, "0.4"),
        (181, None, "0.2"), (None, None, "0.5"), (30, "-10", "1.5"), (30, "-40", "2"), (30, "12", "1.0"),
    ],
)  # fmt: skip
def test_urgency_follows_the_renewal_and_grows_with_a_fresh_drop(days, change, urgency):
    assert calculations.urgency(days, Decimal(change) if change else None) == Decimal(urgency)


def test_the_database_ranks_by_the_same_figures_as_the_arithmetic(world):
    scores = [None, "0", "12.34", "49.99", "98", "100"]
    terms = [None, 0, 30, 31, 90, 200]
    changes = [None, "-30", "-7.5", "0", "9"]
    for score, days, change in itertools.product(scores, terms, changes):
        AccountHealth.objects.filter(account=world.globex).update(score=score, change_7d=change, band="red")
        Account.objects.filter(pk=world.globex.pk).update(
            renews_on=None if days is None else TODAY + timedelta(days=days)
        )
        row = attention.in_need(world.ada, TODAY).get(pk=world.globex.pk)
        expected = calculations.priority(
            row.mrr,
            None if score is None else Decimal(score),
            days,
            None if change is None else Decimal(change),
        )
        assert row.attention == pytest.approx(float(expected)), (score, days, change)


# --- Who is in it ---------------------------------------------------------------------


def test_only_the_slipping_customer_needs_somebody(world):
    assert names(attention.queue(world.ada, TODAY, limit=10)) == ["Globex"]


def test_a_line_says_why_with_evidence_and_what_to_do_next(world):
    line = line_of(world, world.globex)
    assert [reason.key for reason in line.reasons][:2] == ["detractor", f"red:{line.health.reason}"]
    assert line.reasons[0].words == "NPS answer 3 of 10, no contact since"
    assert line.next_step is not None
    assert line.next_step.words == "Call Maria Lopez, champion: ask what is behind the answer"


def test_every_account_that_is_ranked_has_a_reason(world):
    account = world.acme
    Account.objects.filter(pk=account.pk).update(renews_on=TODAY + timedelta(days=45))
    for line in attention.queue(world.admin, TODAY, limit=50).lines:
        assert line.reasons, line.account


def test_a_champion_who_left_brings_the_account_up_until_there_is_a_successor(world):
    Contact.objects.create(account=world.acme, name="Jo", role="champion", left_on=TODAY - timedelta(days=3))
    line = line_of(world, world.acme)
    assert (line.reasons[0].key, line.reasons[0].evidence) == (
        "left:champion",
        "Jo, 3 days ago; nobody has the role now",
    )
    Contact.objects.create(account=world.acme, name="Sam", role="champion")
    assert names(attention.queue(world.ada, TODAY, limit=10)) == ["Globex"]


def test_a_call_after_the_low_answer_closes_the_loop(world):
    assert line_of(world, world.globex).reasons[0].key == "detractor"
    Touch.objects.create(account=world.globex, kind="call", happened_at=on(1))
    assert line_of(world, world.globex).reasons[0].key.startswith("red:")


def test_a_note_is_no_call(world):
    Touch.objects.create(account=world.globex, kind="note", happened_at=on(1))
    assert line_of(world, world.globex).reasons[0].key == "detractor"


def test_a_contract_known_to_end_says_so_instead_of_a_renewal(world):
    subscription = Subscription.objects.get(account=world.acme)
    due = TODAY + timedelta(days=30)
    Account.objects.filter(pk=world.acme.pk).update(renews_on=due)
    assert line_of(world, world.acme).reasons[-1].words == "Renewal in 30 days"
    Renewal.objects.create(
        account=world.acme,
        subscription=subscription,
        due_on=due,
        due_value=1000,
        currency="EUR",
        outcome="lost",
    )
    assert [reason.words for reason in line_of(world, world.acme).reasons] == ["Leaving"]


def test_somebody_elses_accounts_are_never_in_the_queue(world):
    assert attention.queue(world.grace, TODAY, limit=10).count == 0
    assert world.umbrella.name not in names(attention.queue(world.ada, TODAY, limit=10))
    assert world.umbrella.name not in names(attention.queue(world.manager, TODAY, limit=10))


def test_a_former_customer_is_not_in_the_queue(world):
    Contact.objects.create(account=world.initech, name="Bill", role="champion", left_on=TODAY)
    assert world.initech.name not in names(attention.queue(world.ada, TODAY, limit=10))


# --- Setting aside --------------------------------------------------------------------


def test_a_line_set_aside_is_gone_until_its_day(world):
    dismissal = set_aside(world, line_of(world, world.globex), days=3)
    queue = attention.queue(world.ada, TODAY, limit=10)
    assert (queue.lines, queue.count, queue.set_aside) == ([], 0, [dismissal])
    later = attention.queue(world.ada, TODAY + timedelta(days=3), limit=10)
    assert names(later) == ["Globex"]


def test_a_new_reason_brings_a_line_back_at_once(world):
    set_aside(world, line_of(world, world.globex), days=30)
    Contact.objects.create(account=world.globex, name="Jo", role="sponsor", left_on=TODAY)
    assert names(attention.queue(world.ada, TODAY, limit=10)) == ["Globex"]


def test_a_reason_that_went_away_does_not_bring_a_line_back(world):
    set_aside(world, line_of(world, world.globex), days=30)
    Touch.objects.create(account=world.globex, kind="call", happened_at=on(1))
    assert names(attention.queue(world.ada, TODAY, limit=10)) == []


def test_what_one_sets_aside_others_still_see(world):
    set_aside(world, line_of(world, world.globex))
    assert names(attention.queue(world.manager, TODAY, limit=10)) == ["Globex"]


def test_the_count_leaves_out_what_is_set_aside_beyond_the_lines_shown(world):
    for number in range(6):
        account = Account.objects.create(name=f"Small {number}", mrr=1, is_customer=True)
        hold(account, world.ada)
        AccountHealth.objects.create(
            account=account, band="red", score=20, coverage=100, computed_at=NOON, checked_at=NOON
        )
    everyone = attention.queue(world.ada, TODAY, limit=50)
    assert everyone.count == 7
    set_aside(world, everyone.lines[-1])
    queue = attention.queue(world.ada, TODAY, limit=2)
    assert (len(queue.lines), queue.count) == (2, 6)


def test_the_queue_takes_as_many_queries_for_thirty_lines_as_for_one(world, django_assert_max_num_queries):
    for number in range(30):
        account = Account.objects.create(name=f"Red {number}", mrr=1, is_customer=True)
        hold(account, world.ada)
        AccountHealth.objects.create(
            account=account, band="red", score=20, coverage=100, computed_at=timezone.now(), checked_at=NOON
        )
    with django_assert_max_num_queries(12):
        queue = attention.queue(world.ada, TODAY, limit=50)
    assert queue.count == 31

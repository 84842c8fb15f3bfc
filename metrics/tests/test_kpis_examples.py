"""The worked examples of the definitions, from subscriptions and facts to the answer."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from accounts import ledger
from accounts.models import Charge, Contact, ExchangeRate, Subscription
from accounts.tests.factories import change_terms, make_account, make_plan, make_user, subscribe
from csplatform.periods import Period
from metrics.kpis import Answer, Filters, KpiError, Question, ask, compare, late_facts, rows
from metrics.kpis.reading import read_question
from metrics.tests.cast import FEBRUARY, active, answer, february, hold, invite, renewal, ticket
from usage.models import EndUser

pytestmark = pytest.mark.django_db

JANUARY = Period(date(2026, 1, 1), date(2026, 2, 1))
APRIL = Period(date(2026, 4, 1), date(2026, 5, 1))


def at(month: int, day: int, year: int = 2026) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


def shown(found: Answer, places: int = 2) -> str:
    assert found.value is not None, found.figure.reason
    return str(round(found.value, places))


def asked(slug: str, period: Period = FEBRUARY, **more: object) -> Answer:
    return ask(Question(slug, period, now=at(12, 1), **more))  # type: ignore[arg-type]


def test_d1_churn_counts_all_cohort_or_widened() -> None:
    for number in range(100):
        # 9 of the 100 at the start leave.
        subscribe(make_account(f"Old {number}"), 10, date(2025, 5, 1), february(10) if number < 9 else None)
    for number in range(50):
        # 3 of the 50 who join leave again.
        subscribe(make_account(f"New {number}"), 10, february(3), february(20) if number < 3 else None)
    found = {
        variant: asked("customer_churn_rate", variant=variant) for variant in ("all", "cohort", "widened")
    }
    assert {variant: shown(each) for variant, each in found.items()} == {
        "all": "12.00",
        "cohort": "9.00",
        "widened": "8.00",
    }
    assert {each.figure.counts["month_0_churned"] for each in found.values()} == {3}
    assert found["all"].figure.interval is None, "churn of those who joined is no share of the start"
    assert found["cohort"].figure.interval is not None


def test_d2_an_account_that_grew_and_shrank() -> None:
    line = subscribe(make_account(), 100, date(2025, 1, 1))
    change_terms(line, february(5), unit_price=Decimal(150))
    change_terms(line, february(15), unit_price=Decimal(120))
    assert [shown(asked(slug)) for slug in ("nrr", "grr", "revenue_churn_rate")] == [
        "120.00",
        "100.00",
        "30.00",
    ]


def test_d3_who_left_last_year_is_out_of_net_retention() -> None:
    amounts = {"grows": (300, 400), "shrinks": (250, 200), "leaves": (150, None), "stays": (300, 300)}
    for name, (before, after) in amounts.items():
        account = make_account(name)
        line = subscribe(account, before, date(2025, 1, 1), None if after else february(9))
        if after:
            change_terms(line, february(9), unit_price=Decimal(after))
    back = make_account("Returner")
    subscribe(back, 80, date(2024, 1, 1), date(2025, 6, 30))
    subscribe(back, 80, february(9))
    assert shown(asked("nrr")) == "90.00"
    moved = {slug: asked(slug).value for slug in ("expansion_mrr", "contraction_mrr", "churned_mrr")}
    assert moved == {"expansion_mrr": 100, "contraction_mrr": 50, "churned_mrr": 150}
    assert asked("reactivation_mrr").value == 80
    assert asked("net_new_mrr").value == -20


def test_d4_exchange_rates_move_the_fx_line_and_no_retention() -> None:
    ExchangeRate.objects.create(currency="USD", starts_on=date(2026, 1, 1), rate=Decimal("1.10"))
    ExchangeRate.objects.create(currency="USD", starts_on=date(2026, 2, 1), rate=Decimal("1.00"))
    subscribe(make_account(), 100, date(2025, 1, 1), currency="USD")
    found = asked("mrr")
    assert (found.value, found.unit) == (100, "EUR")
    assert (found.figure.counts["opening"], found.figure.counts["fx"]) == (110, -10)
    assert shown(asked("nrr")) == "100.00"
    assert shown(asked("grr")) == "100.00"


def test_d5_contracts_in_the_middle_of_a_term_are_not_due() -> None:
    for number in range(10):
        account = make_account(f"Account {number}")
        subscribe(account, 100, date(2025, 2, 20), february(19) if number == 5 else None)
        if number < 6:
            renewal(account, february(19), 100, 0 if number == 5 else 100)
        else:
            renewal(account, date(2026, 8, 19), 100)
    assert shown(asked("renewal_rate")) == "83.33"
    assert shown(asked("customer_retention_rate")) == "90.00"


def test_d6_a_weekly_price_is_brought_to_a_month() -> None:
    subscribe(make_account(), 25, date(2025, 1, 1), interval="week")
    assert shown(asked("mrr")) == "108.33"


def test_d7_without_opening_revenue_a_rate_is_null_with_its_reason() -> None:
    subscribe(make_account(), 100, february(3))
    reasons = {
        slug: asked(slug).figure.reason for slug in ("nrr", "grr", "revenue_churn_rate", "quick_ratio")
    }
    assert reasons == {
        "nrr": "no_opening_mrr",
        "grr": "no_opening_mrr",
        "revenue_churn_rate": "no_opening_mrr",
        "quick_ratio": "nothing_lost",
    }
    assert asked("customer_churn_rate").figure.reason == "no_customers_at_start"


def test_d8_a_late_renewal_takes_the_churn_back_and_marks_it_restated() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 4, 1), date(2026, 3, 31), recorded_at=at(4, 1, 2025))
    subscribe(account, 100, date(2026, 4, 1), recorded_at=at(4, 20))
    then = ask(
        read_question("customer_churn_rate", {"start": "2026-04-01", "known_at": "2026-04-05"}, user=None)
    )
    now = asked("customer_churn_rate", APRIL)
    assert (then.value, then.figure.numerator, then.restated) == (100, 1, True)
    assert (now.value, now.figure.numerator, now.restated) == (0, 0, True)
    assert [row["day"] for row in rows(then.question)] == [date(2026, 4, 1)]
    assert list(rows(now.question)) == []


def test_what_we_learned_later_adds_up_to_what_each_count_moved_by() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 4, 1), date(2026, 3, 31), recorded_at=at(4, 1, 2025))
    subscribe(account, 120, date(2026, 4, 1), recorded_at=at(4, 20))
    subscribe(make_account("Globex"), 50, date(2026, 3, 1), recorded_at=at(4, 21))
    for slug in ("mrr", "customer_count", "customer_churn_rate"):
        then, now = asked(slug, APRIL, known_at=at(4, 5)), asked(slug, APRIL)
        late = late_facts(then.question, at(4, 5))
        for name, found in late.items():
            moved = now.figure.counts[name] - then.figure.counts[name]
            assert sum(row["amount"] for row in found) == moved, (slug, name)
        # Which accounts pay follows from the movements; accounts themselves are recorded earlier.
        counts = now.figure.counts.items()
        moved_names = {name for name, count in counts if count != then.figure.counts[name]}
        assert moved_names - {"paying_customers"} <= late.keys()
    churn = late_facts(Question("customer_churn_rate", APRIL), at(4, 5))["churned"]
    assert [(row["day"], row["recorded"], row["amount"]) for row in churn] == [
        (date(2026, 4, 1), at(4, 20), -1)
    ]


def test_facts_without_a_moment_of_recording_cannot_be_asked_for_what_came_later() -> None:
    with pytest.raises(KpiError, match="is not kept"):
        rows(Question("license_utilization", APRIL), recorded_after=at(4, 5))


def test_what_nobody_corrected_is_not_restated() -> None:
    account = make_account()
    subscribe(account, 100, date(2025, 4, 1), date(2026, 3, 31), recorded_at=at(4, 1, 2025))
    assert not asked("customer_churn_rate", APRIL).restated
    assert not asked("customer_churn_rate", APRIL, known_at=at(4, 5)).restated


def test_d9_addons_and_discounts_count_and_set_up_fees_do_not() -> None:
    account = make_account()
    subscribe(account, 50, date(2025, 1, 1), quantity=Decimal(200), discount_amount=Decimal(10))
    subscribe(account, 10, date(2025, 1, 1), kind=Subscription.Kind.ADDON, quantity=Decimal(50))
    Charge.objects.create(account=account, day=february(1), amount=700, currency="EUR")
    assert asked("mrr").value == 8500
    assert asked("invoiced_revenue").value == 700


@pytest.mark.parametrize(("month", "mrr"), [(1, 100), (2, 200), (3, 100)])
def test_d10_a_line_of_one_month_counts_in_that_month_only(month: int, mrr: int) -> None:
    account = make_account()
    subscribe(account, 100, date(2026, 1, 1))
    subscribe(account, 100, date(2026, 2, 1), date(2026, 2, 28))
    assert asked("mrr", Period.month_of(date(2026, month, 1))).value == mrr


@pytest.mark.parametrize("month", [1, 2, 3])
@pytest.mark.parametrize("variant", ["known_now", "known_then"])
def test_d10_what_is_known_to_end_is_not_committed(month: int, variant: str) -> None:
    account = make_account()
    subscribe(account, 100, date(2026, 1, 1), recorded_at=at(1, 1))
    subscribe(account, 100, date(2026, 2, 1), date(2026, 2, 28), recorded_at=at(2, 1))
    period = Period.month_of(date(2026, month, 1))
    assert asked("committed_mrr", period, variant=variant).value == 100
    if variant == "known_now":
        assert asked("committed_mrr", period, known_at=at(2, 15)).value == 100


def test_d11_one_large_renewal_lifts_the_net_rate_alone() -> None:
    for number in range(10):
        account = make_account(f"Account {number}")
        subscribe(account, 1000, date(2025, 2, 20))
        renewal(account, february(19), 1000, {0: 0, 1: 0, 2: 4000}.get(number, 1000))
    values = [shown(asked(f"{kind}renewal_rate")) for kind in ("", "gross_", "net_")]
    assert values == ["80.00", "80.00", "110.00"]


def test_d12_skipped_questions_change_no_score() -> None:
    for score, times in ((10, 50), (8, 30), (3, 20)):
        for _ in range(times):
            answer("nps", score)
    found = asked("nps")
    assert found.figure.interval is not None
    assert shown(found) == "30.00"
    assert [str(round(bound, 2)) for bound in found.figure.interval] == ["14.05", "44.20"]
    assert found.as_dict()["counts"] == {
        "balance": "30",
        "answers": "100",
        "promoters": "50",
        "passives": "30",
        "detractors": "20",
    }


@pytest.mark.parametrize(
    ("january", "february_", "z", "is_significant"),
    [((12, 5, 3), (9, 6, 5), "0.949", False), ((120, 50, 30), (90, 60, 50), "3.193", True)],
)
def test_d16_the_same_fall_is_chance_among_few_and_none_among_many(
    january: tuple[int, ...], february_: tuple[int, ...], z: str, is_significant: bool
) -> None:
    for times, day in ((january, date(2026, 1, 10)), (february_, february(10))):
        for number, score in zip(times, (9, 7, 0), strict=True):
            for _ in range(number):
                answer("nps", score, day=day)
    found = compare(Question("nps", FEBRUARY, now=at(12, 1)), "previous")
    assert found.change == -25
    assert found.significance is not None
    assert (str(round(found.significance.z, 3)), found.significance.is_significant) == (z, is_significant)


def test_a_change_of_what_nobody_answered_or_on_another_scale_is_none() -> None:
    answer("csat", 4)
    answer("csat", 5)
    question = Question("csat", FEBRUARY, variant="mean", now=at(12, 1))
    assert compare(question, "previous").change is None
    assert compare(question, "previous").significance is None
    answer("csat", 9, scale=(1, 10), day=date(2026, 1, 5))
    answer("csat", 8, scale=(1, 10), day=date(2026, 1, 5))
    assert (compare(question, "previous").change, compare(question, "previous").significance) == (None, None)
    answer("csat", 3, day=date(2025, 2, 10))
    answer("csat", 4, day=date(2025, 2, 10))
    found = compare(question, "year")
    assert found.change == 1
    assert found.significance is not None


def test_d14_satisfaction_counts_from_the_questions_own_threshold() -> None:
    for score in (5, 5, 4, 3, 1):
        answer("csat", score)
    assert shown(asked("csat")) == "60.00"
    assert asked("csat").figure.is_small_sample
    assert shown(asked("csat", variant="mean")) == "3.60"
    answer("csat", 9, scale=(1, 10))
    assert asked("csat").figure.numerator == 4
    assert asked("csat", variant="mean").figure.reason == "mixed_scales"


def test_d15_effort_is_a_mean_with_the_share_beside_it() -> None:
    for score in (7, 7, 6, 5, 4, 2, 1):
        answer("ces", score)
    assert (shown(asked("ces")), shown(asked("ces", variant="share"), 1)) == ("4.57", "57.1")


MARCH = Period(date(2026, 3, 1), date(2026, 4, 1))


def test_d17_an_answer_counts_in_the_month_its_invitation_was_sent() -> None:
    for number in range(100):
        answered_on = date(2026, 3, 20) if number < 15 else date(2026, 4, 2) if number < 19 else None
        invite(date(2026, 3, 5), answered_on=answered_on, state="bounced" if number >= 95 else "sent")
    invite(date(2026, 4, 9))
    invite(date(2026, 4, 9), answered_on=date(2026, 4, 10))
    found = asked("response_rate", MARCH)
    assert (found.figure.numerator, found.figure.denominator, shown(found, 1)) == (19, 95, "20.0")
    assert (found.figure.counts["sent"], found.figure.counts["bounced"]) == (100, 5)
    assert asked("response_rate", APRIL).value == 50
    assert asked("response_rate", MARCH, known_at=at(4, 1)).figure.numerator == 15


def test_an_answer_that_was_no_persons_is_no_response() -> None:
    for state in ("confirmed", "bot", "provisional", "deleted", "test"):
        invite(february(9), response=answer("nps", 9, state=state).response)
    assert asked("response_rate").value == 20


def test_anonymous_surveys_have_no_response_rate() -> None:
    answer("nps", 9, is_anonymous=True)
    invite(february(9), survey="Quiet")
    assert asked("response_rate").figure.reason == "nothing_delivered"


def test_a_bounce_we_had_not_heard_of_was_a_delivery_then() -> None:
    bounced = invite(february(9), state="bounced")
    bounced.bounced_at = at(2, 20)
    bounced.save()
    invite(february(9), answered_on=february(10))
    assert asked("response_rate", known_at=at(2, 15)).value == 50
    assert asked("response_rate").value == 100


def test_an_account_has_one_vote_made_of_its_contacts_latest_answers() -> None:
    loud, quiet = make_account("Loud"), make_account("Quiet")
    people = [Contact.objects.create(account=loud, name=name) for name in ("Ann", "Art")]
    for score, contact, day in ((2, 0, 3), (10, 0, 5), (8, 1, 4)):
        answer("nps", score, account=loud, contact=people[contact], day=february(day))
    answer("nps", 0, account=quiet, is_anonymous=True)
    found = asked("nps_account")
    # Ann's first answer is superseded: (10 + 8) ÷ 2 = 9 promotes.
    assert (found.value, found.figure.denominator) == (100, 1)
    assert [row["vote"] for row in rows(found.question, "accounts")] == ["promoter"]
    answer("nps", 6, account=quiet)
    assert asked("nps_account").value == 0
    answer("nps", 8, account=loud, contact=people[0], day=february(6))
    assert asked("nps_account").figure.counts["passives"] == 1, "(8 + 8) ÷ 2 = 8"


def test_who_answers_without_a_name_stands_for_themselves() -> None:
    account = make_account()
    for score in (10, 10, 6):
        answer("nps", score, account=account)
    # 26 ÷ 3 is 8.67; the latest of them alone would detract.
    assert asked("nps_account").figure.counts["passives"] == 1


@pytest.mark.parametrize(
    ("asked_before", "asked_now", "without_invitation", "interval"),
    [
        # 100 answers of 200 asked, of 100 asked, and of nobody knows how many.
        (40, 60, 0, ["18.44", "39.81"]),
        (100, 0, 0, ["18.44", "39.81"]),
        (40, 59, 1, ["14.05", "44.20"]),
    ],
)
def test_the_interval_is_narrower_where_all_who_were_asked_are_known(
    asked_before: int, asked_now: int, without_invitation: int, interval: list[str]
) -> None:
    scores = [10] * 50 + [8] * 30 + [3] * 20
    sent = [date(2026, 1, 30)] * asked_before + [february(2)] * asked_now
    for number, score in enumerate(scores):
        given = answer("nps", score).response
        if number >= without_invitation:
            invite(sent[number - without_invitation], response=given)
    for _ in range(100):
        invite(february(3))
    invite(february(3), state="bounced")
    invite(february(3), survey="Another")
    found = asked("nps").figure.interval
    assert found is not None
    assert [str(round(bound, 2)) for bound in found] == interval


def test_eighty_of_a_hundred_licences_are_used() -> None:
    account = make_account()
    subscribe(account, 10, date(2025, 1, 1), quantity=Decimal(100))
    for number in range(80):
        active(
            EndUser.objects.create(account=account, source="app", external_id=str(number)),
            account,
            february(9),
        )
    assert asked("license_utilization").value == 80


def test_seats_are_those_contracted_on_the_day_asked_about() -> None:
    account = make_account()
    line = subscribe(account, 10, date(2025, 1, 1), quantity=Decimal(100))
    change_terms(line, february(20), quantity=Decimal(40))
    flat = make_plan("flat", seats_included=25)
    subscribe(make_account("Globex"), 900, date(2025, 1, 1), plan=flat)
    assert asked("license_utilization", JANUARY).figure.denominator == 125
    assert asked("license_utilization").figure.denominator == 65


@pytest.mark.parametrize(
    ("last", "daily", "weekly", "monthly"),
    [
        (date(2026, 2, 28), 1, 1, 1),
        # The 30 days before 1 March of a common year reach into three months.
        (date(2026, 3, 1), 0, 1, 2),
        (date(2026, 3, 29), 0, 0, 2),
        (date(2026, 3, 30), 1, 1, 1),
    ],
)
def test_active_users_are_counted_in_windows_across_months(
    last: date, daily: int, weekly: int, monthly: int
) -> None:
    account = make_account()
    days = {"early": date(2026, 1, 31), "late": date(2026, 2, 28), "next": date(2026, 3, 30)}
    people = {name: EndUser.objects.create(account=account, source="app", external_id=name) for name in days}
    for name, day in days.items():
        active(people[name], account, day)
    if last == date(2026, 2, 28):
        people["early"].months.all().delete()
    if last == date(2026, 3, 29):
        active(people["early"], account, date(2026, 3, 3))
    if last == date(2026, 3, 30):
        people["late"].months.all().delete()
    period = Period(last, last + timedelta(days=1))
    found = [asked(f"{window}_active_users", period).value for window in ("daily", "weekly", "monthly")]
    assert found == [daily, weekly, monthly]


def test_a_ticket_is_pending_until_its_reopen_window_has_passed() -> None:
    ticket("settled", february(2), february(2), agent_replies=1, is_first_contact=True)
    ticket("pending", february(25), february(26), agent_replies=1, is_first_contact=True)
    ticket("merged", february(3), merged_into=ticket("long", february(3), february(9), agent_replies=3))
    early = ask(Question("first_contact_resolution_rate", FEBRUARY, now=at(3, 1)))
    assert (early.figure.numerator, early.figure.denominator) == (1, 2)
    assert early.figure.counts["pending"] == 1
    later = ask(Question("first_contact_resolution_rate", FEBRUARY, now=at(3, 20)))
    assert (later.figure.numerator, later.figure.denominator) == (2, 3)
    immediate = ask(Question("first_contact_resolution_rate", FEBRUARY, variant="immediate", now=at(3, 1)))
    assert (immediate.figure.numerator, immediate.figure.denominator) == (2, 3)


def test_a_csm_is_credited_with_what_happened_while_the_account_was_theirs() -> None:
    ada, grace = make_user("Ada"), make_user("Grace")
    account = make_account()
    hold(account, ada, date(2025, 1, 1), february(9))
    hold(account, grace, february(10))
    subscribe(account, 100, date(2025, 1, 1), february(14))
    groups = {group.label: group.figure for group in asked("customer_churn_rate", group_by="csm").groups}
    assert (groups["Ada"].numerator, groups["Ada"].denominator) == (0, 1)
    assert (groups["Grace"].numerator, groups["Grace"].denominator) == (1, 0)
    assert groups["Grace"].reason == "no_customers_at_start"


def test_a_segment_is_the_one_at_the_end_of_the_period() -> None:
    account = make_account()
    ledger.record_traits({account.pk: {"segment": "small"}}, on=date(2025, 1, 1))
    ledger.record_traits({account.pk: {"segment": "large"}}, on=february(20))
    subscribe(account, 100, date(2025, 1, 1))
    assert [group.key for group in asked("mrr", JANUARY, group_by="segment").groups] == ["small"]
    assert [group.key for group in asked("mrr", group_by="segment").groups] == ["large"]


def test_money_without_an_exchange_rate_is_no_wrong_sum() -> None:
    subscribe(make_account("Acme"), 100, date(2025, 1, 1))
    dollars = make_account("Globex")
    subscribe(dollars, 100, date(2025, 1, 1), currency="USD")
    found = asked("mrr")
    assert (found.value, found.figure.reason) == (None, "no_exchange_rate")
    alone = asked("mrr", filters=Filters(account=dollars.pk))
    assert (alone.value, alone.unit) == (100, "USD"), "one currency alone needs no exchange"


def test_anonymous_answers_count_in_the_total_and_for_no_account() -> None:
    ada = make_user("Ada")
    account = make_account(csm=ada)
    answer("nps", 10, account=account)
    answer("nps", 2, account=account, is_anonymous=True)
    assert asked("nps").figure.denominator == 2
    assert asked("nps", filters=Filters(account=account.pk)).figure.denominator == 1
    assert asked("nps", user=ada).figure.denominator == 1
    labels = {group.label: group.figure.denominator for group in asked("nps", group_by="csm").groups}
    assert labels == {"Ada": 1, "none": 1}
    assert [row["account"] and row["account"]["name"] for row in rows(asked("nps").question, "answers")] == [
        "Acme",
        None,
    ]


def test_anonymous_answers_stand_in_their_surveys_group_and_open_to_their_rows() -> None:
    answer("nps", 10, account=make_account())
    answer("nps", 2, is_anonymous=True)
    found = {group.key: group.figure.denominator for group in asked("nps", group_by="survey").groups}
    assert found == {"Open": 1, "Quiet": 1}
    quiet = asked("nps", filters=Filters(own=(("survey", "Quiet"),)))
    assert (quiet.value, len(rows(quiet.question, "answers"))) == (-100, 1)


@pytest.mark.parametrize("name", ["gate", "it's 100 %; DROP", "$.path[0]", "ключ:значение"])
def test_answers_are_grouped_by_any_column_their_survey_came_with(name: str) -> None:
    for score, gate in ((10, "A"), (9, "A"), (3, 7), (5, True), (8, None)):
        given = answer("nps", score).response
        given.attributes = {name: gate}
        given.save()
    found = asked("nps", group_by=f"attribute:{name}")
    assert {group.key: group.figure.numerator for group in found.groups} == {
        "": 0,
        "7": -1,
        "A": 2,
        "true": -1,
    }
    assert asked("nps", filters=Filters(own=((f"attribute:{name}", "A"),))).figure.denominator == 2


def test_an_answer_recorded_late_was_not_known_before() -> None:
    answer("nps", 10, recorded_at=at(2, 14))
    answer("nps", 1, day=february(20), recorded_at=at(3, 5))
    assert asked("nps").value == 0
    then = asked("nps", known_at=at(3, 1))
    assert (then.value, then.restated) == (100, True)

"""Health of a small cast, from facts to score, by figures one can check with a pencil."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DataError

from accounts import due
from accounts.models import AccountTrait, Contact, DueAccount, Milestone, Referral
from accounts.tests.factories import change_terms, make_account, make_plan, make_user, subscribe
from csplatform.periods import Period
from metrics.health import reasons, scorecards, scores
from metrics.health.signals import SIGNALS
from metrics.kpis import Question, ask
from metrics.models import AccountHealth, Band, HealthScore, Scorecard
from metrics.tests.health_cast import (
    NOON,
    TODAY,
    answer,
    be_active,
    make_acme,
    make_globex,
    on,
    open_ticket,
    touch,
    use_features,
)
from team import work
from usage.models import UsageDay

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def score_of(account: Any) -> AccountHealth:
    return AccountHealth.objects.get(account=account)


def only_measure(key: str) -> None:
    """Make the standard scorecard consist of one signal."""
    scorecard = Scorecard.objects.get()
    newest = scorecard.versions.first()
    scorecards.save_version(
        scorecard,
        measures=[scorecards.suggested(key, "1")],
        reason="To see one signal alone.",
        by=None,
        based_on=newest.number,
    )


def raw(account: Any, key: str, *, now: Any = NOON) -> Any:
    """What a signal says about an account, in its unit; None while it is missing."""
    only_measure(key)
    scores.score_accounts([account.pk], now=now)
    return reasons.explain(account)[0].raw


# --- From facts to a score ------------------------------------------------------------


def test_a_happy_account_scores_what_the_pencil_says():
    # 20×100 + 15×90 + 10×100 + 15×100 + 10×100 + 10×100 + 10×90 + 10×100, ÷ 100
    acme = make_acme()
    scores.score_all(now=NOON)
    health = score_of(acme)
    assert (health.score, health.band, health.coverage) == (Decimal("97.50"), "green", Decimal("100.00"))


def test_a_slipping_account_scores_what_the_pencil_says():
    # 20×26.67 + 15×0 + 10×33.33 + 15×15 + 10×25 + 10×25 + 10×60 + 10×46.67, ÷ 100
    globex = make_globex()
    scores.score_all(now=NOON)
    health = score_of(globex)
    assert (health.score, health.band) == (Decimal("26.58"), "red")
    assert health.points == "2667,0,3333,1500,2500,2500,6000,4667"


def test_each_measure_says_what_it_saw_in_words():
    globex = make_globex()
    scores.score_all(now=NOON)
    assert [reading.sentence(on=TODAY) for reading in reasons.explain(globex)] == [
        "licence use 30 %",
        "active users down 50 %",
        "features in use 25 %",
        "last NPS 3, 12 days ago",
        "last CSAT 2, 20 days ago",
        "2 urgent tickets open",
        "MRR down 10 % in 90 days",
        "no contact for 47 days",
    ]


def test_what_stands_out_is_the_measure_below_green_that_costs_most():
    acme, globex = make_acme(), make_globex()
    scores.score_all(now=NOON)
    said = reasons.biggest_reasons(list(AccountHealth.objects.all()), today=TODAY)
    assert said == {acme.pk: "", globex.pk: "active users down 50 %"}


def test_the_oldest_signal_is_the_oldest_of_those_used():
    acme = make_acme()  # NPS 12 days ago, CSAT 3 days ago
    scores.score_all(now=NOON)
    assert score_of(acme).oldest_signal_at == on(12)


# --- Missing and stale ----------------------------------------------------------------


def test_a_missing_signal_gives_its_weight_to_the_others():
    acme = make_acme()
    acme.responses.all().delete()
    scores.score_all(now=NOON)
    health = score_of(acme)
    # 25 of 100 weight gone: (9750 − 15×100 − 10×100) ÷ 75
    assert (health.score, health.coverage) == (Decimal("96.67"), Decimal("75.00"))
    assert [r.key for r in reasons.explain(acme) if r.state == "missing"] == ["last_nps", "last_csat"]


def test_an_answer_past_its_shelf_life_is_stale_and_not_used():
    acme = make_acme()
    acme.responses.filter(answers__kind="csat").delete()
    answer(acme, "csat", 1, back=91)
    scores.score_all(now=NOON)
    csat = reasons.explain(acme)[4]
    assert (csat.state, csat.raw, csat.points, csat.weight_used) == ("stale", Decimal(1), None, 0)
    assert csat.sentence(on=TODAY) == "last CSAT 1, 91 days ago (too old to count)"


def test_an_answer_on_its_last_day_still_counts():
    acme = make_acme()
    acme.responses.filter(answers__kind="csat").delete()
    answer(acme, "csat", 1, back=90)
    scores.score_all(now=NOON)
    assert reasons.explain(acme)[4].state == "used"


def test_under_half_coverage_there_is_no_score():
    acme = make_account("Acme")
    subscribe(acme, 100, date(2025, 1, 1))
    answer(acme, "nps", 10, back=1)
    scores.score_all(now=NOON)
    health = score_of(acme)  # NPS 15 and MRR 10 of 100
    assert (health.score, health.band, health.coverage) == (None, "insufficient_data", Decimal("25.00"))
    assert reasons.biggest_reasons([health])[acme.pk] == "not enough data: 2 of 8 signals"


def test_a_usage_feed_that_broke_off_makes_usage_stale_instead_of_zero():
    acme = make_acme()
    scores.score_all(now=NOON + 35 * DAY)
    states = {r.key: r.state for r in reasons.explain(acme)}
    assert states["license_utilization"] == states["adoption_breadth"] == "stale"


def test_an_account_that_stopped_while_others_go_on_uses_nothing():
    acme, globex = make_acme(), make_globex()
    globex.end_users.update(activity=1, activity_until=TODAY - 45 * DAY)
    assert raw(globex, "license_utilization") == 0
    assert raw(acme, "license_utilization") == 80


# --- Who is scored, by which card -----------------------------------------------------


def test_an_account_that_is_no_customer_is_not_scored():
    prospect = make_account("Prospect")
    initech = make_account("Initech")
    subscribe(initech, 100, date(2025, 1, 1), date(2025, 12, 31))
    scores.score_all(now=NOON)
    assert {score_of(a).band for a in (prospect, initech)} == {Band.NOT_SCORED}
    assert not HealthScore.objects.exists()


def test_an_account_that_leaves_keeps_its_history_and_loses_its_score():
    acme = make_acme()
    scores.score_all(now=NOON)
    acme.is_customer = False
    acme.save()
    scores.score_all(now=NOON + DAY)
    health = score_of(acme)
    assert (health.band, health.score, health.version, health.change_7d) == ("not_scored", None, None, None)
    assert acme.health_scores.count() == 1


def test_the_first_scorecard_by_order_that_applies_judges_the_account():
    acme, globex = make_acme(), make_globex()
    for name, order, rule in (
        ("Enterprise", 1, {"segments": ["Enterprise"]}),
        ("Team plan", 2, {"plans": ["team"]}),
        ("Everybody in Atlantis", 0, {"stages": ["atlantis"]}),
    ):
        card = Scorecard.objects.create(name=name, order=order, **rule)
        scorecards.save_version(
            card, measures=[scorecards.suggested("last_nps", "1")], reason="Test", by=None, based_on=0
        )
    scores.score_all(now=NOON)
    assert score_of(acme).version.scorecard.name == "Enterprise"
    assert score_of(globex).version.scorecard.name == "Team plan"


def test_a_segment_typed_with_quotes_and_per_cent_signs_is_only_a_word():
    acme = make_account("Acme", segment="50 % 'off'; --")
    subscribe(acme, 100, date(2025, 1, 1))
    answer(acme, "nps", 9, back=1)
    card = Scorecard.objects.create(name="Odd", order=1, segments=["50 % 'off'; --"])
    scorecards.save_version(
        card, measures=[scorecards.suggested("last_nps", "1")], reason="Test", by=None, based_on=0
    )
    scores.score_all(now=NOON)
    assert score_of(acme).version.scorecard.name == "Odd"


def test_a_past_day_is_judged_by_the_segment_of_that_day():
    acme = make_acme()
    AccountTrait.objects.create(
        account=acme, kind="segment", value="Small", starts_on=date(1900, 1, 1), ends_on=TODAY - 10 * DAY
    )
    card = Scorecard.objects.create(name="Small ones", order=1, segments=["Small"])
    scorecards.save_version(
        card, measures=[scorecards.suggested("last_nps", "1")], reason="Test", by=None, based_on=0
    )
    scores.backfill([TODAY - 11 * DAY, TODAY - 9 * DAY], now=NOON)
    names = [row.version.scorecard.name for row in acme.health_scores.order_by("day")]
    assert names == ["Small ones", "Standard"]


# --- History --------------------------------------------------------------------------


def test_recomputing_twice_writes_nothing_new():
    make_acme(), make_globex()
    assert scores.score_all(now=NOON).written == 2
    assert scores.score_all(now=NOON).written == 0
    assert scores.score_all(now=NOON + timedelta(hours=3)).written == 0


def test_a_raw_figure_that_moves_without_points_shows_now_but_writes_no_history():
    acme = make_acme()  # a call 5 days ago: 100 points for up to 14 days
    only_measure("days_since_touch")
    scores.score_all(now=NOON)
    assert scores.score_all(now=NOON + 2 * DAY).written == 0
    assert reasons.explain(acme)[0].sentence(on=TODAY + 2 * DAY) == "no contact for 7 days"


def test_a_day_keeps_one_row_with_its_last_state():
    acme = make_acme()
    scores.score_all(now=NOON)
    answer(acme, "nps", 0, back=0)
    scores.score_accounts([acme.pk], now=NOON + timedelta(hours=1))
    row = acme.health_scores.get()
    assert (row.day, row.score) == (TODAY, Decimal("82.50"))


def test_a_change_taken_back_within_the_day_leaves_no_row():
    acme = make_acme()
    scores.score_all(now=NOON)
    later = answer(acme, "nps", 0, back=-1)
    scores.score_all(now=NOON + DAY)
    assert acme.health_scores.count() == 2
    later.response.delete()
    scores.score_all(now=NOON + DAY)
    assert acme.health_scores.get().score == score_of(acme).score == Decimal("97.50")


def test_the_change_of_a_week_is_against_the_state_seven_days_ago():
    acme = make_acme()
    scores.score_all(now=NOON - 7 * DAY)
    before = score_of(acme).score
    scores.score_all(now=NOON)
    health = score_of(acme)
    assert health.change_7d == health.score - before


def test_a_new_version_judges_from_its_day_on_and_the_past_keeps_its_own():
    acme = make_acme()
    scores.score_all(now=NOON)
    only_measure("last_nps")
    scores.score_all(now=NOON + DAY)
    assert [row.version.number for row in acme.health_scores.order_by("day")] == [1, 2]


# --- The past -------------------------------------------------------------------------


def test_the_histories_give_the_same_score_as_the_maintained_copies():
    make_acme(), make_globex()
    for back in (0, 3, 8):
        HealthScore.objects.all().delete()
        AccountHealth.objects.all().delete()
        scores.score_all(now=NOON + back * DAY)
        live = list(AccountHealth.objects.order_by("account").values_list("points", "raws", "score"))
        HealthScore.objects.all().delete()
        scores.backfill([TODAY + back * DAY], now=NOON + 30 * DAY)
        past = list(HealthScore.objects.order_by("account").values_list("points", "raws", "score"))
        assert past == live


def test_a_backfill_leaves_recorded_days_and_those_after_alone():
    acme = make_acme()
    scores.score_all(now=NOON - 5 * DAY)
    answer(acme, "nps", 0, back=8)
    scores.backfill([TODAY - back * DAY for back in (20, 5, 3)], now=NOON)
    rows = acme.health_scores.order_by("day").values_list("day", "is_backfilled")
    assert list(rows) == [(TODAY - 20 * DAY, True), (TODAY - 5 * DAY, False)]


def test_a_backfill_twice_writes_nothing_new():
    make_acme(), make_globex()
    days = [TODAY - back * DAY for back in (21, 14, 7)]
    assert scores.backfill(days, now=NOON).written > 0
    assert scores.backfill(days, now=NOON).written == 0


def test_a_backfill_knows_only_the_facts_of_its_day():
    globex = make_globex()  # urgent tickets 4 and 1 days ago, cheaper since 30 days ago
    scores.backfill([TODAY - 2 * DAY, TODAY - 40 * DAY], now=NOON)
    first, second = globex.health_scores.order_by("day")
    assert second.points.split(",")[5:7] == ["5000", "6000"]  # one ticket; MRR down 10 %
    assert first.points.split(",")[5] == "m"  # no ticket of anybody yet


def test_today_cannot_be_filled_in():
    with pytest.raises(ValueError, match="not over yet"):
        scores.backfill([TODAY], now=NOON)


# --- Single signals -------------------------------------------------------------------


def test_licence_use_is_the_kpi_of_the_same_name():
    hooli = make_account("Hooli")
    subscribe(hooli, 100, date(2025, 1, 1), plan=make_plan("big", seats_included=40), quantity=3)
    paused = subscribe(hooli, 50, date(2025, 1, 1), quantity=9)
    change_terms(paused, TODAY - 5 * DAY, is_paused=True)
    subscribe(hooli, 7, date(2025, 1, 1), quantity=Decimal("2.5"))
    subscribe(hooli, 5, date(2025, 1, 1), kind="addon", quantity=100)
    be_active(hooli, (0,), (3,), (29,), (30,), (70,))
    kpi = ask(Question("license_utilization", Period.last_days(1, until=TODAY))).figure
    assert (kpi.numerator, kpi.denominator) == (3, Decimal("42.5"))
    assert raw(hooli, "license_utilization") == round(kpi.value, 2)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("last_login", Decimal(2)),
        ("open_tickets", Decimal(3)),
        ("onboarding_progress", Decimal("66.67")),
        ("champion_left", Decimal(1)),
        ("days_to_renewal", Decimal(20)),
        ("payment_overdue", Decimal(9)),
        ("referrals", Decimal(1)),
        ("last_ces", Decimal(6)),
    ],
)
def test_a_signal_says_what_the_facts_say(key, expected):
    globex = make_globex()
    open_ticket(globex, back=2, priority="low")
    open_ticket(globex, back=2, exclusion="spam")
    for name, reached_on in (("Set up", TODAY), ("Trained", TODAY - DAY), ("Live", None)):
        Milestone.objects.create(account=globex, name=name, due_on=TODAY, reached_on=reached_on)
    Milestone.objects.create(account=globex, name="Later", due_on=TODAY + DAY)
    Contact.objects.create(account=globex, name="Peter", role="champion", left_on=TODAY)
    globex.subscriptions.update(term_ends_on=TODAY + 20 * DAY, payment_due_on=TODAY - 9 * DAY)
    Referral.objects.create(account=globex, referred_name="Umbrella", referred_on=TODAY - 300 * DAY)
    Referral.objects.create(account=globex, referred_name="Hooli", referred_on=TODAY - 400 * DAY)
    answer(globex, "ces", 6, back=2)
    answer(globex, "ces", 1, back=3)
    assert raw(globex, key) == expected


def test_a_mask_of_somebody_active_tomorrow_by_a_wrong_clock_is_read_right():
    acme = make_account("Acme")
    subscribe(acme, 100, date(2025, 1, 1), quantity=4)
    be_active(acme, (-1,), (-1, 29), (-1, 30), (28,))
    assert raw(acme, "license_utilization") == 50


def test_provisional_and_anonymous_answers_say_nothing():
    acme = make_account("Acme")
    subscribe(acme, 100, date(2025, 1, 1))
    answer(acme, "nps", 9, back=5)
    answer(acme, "nps", 0, back=3, state="provisional")
    answer(acme, "nps", 0, back=2, is_anonymous=True)
    assert raw(acme, "last_nps") == 9


def test_csat_of_another_scale_is_brought_to_five():
    acme = make_account("Acme")
    subscribe(acme, 100, date(2025, 1, 1))
    answer(acme, "csat", 7, back=1, scale_low=1, scale_high=10, positive_from=6)
    assert raw(acme, "last_csat") == Decimal("3.67")


def test_a_note_is_no_contact_and_silence_counts_from_the_sale():
    acme = make_account("Acme")
    subscribe(acme, 100, TODAY - 25 * DAY)
    touch(acme, back=1, kind="note")
    assert raw(acme, "days_since_touch") is None  # nobody records contacts here
    touch(make_account("Other"), back=3)
    assert raw(acme, "days_since_touch") == 25


def test_features_outside_the_plan_do_not_count():
    acme = make_acme()
    use_features(acme, "secret", "chat", back=29)
    assert raw(acme, "adoption_breadth") == 100


def test_a_day_reported_without_a_count_of_events_is_use_but_a_day_of_nobody_is_not():
    acme = make_acme()  # 3 of 4 features
    UsageDay.objects.create(account=acme, feature="chat", day=TODAY, events=0, users=0)
    assert raw(acme, "adoption_breadth") == 75
    UsageDay.objects.filter(feature="chat").update(users=4)
    assert raw(acme, "adoption_breadth") == 100


def test_a_plan_whose_features_are_no_list_stops_nobody():
    acme = make_acme()
    plan = make_plan("odd")
    plan.features = {"tasks": True}
    plan.save()
    assert raw(acme, "adoption_breadth") == 75


def test_mrr_in_two_currencies_has_no_trend():
    acme = make_acme()
    subscribe(acme, 100, date(2025, 1, 1), currency="USD")
    assert raw(acme, "mrr_trend") is None


def test_every_signal_can_be_worked_out_with_no_facts_at_all():
    acme = make_account("Acme")
    subscribe(acme, 100, TODAY)
    for key in SIGNALS:
        only_measure(key)
        scores.score_all(now=NOON)
        scores.backfill([TODAY - DAY], now=NOON)


# --- Due accounts ---------------------------------------------------------------------


def test_a_due_account_is_scored_by_the_queue(django_capture_on_commit_callbacks):
    acme = make_acme()
    with django_capture_on_commit_callbacks(execute=True):
        due.mark_due([acme.pk])
    work.run_due("fast")
    assert score_of(acme).version is not None
    assert not DueAccount.objects.exists()


def test_only_due_accounts_are_scored():
    acme, globex = make_acme(), make_globex()
    due.mark_due([acme.pk])
    assert scores.score_due(now=NOON).checked == 1
    assert not AccountHealth.objects.filter(account=globex).exists()


def test_due_accounts_get_the_score_that_a_full_pass_gives():
    acme, globex = make_acme(), make_globex()
    scores.score_all(now=NOON)
    for account in (acme, globex):
        answer(account, "nps", 7, back=0)
        touch(account, back=0)
        due.mark_due([account.pk])
        scores.score_due(now=NOON)
    columns = ("account", "day", "version", "score", "band", "coverage", "points", "raws")
    incremental = list(HealthScore.objects.order_by("account").values_list(*columns))
    HealthScore.objects.all().delete()
    AccountHealth.objects.all().delete()
    scores.score_all(now=NOON)
    assert list(HealthScore.objects.order_by("account").values_list(*columns)) == incremental


def test_an_account_whose_figures_fail_does_not_keep_the_others_waiting(monkeypatch):
    acme, globex = make_acme(), make_globex()
    due.mark_due([acme.pk, globex.pk])
    real = scores._score

    def fail_for_globex(scope, now):
        if globex.pk in scope.ids:
            raise DataError("bigint out of range")
        return real(scope, now)

    monkeypatch.setattr(scores, "_score", fail_for_globex)
    passed = scores.score_due(now=NOON)
    assert (passed.scored, passed.failed) == (1, 1)
    assert score_of(acme).score == Decimal("97.50")
    assert not scores.some_are_due()
    assert DueAccount.objects.get().account == globex


# --- The command ----------------------------------------------------------------------


def test_recompute_fills_the_history_and_scores_everybody(capsys):
    make_acme(), make_globex()
    call_command("recompute", "--from", "2026-06-01", "--step", "month")
    assert "accounts 2" in capsys.readouterr().out
    assert AccountHealth.objects.count() == 2


def test_a_csm_sees_the_health_of_her_accounts_only():
    ada, grace = make_user("Ada"), make_user("Grace")
    acme = make_account("Acme", csm=ada)
    subscribe(acme, 100, date(2025, 1, 1))
    scores.score_all()
    assert AccountHealth.objects.visible_to(ada).count() == 1
    assert not AccountHealth.objects.visible_to(grace).exists()
    assert not HealthScore.objects.visible_to(grace).exists()

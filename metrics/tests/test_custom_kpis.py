"""KPIs that an installation defines itself: what may be said, what it means, and how it is kept."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import ledger
from accounts.models import Account, Charge, Touch
from accounts.tests.factories import change_terms, make_account, make_user, subscribe
from csplatform.periods import Period, day_of
from metrics import rollups, snapshots
from metrics.kpis import KPIS, Filters, KpiError, Question, ask, late_facts, rows
from metrics.kpis.custom.definition import DefinitionError, Formula
from metrics.kpis.custom.facts import FACT_SETS
from metrics.kpis.custom.keeping import StaleDefinition, publish, read, retire, save, slug_from
from metrics.models import CustomKpi, CustomKpiVersion, KpiRollUp, KpiSnapshot
from metrics.tests.cast import FEBRUARY, NOW, answer, at, february, ticket
from metrics.tests.custom_cast import CUSTOMERS, DEFINITIONS, LARGE, defined, side, where
from team.models import User, Work
from team.work import drain

pytestmark = pytest.mark.django_db
IS_CUSTOMER = where("status", "is", "customer")
ALL_MRR = side("accounts", measure="sum", of="mrr")
OPEN_URGENT = [where("open", "holds", "yes"), where("priority", "is", "urgent")]


def formula(given: dict[str, Any]) -> Formula:
    return read(given).formula


def value_of(given: dict[str, Any], period: Period = FEBRUARY, **asked: Any) -> Decimal | None:
    kpi = read(given).kpi()
    return ask(Question(kpi.slug, period, definition=kpi, now=NOW, **asked)).value


def counted(*conditions: dict[str, Any], facts: str = "accounts", **asked: Any) -> int:
    return int(value_of(defined("something_counted", side(facts, *conditions)), **asked) or 0)


# --- What may be said -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"slug": "mrr"}, "slug"),
        ({"slug": "new"}, "slug"),
        ({"slug": "Own KPI"}, "slug"),
        ({"slug": "9lives"}, "slug"),
        ({"slug": "x" * 61}, "slug"),
        ({"slug": None}, "slug"),
        ({"slug": 7}, "slug"),
        ({"label": " "}, "label"),
        ({"label": "a\x00b"}, "label"),
        ({"label": "\ud800"}, "label"),
        ({"label": "x" * 81}, "label"),
        ({"definition": "x" * 1_001}, "definition"),
        ({"direction": "sideways"}, "direction"),
        ({"direction": ["up"]}, "direction"),
        ({"numerator": None}, "numerator"),
        ({"numerator": "tickets"}, "numerator"),
        ({"numerator": {**CUSTOMERS, "sql": "1 = 1"}}, "numerator.sql"),
        ({"numerator": side("auth_user")}, "numerator.facts"),
        ({"numerator": {"facts": ["tickets"]}}, "numerator.facts"),
        ({"numerator": side("tickets", measure="median")}, "numerator.measure"),
        ({"numerator": side("tickets", measure="sum", of="account__mrr")}, "numerator.of"),
        ({"numerator": side("touches", measure="sum", of="kind")}, "numerator.of"),
        ({"numerator": {"facts": "tickets", "conditions": "open"}}, "numerator.conditions"),
        ({"numerator": side("tickets", *[where("subject", "is", "x")] * 11)}, "numerator.conditions"),
        ({"numerator": {"facts": "tickets", "conditions": ["open"]}}, "numerator.conditions.0"),
        ({"unit": "percent"}, "unit"),
        ({"denominator": CUSTOMERS, "unit": ""}, "unit"),
        ({"denominator": CUSTOMERS, "unit": ["percent"]}, "unit"),
        (
            {"numerator": ALL_MRR, "denominator": CUSTOMERS, "unit": "percent"},
            "unit",
        ),
        ({"denominator": []}, "denominator"),
        ({"groups": ["colour"]}, "groups"),
        ({"groups": "csm"}, "groups"),
        ({"groups": ["ticket_category"]}, "groups"),
        ({"groups": [["csm"]]}, "groups"),
    ],
)
def test_what_cannot_be_defined_names_the_field_and_the_rule(change: dict[str, Any], field: str) -> None:
    with pytest.raises(DefinitionError) as raised:
        read({**defined("own", CUSTOMERS), **change})
    assert [name for name, _ in raised.value.faults] == [field]
    assert all(rule.endswith(".") for _, rule in raised.value.faults)


@pytest.mark.parametrize(
    ("condition", "field"),
    [
        (where("account__users__password", "is", "x"), "field"),
        (where("subject", "regex", ".*"), "operator"),
        (where("subject", "is", ""), "value"),
        (where("subject", "is", ["x"]), "value"),
        (where("subject", "is", "a\x00"), "value"),
        (where("subject", "is", "\udfff"), "value"),
        (where("subject", "is", "x" * 201), "value"),
        (where("priority", "is", "dire"), "value"),
        (where("subject", "is_any_of", " , "), "value"),
        (where("subject", "is_any_of", [["x"]]), "value"),
        (where("subject", "is_any_of", [*"abcdefghijklmnopqrstuvwxyz"]), "value"),
        (where("opened", "last_days", 0), "value"),
        (where("opened", "last_days", "1.5"), "value"),
        (where("opened", "last_days", 10**9), "value"),
        (where("opened", "last_days", True), "value"),
        (where("opened", "since", "2026-02-30"), "value"),
        (where("opened", "since", "0001-01-01"), "value"),
        (where("opened", "since", 5), "value"),
        (where("replies", "at_least", "NaN"), "value"),
        (where("replies", "at_least", "1e99"), "value"),
        (where("replies", "at_least", "0.0000001"), "value"),
        (where("replies", "at_least", None), "value"),
        (where("open", "holds", "maybe"), "value"),
        (where("account.has_touches", "at_least", -1), "value"),
        (where("account.has_touches", "more_than", 1), "operator"),
        (where("account.has_touches", "at_least", 1, that="kind"), "that"),
        (where("account.has_touches", "at_least", 1, that=[where("open", "holds", "yes")]), "that.0.field"),
        (where("account.has_touches", "at_least", 1, that=[where("kind", "is", "x")] * 6), "that"),
        (where("subject", "is", "x", that=[where("open", "holds", "yes")]), "that"),
        (where("subject", "is", "x", sql="1 = 1"), "sql"),
    ],
)
def test_a_condition_that_cannot_be_names_its_field_and_the_rule(
    condition: dict[str, Any], field: str
) -> None:
    with pytest.raises(DefinitionError) as raised:
        read(defined("own", side("tickets", condition)))
    assert [name for name, _ in raised.value.faults] == [f"numerator.conditions.0.{field}"]
    assert all(rule.endswith(".") for _, rule in raised.value.faults)


def test_every_fault_is_named_at_once() -> None:
    bad = side("tickets", where("nothing", "is", "x"), where("opened", "last_days", "x"))
    with pytest.raises(DefinitionError) as raised:
        read({**defined("", bad, side("moons")), "label": ""})
    assert [name for name, _ in raised.value.faults] == [
        "slug",
        "label",
        "numerator.conditions.0.field",
        "numerator.conditions.1.value",
        "denominator.facts",
    ]


@pytest.mark.parametrize("given", DEFINITIONS, ids=lambda given: given["slug"])
def test_what_was_read_reads_the_same_again(given: dict[str, Any]) -> None:
    once = formula(given)
    again = formula({**given, **once.as_json()})
    assert again.as_json() == once.as_json()
    assert again.words == once.words


@pytest.mark.parametrize(
    ("numerator", "words"),
    [
        (
            side("accounts", *LARGE, where("has_tickets", "at_least", 2, that=OPEN_URGENT)),
            "customers whose segment is “large” and with at least 2 tickets that are open at the end of the "
            "period and whose priority is urgent",
        ),
        (
            side("charges", where("description", "contains", "training"), measure="sum", of="amount"),
            "sum of amount of one-off charges whose description contains “training”",
        ),
        (
            side("answers", where("kind", "is", "nps"), where("account.plan", "is_none_of", "pro, max")),
            "survey answers whose question is likely to recommend, of accounts whose plan is neither “pro” "
            "nor “max”",
        ),
        (
            side(
                "accounts",
                IS_CUSTOMER,
                where("has_touches", "at_most", 0, that=[where("happened", "last_days", 1)]),
            ),
            "customers without touches that happened in the last 1 day of the period",
        ),
        (
            side("tickets", where("opened", "within_period"), measure="accounts"),
            "accounts with tickets opened within the period",
        ),
        (ALL_MRR, "sum of MRR at the end of the period of accounts"),
    ],
)
def test_a_definition_is_said_in_words(numerator: dict[str, Any], words: str) -> None:
    assert formula(defined("own", numerator)).words == words
    assert read(defined("own", numerator)).kpi().definition == f"{words[:1].upper()}{words[1:]}."
    ratio = defined("own", numerator, numerator, "ratio")
    assert formula(ratio).words == f"{words} ÷ {words}"


def test_every_fact_and_field_can_be_asked_for_with_every_operator() -> None:
    values = {"number": "1", "days": "30", "day": "2026-01-15", "yes_no": "yes"}
    asked = 0
    for of in FACT_SETS.values():
        for field in of.fields:
            choice = next((key for key, _ in field.choices if key), "x")
            for operator in field.operators:
                condition = where(field.slug, operator.slug, values.get(operator.takes, choice))
                assert counted(condition, facts=of.slug) == 0
                asked += 1
    assert asked > 300


# --- What it means --------------------------------------------------------------------


@pytest.fixture
def acme(db: None) -> Account:
    account = make_account("Acme", csm=make_user("Ada"))
    subscribe(account, 100, date(2025, 1, 1))
    return account


@pytest.mark.parametrize(
    ("operator", "value", "days"),
    [
        ("within_period", None, ["2026-02-01", "2026-02-28"]),
        ("last_days", 1, ["2026-02-28"]),
        ("last_days", 28, ["2026-02-01", "2026-02-28"]),
        ("last_days", 29, ["2026-01-31", "2026-02-01", "2026-02-28"]),
        ("next_days", 1, ["2026-03-01"]),
        ("by_end", None, ["2024-02-29", "2026-01-31", "2026-02-01", "2026-02-28"]),
        ("not_by_end", None, ["2026-03-01", "2026-03-02"]),
        ("days_ago", 28, ["2024-02-29", "2026-01-31"]),
        ("since", "2026-02-28", ["2026-02-28"]),
        ("since", "2024-02-29", ["2024-02-29", "2026-01-31", "2026-02-01", "2026-02-28"]),
        ("before", "2026-02-01", ["2024-02-29", "2026-01-31"]),
    ],
)
def test_a_day_counts_as_its_condition_says(
    operator: str, value: Any, days: list[str], acme: Account
) -> None:
    for day in ("2024-02-29", "2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01", "2026-03-02"):
        Charge.objects.create(account=acme, day=day, amount=1, currency="EUR")
    kpi = read(defined("own", side("charges", where("day", operator, value)))).kpi()
    found = rows(Question("own", FEBRUARY, definition=kpi, now=NOW), "numerator")
    assert sorted(row["day"].isoformat() for row in found) == days


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "America/Los_Angeles", "Europe/Berlin"])
def test_a_moment_counts_on_its_day_in_the_workspaces_time_zone(
    acme: Account, settings: Any, zone: str
) -> None:
    settings.TIME_ZONE = zone
    timezone.get_default_timezone.cache_clear()
    # Clocks are set in the night to 29 March in Berlin, 5 April in Auckland, 8 March in Los Angeles.
    for hour in range(-30, 31):
        Touch.objects.create(
            account=acme, kind="call", happened_at=at(date(2026, 3, 29), 0) + timedelta(hours=hour)
        )
    day = Period(date(2026, 3, 29), date(2026, 3, 30))
    within = counted(where("happened", "within_period"), facts="touches", period=day)
    last = counted(where("happened", "last_days", 1), facts="touches", period=day)
    assert (
        within
        == last
        == sum(timezone.localdate(each.happened_at) == day.start for each in Touch.objects.all())
    )


@pytest.mark.parametrize(
    ("operator", "value", "names"),
    [
        ("at_least", 1, "Busy Calm"),
        ("at_least", 2, "Busy"),
        ("at_least", 0, "Busy Calm Quiet"),
        ("at_most", 0, "Quiet"),
        ("at_most", 1, "Calm Quiet"),
        ("equals", 0, "Quiet"),
        ("equals", 1, "Calm"),
        ("equals", 2, "Busy"),
    ],
)
def test_accounts_are_chosen_by_how_much_they_have(operator: str, value: int, names: str) -> None:
    busy, calm, _ = make_account("Busy"), make_account("Calm"), make_account("Quiet")
    ticket("1", february(2), account=busy, priority="urgent")
    ticket("2", february(3), account=busy, priority="urgent")
    ticket("3", february(3), february(9), account=busy, priority="urgent")
    ticket("4", february(4), account=calm, priority="urgent")
    ticket("5", february(4), account=calm, priority="low")
    ticket("6", february(4), priority="urgent")
    that = [where("open", "holds", True), where("priority", "is", "urgent")]
    kpi = read(defined("own", side("accounts", where("has_tickets", operator, value, that=that)))).kpi()
    found = rows(Question("own", FEBRUARY, definition=kpi, now=NOW), "numerator")
    assert " ".join(row["account"]["name"] for row in found) == names


def test_what_is_open_is_so_at_the_end_of_the_period_and_as_known_then(acme: Account) -> None:
    late = ticket("1", february(2), date(2026, 3, 5), account=acme)
    late.resolution_recorded_at = at(date(2026, 3, 6))
    late.save()
    is_open = where("open", "holds", "yes")
    assert counted(is_open, facts="tickets") == 1
    march = Period(date(2026, 3, 1), date(2026, 3, 8))
    assert counted(is_open, facts="tickets", period=march) == 0
    assert counted(is_open, facts="tickets", period=march, known_at=at(date(2026, 3, 5), 18)) == 1
    assert counted(is_open, facts="tickets", period=FEBRUARY.previous()) == 0


@pytest.mark.parametrize(
    ("operator", "value", "names"),
    [
        ("at_least", "100", "Acme Hooli"),
        ("more_than", "100", "Hooli"),
        ("less_than", "100", "Globex"),
        ("at_most", "0", "Globex"),
        ("equals", "100.00", "Acme"),
    ],
)
def test_revenue_is_compared_to_the_cent_and_none_is_0(
    operator: str, value: str, names: str, acme: Account
) -> None:
    make_account("Globex")
    subscribe(make_account("Hooli"), "100.01", date(2025, 1, 1))
    kpi = read(defined("own", side("accounts", where("mrr", operator, value)))).kpi()
    found = rows(Question("own", FEBRUARY, definition=kpi, now=NOW), "numerator")
    assert " ".join(row["account"]["name"] for row in found) == names


def test_text_is_text_whatever_it_looks_like(acme: Account) -> None:
    for words in ("100% off", "1000 off", "a_b", "axb", "x'; DROP TABLE accounts_charge; --", ".*"):
        Charge.objects.create(account=acme, day=february(2), amount=1, currency="EUR", description=words)

    def found(words: str) -> int:
        return counted(where("description", "contains", words), facts="charges")

    assert [found(words) for words in ("100%", "a_b", "'; DROP", ".*", "OFF")] == [1, 1, 1, 1, 2]
    assert counted(where("description", "is_any_of", ["a_b", ".*"]), facts="charges") == 2
    assert counted(where("description", "does_not_contain", "off"), facts="charges") == 4


def test_an_account_in_two_segments_one_after_the_other_counts_once_in_the_last(acme: Account) -> None:
    ledger.record_traits({acme.pk: {"segment": "small"}}, on=date(2025, 1, 1))
    ledger.record_traits({acme.pk: {"segment": "large"}}, on=february(10))
    kpi = read(defined("own", CUSTOMERS)).kpi()
    answer = ask(Question("own", FEBRUARY, definition=kpi, group_by="segment", now=NOW))
    assert [(group.key, group.figure.value) for group in answer.groups] == [("large", 1)]
    assert counted(IS_CUSTOMER, where("segment", "is", "small")) == 0
    assert counted(IS_CUSTOMER, where("segment", "is_not", "small")) == 1
    assert counted(IS_CUSTOMER, where("segment", "is", "small"), period=FEBRUARY.previous()) == 1


def test_what_happened_counts_for_whoever_held_the_account_then(acme: Account) -> None:
    ada, grace = User.objects.get(name="Ada"), make_user("Grace")
    acme.assignments.update(starts_on=date(2025, 1, 1), ends_on=february(15))
    acme.assignments.create(user=grace, starts_on=february(16))
    for day in (14, 15, 16):
        Charge.objects.create(account=acme, day=february(day), amount=1, currency="EUR")
    flow = read(defined("own", side("charges", where("day", "within_period")))).kpi()
    level = read(defined("own", side("charges"))).kpi()

    def by_csm(kpi: Any) -> dict[str, Decimal | None]:
        answer = ask(Question("own", FEBRUARY, definition=kpi, group_by="csm", now=NOW))
        return {group.label: group.figure.value for group in answer.groups}

    assert by_csm(flow) == {str(ada): 2, str(grace): 1}
    assert by_csm(level) == {str(grace): 3}
    question = Question("own", FEBRUARY, definition=flow, filters=Filters(csm=ada.pk), now=NOW)
    assert len(rows(question, "numerator")) == 2


def test_anonymous_answers_count_in_the_total_and_never_by_what_their_account_is(acme: Account) -> None:
    answer("nps", 9, account=acme)
    answer("nps", 9, account=acme, is_anonymous=True)
    within = where("given", "within_period")
    assert counted(within, facts="answers") == 2
    assert counted(within, where("account.status", "is", "customer"), facts="answers") == 1
    asked = side("answers", within, measure="accounts")
    assert value_of(defined("own", asked)) == 1


def test_what_was_recorded_later_is_not_known_before(acme: Account) -> None:
    Touch.objects.create(
        account=acme, kind="call", happened_at=at(february(3)), recorded_at=at(date(2026, 3, 4))
    )
    asked = [IS_CUSTOMER, where("has_touches", "at_least", 1)]
    assert counted(*asked) == 1
    assert counted(*asked, known_at=at(date(2026, 3, 3))) == 0


def test_facts_that_came_late_are_listed(acme: Account) -> None:
    for given in DEFINITIONS:
        kpi = read(given).kpi()
        assert not late_facts(Question(kpi.slug, FEBRUARY, definition=kpi), timezone.now())
    late = at(date(2026, 3, 4))
    Charge.objects.create(account=acme, day=february(3), amount=7, currency="EUR", recorded_at=late)
    kpi = read(defined("own", side("charges", measure="sum", of="amount"))).kpi()
    found = late_facts(Question("own", FEBRUARY, definition=kpi, now=NOW), at(date(2026, 3, 3)))
    assert [row["amount"] for row in found["numerator"]] == [7]


def test_a_movement_that_was_taken_back_counts_for_nothing(acme: Account) -> None:
    line = acme.subscriptions.get()
    change_terms(line, february(5), unit_price=Decimal(150))
    within = where("day", "within_period")
    assert counted(within, facts="movements") == 1
    change_terms(line, february(5), unit_price=Decimal(100))
    assert counted(within, facts="movements") == 0
    assert value_of(defined("own", side("movements", within, measure="accounts"))) == 0
    assert counted(where("has_movements", "at_least", 1, that=[within])) == 0
    assert counted(where("has_movements", "at_most", 0, that=[within])) == 1


@pytest.mark.parametrize(
    ("numerator", "denominator", "unit", "has_interval"),
    [
        (side("accounts", *LARGE), CUSTOMERS, "percent", True),
        (CUSTOMERS, side("accounts", *LARGE), "percent", False),
        (side("tickets"), CUSTOMERS, "percent", False),
        (side("accounts", *LARGE), CUSTOMERS, "per_100", False),
        (
            side("charges", measure="sum", of="amount"),
            side("charges", measure="sum", of="amount"),
            "percent",
            False,
        ),
    ],
)
def test_only_a_share_of_the_same_rows_has_an_interval(
    numerator: Any, denominator: Any, unit: str, has_interval: bool
) -> None:
    variant = formula(defined("own", numerator, denominator, unit)).variant
    assert (variant.interval is not None) is has_interval


def test_nothing_below_the_line_is_no_data_with_a_reason(acme: Account) -> None:
    kpi = read(defined("own", CUSTOMERS, side("accounts", *LARGE), "percent")).kpi()
    figure = ask(Question("own", FEBRUARY, definition=kpi, now=NOW)).figure
    assert (figure.value, figure.reason) == (None, "nothing_in_denominator")


def test_answers_on_different_scales_are_not_added_up(acme: Account) -> None:
    answer("csat", 4, account=acme)
    answer("csat", 8, account=acme, scale=(1, 10))
    scored = side("answers", where("kind", "is", "csat"), measure="sum", of="score")
    kpi = read(defined("own", scored, side("answers", where("kind", "is", "csat")), "average")).kpi()
    figure = ask(Question("own", FEBRUARY, definition=kpi, now=NOW)).figure
    assert (figure.value, figure.reason) == (None, "mixed_scales")


def test_the_revenue_of_all_accounts_is_the_mrr(acme: Account) -> None:
    subscribe(make_account("Globex"), "33.333333", february(3))
    mrr = value_of(defined("own", side("accounts", measure="sum", of="mrr")))
    assert mrr == ask(Question("mrr", FEBRUARY, now=NOW)).value == Decimal("133.333333")


def test_what_has_no_second_clock_says_so() -> None:
    assert not read(defined("own", side("usage_days"))).kpi().has_known_at
    assert (
        not read(defined("own", side("accounts", where("has_usage_days", "at_least", 1)))).kpi().has_known_at
    )
    assert read(defined("own", side("accounts", where("has_tickets", "at_least", 1)))).kpi().has_known_at


def test_it_takes_one_statement_however_many_conditions_there_are(acme: Account) -> None:
    kpi = read(DEFINITIONS[0]).kpi()
    with CaptureQueriesContext(connection) as queries:
        ask(Question(kpi.slug, FEBRUARY, definition=kpi, group_by="segment", now=NOW))
    assert len(queries) == 3, "what is stored, the counts, and the targets"


# --- How it is kept -------------------------------------------------------------------


@pytest.fixture
def root(db: None) -> User:
    return make_user("Root", User.Role.ADMIN)


def saved(by: User, given: dict[str, Any] | None = None, **more: Any) -> CustomKpiVersion:
    more = {"reason": "", "based_on": 0, "publish": True, "now": NOW} | more
    return save(read(given or defined("own", CUSTOMERS)), by=by, **more)


def test_a_draft_is_nobodys_until_it_is_published_and_gone_when_it_is_retired(root: User) -> None:
    saved(root, publish=False)
    assert "own" not in KPIS
    publish("own", by=root, now=NOW)
    assert KPIS["own"].label == "Own"
    assert list(KPIS)[-1] == "own"
    assert ask(Question("own", FEBRUARY)).value == 0
    retire("own", by=root, now=NOW)
    with pytest.raises(KpiError, match="no KPI 'own'"):
        Question("own", FEBRUARY)


def test_a_change_is_a_new_version_and_the_old_one_stays(root: User) -> None:
    saved(root)
    saved(root, defined("own", side("accounts", *LARGE)), based_on=1, reason="Only the large ones.")
    assert KPIS["own"].version == 2
    assert "large" in KPIS["own"].default.formula_text
    one, two = CustomKpiVersion.objects.order_by("number")
    assert (one.reason, two.reason, two.made_by) == ("First version.", "Only the large ones.", root)
    assert one.formula["numerator"]["conditions"][0]["field"] == "status"


def test_a_version_going_back_to_what_was_before_is_still_a_new_one(root: User) -> None:
    saved(root)
    saved(root, defined("own", side("accounts", *LARGE)), based_on=1, reason="Only the large ones.")
    assert KPIS["own"].version == 2
    saved(root, based_on=2, reason="All of them after all.")
    assert (KPIS["own"].version, KPIS["own"].default.formula_text) == (3, "customers")


def test_a_change_needs_a_reason(root: User) -> None:
    saved(root)
    with pytest.raises(DefinitionError, match="reason"):
        saved(root, based_on=1, reason=" ")
    assert CustomKpiVersion.objects.count() == 1


def test_the_database_refuses_to_edit_a_version(root: User) -> None:
    version = saved(root)
    with pytest.raises(IntegrityError, match="never_changes"), transaction.atomic():
        CustomKpiVersion.objects.filter(pk=version.pk).update(label="Something else")


def test_a_change_of_an_older_version_is_refused(root: User) -> None:
    saved(root)
    saved(root, based_on=1, reason="First change.")
    with pytest.raises(StaleDefinition, match="Version 2 was saved meanwhile; yours was made from version 1"):
        saved(root, based_on=1, reason="Second change.")
    with pytest.raises(DefinitionError, match="There is a KPI own already"):
        saved(root)
    assert CustomKpiVersion.objects.count() == 2


def test_only_admins_define(root: User) -> None:
    for role in (User.Role.MANAGER, User.Role.CSM, User.Role.VIEWER):
        other = make_user(role, role)
        with pytest.raises(PermissionDenied):
            saved(other)
    saved(root, publish=False)
    with pytest.raises(PermissionDenied):
        publish("own", by=make_user("Ada"), now=NOW)


def test_a_change_made_by_another_process_is_seen_at_once(root: User) -> None:
    version = saved(root)
    assert KPIS["own"].version == 1
    # As another process leaves it: rows, and nothing in our memory.
    newer = CustomKpiVersion.objects.create(
        kpi=version.kpi,
        number=2,
        label="Renamed",
        direction="up",
        formula=version.formula,
        digest="other",
        reason="…",
    )
    CustomKpi.objects.update(current=newer)
    assert (KPIS["own"].label, KPIS["own"].version) == ("Renamed", 2)


def test_reading_what_is_published_takes_one_statement_and_none_for_those_of_the_code(root: User) -> None:
    saved(root)
    assert "own" in KPIS
    with CaptureQueriesContext(connection) as queries:
        assert KPIS["own"].version == 1
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        assert len(KPIS.values()) > 1
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        assert KPIS["mrr"].version
    assert len(queries) == 0


def test_one_that_can_no_longer_be_read_does_not_take_the_others_with_it(root: User) -> None:
    version = saved(root, defined("other_one", CUSTOMERS))
    kpi = CustomKpi.objects.create(slug="broken", state="published")
    kpi.current = CustomKpiVersion.objects.create(
        kpi=kpi,
        number=1,
        label="B",
        direction="up",
        formula={"numerator": {"facts": "moons"}},
        digest="x",
        reason="x",
    )
    kpi.save()
    assert "broken" not in KPIS
    assert KPIS["other_one"].label == version.label


def store_only(monkeypatch: pytest.MonkeyPatch, *slugs: str) -> None:
    """Let figures be stored of these KPIs alone, as far as there are such: to plan all takes long."""
    monkeypatch.setattr(rollups, "KPIS", {slug: KPIS[slug] for slug in slugs if slug in KPIS})


def test_a_new_kpi_has_its_last_months_stored_and_a_retired_one_keeps_what_was_said(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(make_account(), 100, date(2025, 1, 1))
    saved(root)
    assert Work.objects.filter(kind="metrics.store_kpi", key="own").count() == 1
    store_only(monkeypatch, "nps", "own")
    drain("slow", seconds=60)
    whole = KpiRollUp.objects.filter(kpi="own", group_by="", stored=F("generation"))
    assert whole.count() >= 13
    snapshots.say_all(timezone.now())
    stored = KpiSnapshot.objects.filter(kpi="own", group_by="")
    assert set(stored.values_list("version", flat=True)) == {1}
    before = stored.count()
    assert before >= 12
    retire("own", by=root, now=NOW)
    store_only(monkeypatch, "nps", "own")
    rollups.plan(day_of(timezone.now()))
    assert not whole.exists()
    assert stored.count() == before


def test_a_kpi_that_is_not_grouped_by_csm_is_stored_without(
    root: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscribe(make_account(csm=make_user("Ada")), 100, date(2025, 1, 1))
    saved(root, defined("own", CUSTOMERS, groups=["segment"]))
    store_only(monkeypatch, "own")
    rollups.plan(FEBRUARY.last_day)
    assert set(KpiRollUp.objects.filter(kpi="own").values_list("group_by", flat=True)) == {"", "segment"}
    with pytest.raises(KpiError, match="can be grouped by segment, day"):
        Question("own", FEBRUARY, group_by="csm")


def test_a_label_suggests_a_slug_that_is_free(root: User) -> None:
    saved(root)
    assert slug_from("Urgent ones, at large!") == "urgent_ones_at_large"
    assert slug_from("Own") == "own_2"
    assert slug_from("MRR") == "mrr_2"
    assert slug_from("90 days") == "kpi_90_days"
    assert slug_from("ÄÖÜ") == "kpi"
    assert all(
        read({**defined("own", CUSTOMERS), "slug": slug_from(words)}) for words in ("é", "new", "x" * 99)
    )

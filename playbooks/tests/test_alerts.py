"""Alerts: raised once for a crossing, told to those it concerns, and to nobody else."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.urls import reverse

from accounts.models import Account
from accounts.tests.factories import make_account, make_user, subscribe
from metrics.kpis import Aim
from metrics.models import Target
from metrics.tests.cast import answer
from metrics.tests.health_cast import NOON, TODAY
from metrics.tests.test_health_concurrency import at_once
from playbooks import alerting
from playbooks.models import Alert
from team.models import Team, User
from team.work import HANDLERS, SCHEDULES, drain, enqueue

MAY = date(2026, 5, 10)
LIST = reverse("playbooks:alert-list")


def said(*scores: int, month: int = 5, account: Account | None = None) -> None:
    """Let so many answers to a satisfaction question be given in a month of 2026."""
    for score in scores:
        answer("csat", score, account=account, day=date(2026, month, 10))


def raised() -> list[str]:
    return [str(alert) for alert in alerting.raise_alerts(NOON)]


def fell(**fields) -> Alert:
    """Store an alert as if csat had fallen in May."""
    defaults = {
        "kind": "target",
        "kpi": "csat",
        "label": "Customer satisfaction",
        "variant": "share",
        "starts_on": date(2026, 5, 1),
        "ends_on": date(2026, 5, 31),
        "unit": "percent",
        "higher_is_better": True,
        "value": 66,
        "value_before": 99,
        "target": 80,
        "raised_at": NOON,
    }
    return Alert.objects.create(**{**defaults, **fields})


# --- What is a crossing -----------------------------------------------------------------


@pytest.mark.django_db
def test_a_figure_that_falls_below_its_target_is_told_once():
    Target.objects.create(kpi="csat", value=80)
    said(5, 5, month=4)
    said(5, 1)
    assert raised() == ["Customer satisfaction fell below its target, May 2026"]
    alert = Alert.objects.get()
    assert (alert.value, alert.value_before, alert.target, alert.sample_size) == (50, 100, 80, 2)
    assert (alert.starts_on, alert.ends_on, alert.unit) == (date(2026, 5, 1), date(2026, 5, 31), "percent")
    assert alert.is_small_sample
    assert raised() == []
    assert Alert.objects.count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("april", "may"),
    [((5, 1), (1,)), ((5, 5), (5,)), ((5, 1), (5,)), ((), (1,)), ((5,), ())],
    ids=["missed before", "still met", "met again", "nothing before", "nothing now"],
)
def test_what_is_no_crossing_is_not_told(april, may):
    Target.objects.create(kpi="csat", value=80)
    said(*april, month=4)
    said(*may)
    assert raised() == []


@pytest.mark.django_db
def test_a_month_without_data_hides_no_crossing():
    Target.objects.create(kpi="csat", value=80)
    said(5, month=3)
    said(1)
    assert len(raised()) == 1
    assert Alert.objects.get().value_before == 100


@pytest.mark.django_db
def test_a_number_that_is_better_low_is_told_when_it_rises():
    Target.objects.create(kpi="customer_churn_rate", value=5, months=1)
    subscribe(make_account("Acme"), 100, date(2025, 1, 1))
    subscribe(make_account("Initech"), 100, date(2025, 1, 1), MAY)
    assert raised() == ["Customer churn rate rose above its target, May 2026"]


@pytest.mark.django_db
def test_a_target_for_a_year_judges_years():
    Target.objects.create(kpi="nrr", value=95, months=12)
    subscribe(make_account("Acme"), 100, date(2024, 1, 1))
    subscribe(make_account("Initech"), 100, date(2024, 1, 1), MAY)
    assert raised() == ["Net revenue retention fell below its target, Jun 2025 – May 2026"]


@pytest.mark.django_db
def test_a_level_is_judged_day_by_day():
    Target.objects.create(kpi="mrr", value=150)
    subscribe(make_account("Acme"), 100, date(2025, 1, 1))
    subscribe(make_account("Initech"), 100, date(2025, 1, 1), TODAY - timedelta(days=2))
    assert raised() == ["Monthly recurring revenue fell below its target, 16 Jun 2026"]


@pytest.mark.django_db
def test_leaving_the_benchmark_is_told_and_missing_the_target_at_once_is_not_told_twice():
    target = Target.objects.create(kpi="csat", benchmark_low=70, benchmark_high=90)
    said(5, 5, month=4)
    said(5, 1)
    assert raised() == ["Customer satisfaction left its benchmark, May 2026"]
    Alert.objects.all().delete()
    target.value = 80
    target.save()
    assert raised() == ["Customer satisfaction fell below its target, May 2026"]


@pytest.mark.django_db
def test_a_crossing_that_late_facts_bring_about_is_told_when_they_come():
    Target.objects.create(kpi="csat", value=80)
    said(5, month=4)
    said(5)
    assert raised() == []
    said(1, 1)
    assert len(raised()) == 1


@pytest.mark.django_db
def test_each_group_is_watched_for_itself_unless_its_sample_is_small(settings):
    settings.SMALL_SAMPLE = 2
    Target.objects.create(kpi="csat", value=30, watch_by="csm")
    ada, grace = make_user("Ada"), make_user("Grace")
    acme, globex = make_account("Acme", csm=ada), make_account("Globex", csm=grace)
    for account in (acme, globex):
        said(5, 5, month=4, account=account)
    said(5, 5, account=acme)
    said(1, 1, account=globex)
    assert raised() == ["Customer satisfaction (CSM: Grace) fell below its target, May 2026"]
    Alert.objects.all().delete()
    settings.SMALL_SAMPLE = 3
    assert raised() == []


@pytest.mark.django_db
def test_a_group_is_held_against_its_own_target():
    make_account("Acme", segment="Large")
    Target.objects.create(kpi="customer_churn_rate", group_by="segment", group="Nowhere", value=5)
    Target.objects.create(kpi="csat", value=10)
    Target.objects.create(kpi="csat", value=80, group_by="csm", group=str(make_user("Ada").pk))
    account = make_account("Globex", csm=User.objects.get(name="Ada"))
    said(5, 5, month=4, account=account)
    said(5, 1, account=account)
    assert raised() == ["Customer satisfaction (CSM: Ada) fell below its target, May 2026"]


@pytest.mark.django_db
def test_targets_of_what_is_no_more_raise_nothing_and_stop_nothing():
    Target.objects.create(kpi="gone", value=80)
    Target.objects.create(kpi="csat", variant="gone", value=80)
    Target.objects.create(kpi="csat", group_by="colour", group="red", value=80)
    Target.objects.create(kpi="csat", value=80)
    said(5, month=4)
    said(1)
    assert len(raised()) == 1


def test_nothing_set_means_nothing_crossed():
    assert Aim(None, None, True).is_met(Decimal(1)) is None


# --- When -------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_night_that_stores_the_numbers_raises_the_alerts(monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOON)
    # What is stored is tested with the snapshots; here it matters what follows.
    monkeypatch.setattr("metrics.rollups.plan", lambda today: 0)
    monkeypatch.setattr("metrics.snapshots.say_all", lambda now: 0)
    Target.objects.create(kpi="csat", value=80)
    said(5, month=4)
    said(1)
    enqueue("metrics.store_kpis")
    drain("slow", seconds=600)
    assert Alert.objects.count() == 1


def test_a_morning_looks_again_whatever_became_of_the_night():
    kinds = {job.kind for job in SCHEDULES.values()}
    assert "playbooks.raise_alerts" in kinds
    assert HANDLERS["playbooks.raise_alerts"].lane == "slow"


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_tell_it_once():
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL: make test-services")
    Target.objects.create(kpi="csat", value=80, watch_by="segment")
    said(5, month=4)
    said(1)
    found: list[Alert] = []
    at_once(*[lambda: found.extend(alerting.raise_alerts(NOON))] * 4)
    assert len(found) == Alert.objects.count() == 1


# --- To whom ----------------------------------------------------------------------------


@pytest.fixture
def people(db) -> dict[str, User]:
    north, south = Team.objects.create(name="North"), Team.objects.create(name="South")
    ada = make_user("Ada", team=north)
    make_account("Acme", csm=ada)
    return {
        "admin": make_user("Alan", User.Role.ADMIN),
        "manager": make_user("Margaret", User.Role.MANAGER, team=north),
        "other_manager": make_user("Mary", User.Role.MANAGER, team=south),
        "loner": make_user("Lone", User.Role.MANAGER),
        "ada": ada,
        "grace": make_user("Grace", team=south),
        "viewer": make_user("Vera", User.Role.VIEWER),
    }


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        ("admin", ["", "csm", "segment"]),
        ("manager", ["", "csm"]),
        ("other_manager", [""]),
        ("loner", [""]),
        ("ada", ["csm"]),
        ("grace", []),
        ("viewer", []),
    ],
)
def test_an_alert_is_shown_to_those_it_concerns(client, people, who, sees):
    fell()
    fell(group_by="csm", group=str(people["ada"].pk), of="CSM: Ada")
    fell(group_by="segment", group="Canary", of="Segment: Canary")
    client.force_login(people[who])
    text = client.get(LIST).content.decode()
    assert sorted(Alert.objects.visible_to(people[who]).values_list("group_by", flat=True)) == sees
    assert ("Segment: Canary" in text) is ("segment" in sees)
    assert ("CSM: Ada" in text) is ("csm" in sees)
    number = client.get(reverse("playbooks:alerts-unread")).content.decode()
    assert (f"</span>{len(sees)}</span>" in number) is bool(sees)


def test_a_manager_hears_of_the_whole_company_without_its_figure(client, people):
    fell()
    fell(group_by="csm", group=str(people["ada"].pk), value=55, value_before=88)
    client.force_login(people["manager"])
    text = client.get(LIST).content.decode()
    assert "66.0" not in text
    assert "99.0" not in text
    assert "55.0" in text
    client.force_login(people["admin"])
    assert "66.0" in client.get(LIST).content.decode()


def test_the_link_leads_to_the_figure_and_its_rows(client, people):
    alert = fell(group_by="csm", group=str(people["ada"].pk))
    client.force_login(people["ada"])
    assert alert.address.endswith(f"variant=share&csm={people['ada'].pk}#rows")
    page = client.get(alert.address.split("#")[0])
    assert page.status_code == 200
    assert page.context["answer"].question.period.last_day == date(2026, 5, 31)


def test_what_one_person_acknowledges_stays_new_to_the_others(client, people):
    alert = fell(group_by="csm", group=str(people["ada"].pk))
    client.force_login(people["ada"])
    response = client.post(
        reverse("playbooks:alert-acknowledge", args=[alert.pk]), headers={"HX-Request": "true"}
    )
    assert not Alert.objects.visible_to(people["ada"]).unread_by(people["ada"]).exists()
    assert Alert.objects.visible_to(people["admin"]).unread_by(people["admin"]).exists()
    assert alert.title not in client.get(LIST).content.decode()
    assert alert.title in client.get(LIST, {"show": "all"}).content.decode()
    client.post(json.loads(response.headers["HX-Trigger"])["toast"]["undo"])
    assert alert.title in client.get(LIST).content.decode()


def test_acknowledging_twice_or_all_is_the_same_as_once(client, people):
    alert = fell()
    fell(group_by="csm", group=str(people["grace"].pk))
    client.force_login(people["manager"])
    for _ in range(2):
        client.post(reverse("playbooks:alert-acknowledge", args=[alert.pk]))
        client.post(reverse("playbooks:alerts-acknowledge"))
    assert alert.receipts.count() == 1
    assert Alert.objects.get(group_by="csm").receipts.count() == 0, "not the manager's to acknowledge"


def test_somebody_elses_alert_is_not_there(client, people):
    alert = fell(group_by="csm", group=str(people["grace"].pk))
    client.force_login(people["ada"])
    for name in ("alert-acknowledge", "alert-forget"):
        assert client.post(reverse(f"playbooks:{name}", args=[alert.pk])).status_code == 404


def test_the_list_takes_few_queries(client, people, django_assert_max_num_queries):
    for month in range(1, 6):
        for number in range(8):
            fell(group_by="csm", group=str(number), starts_on=date(2026, month, 1))
    client.force_login(people["admin"])
    with django_assert_max_num_queries(6):
        client.get(LIST)


def test_bad_addresses_show_the_new_ones(client, people):
    fell()
    client.force_login(people["admin"])
    for query in ({"show": "nonsense"}, {"page": "9" * 30}, {"page": "\x00"}):
        assert client.get(LIST, query).status_code == 200

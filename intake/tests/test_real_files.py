"""Real files through the command, by the mappings of examples/, and the figures that must come out."""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import statistics
from datetime import date, timedelta
from decimal import Decimal
from math import sqrt
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db.models import F, OuterRef, Q, Subquery, Sum
from django.db.models.functions import Lower

from accounts.models import Account, Charge
from csplatform.periods import Period
from intake.importing import Counts
from intake.tests.files import EXAMPLES, import_file, latest
from metrics.kpis import Question, compare, rows
from metrics.kpis.cohorts import matrix
from tickets.models import Ticket, TicketEvent
from usage.models import EndUser, Event
from usage.verifying import differences as usage_differences

pytestmark = pytest.mark.django_db

AS_OF = "2026-07-01"


def bring_in(folder: Path, file: Path, mapping: str, **options: Any) -> tuple[Counts, int]:
    """Import a copy: what is written beside the file must not land among the data sets."""
    copy = folder / file.name
    shutil.copy(file, copy)
    copy.chmod(0o644)
    return import_file(mapping.split("-", 1)[1], copy, EXAMPLES / f"{mapping}.json", **options)


def kpi(slug: str, start: str, end: str, **options: Any) -> dict[str, Any]:
    out = io.StringIO()
    call_command("kpi", slug, start=start, end=end, format="json", stdout=out, **options)
    answer: dict[str, Any] = json.loads(out.getvalue())
    return answer


def near(text: str, places: int = 4) -> float:
    return round(float(text), places)


def test_telco_gives_churn_and_revenue_by_contract(real_data: Path, tmp_path: Path, settings: Any) -> None:
    settings.REPORTING_CURRENCY = "USD"
    file = real_data / "telco-churn" / "Telco-Customer-Churn.csv.gz"
    for mapping in ("telco-accounts", "telco-subscriptions"):
        counts, code = bring_in(tmp_path, file, mapping, as_of=AS_OF)
        assert (counts.created, counts.rejected, code) == (7043, 0, 0)
    month = ("2026-06-01", AS_OF)
    churn = kpi("customer_churn_rate", *month, group_by="plan")
    assert (churn["numerator"], churn["denominator"], near(churn["value"])) == ("1869", "7043", 26.5370)
    by_plan = {group["label"]: near(group["value"]) for group in churn["groups"]}
    assert by_plan == {"Month-to-month": 42.7097, "One year": 11.2695, "Two year": 2.8319}
    assert kpi("mrr", *month)["value"] == "316985.75"
    assert kpi("churned_mrr", *month)["value"] == "139130.85"
    assert near(kpi("arpa", *month)["value"]) == 61.2651
    assert kpi("customer_count", *month)["value"] == "5174"
    again, _ = bring_in(tmp_path, file, "telco-subscriptions", as_of=AS_OF)
    assert again.unchanged == 7043


def test_sfo_answers_give_nps_and_csat(real_data: Path, tmp_path: Path) -> None:
    counts, code = bring_in(tmp_path, real_data / "sfo-survey" / "sfo_2017.csv.gz", "sfo-responses")
    assert (counts.created, code) == (2831, 0)
    nps = kpi("nps", "2017-05-01", "2017-06-01")
    assert [nps["counts"][name] for name in ("promoters", "passives", "detractors")] == ["1436", "968", "342"]
    assert (nps["denominator"], round(float(nps["value"]), 2)) == ("2746", 39.84)
    assert nps["interval"]["low"] < nps["value"] < nps["interval"]["high"]
    assert near(kpi("csat", "2017-05-01", "2017-06-01")["value"]) == 82.0685


def test_sfo_scores_differ_by_who_answered(real_data: Path, tmp_path: Path, settings: Any) -> None:
    bring_in(tmp_path, real_data / "sfo-survey" / "sfo_2017.csv.gz", "sfo-responses")
    may = ("2017-05-01", "2017-06-01")

    def groups(group_by: str) -> dict[str, dict[str, Any]]:
        return {group["label"]: group for group in kpi("nps", *may, group_by=group_by)["groups"]}

    problem = groups("attribute:met a problem")
    assert [near(problem[key]["value"], 2) for key in ("yes", "no")] == [18.77, 43.65]
    settings.SMALL_SAMPLE = 50
    language = groups("language")
    assert (near(language["es"]["value"], 2), language["es"]["sample_size"]) == (72.09, 43)
    assert [language[key]["small_sample"] for key in ("es", "en")] == [True, False]
    assert kpi("nps", *may, where=["language=es"])["value"] == language["es"]["value"]


def test_sfo_2017_is_compared_with_2016(real_data: Path, tmp_path: Path) -> None:
    for year, mapping in ((2016, "sfo2016-responses"), (2017, "sfo-responses")):
        _, code = bring_in(tmp_path, real_data / "sfo-survey" / f"sfo_{year}.csv.gz", mapping)
        assert code == 0
    may = Period(date(2017, 5, 1), date(2017, 6, 1))
    share = compare(Question("csat", may), "year")
    assert [answer.figure.counts for answer in (share.earlier, share.answer)] == [
        {"satisfied": 2364, "answers": 2919},
        {"satisfied": 2206, "answers": 2688},
    ]
    # By hand, with one success and one failure added: (2207/2690 - 2365/2921) in its standard errors.
    first, second = 2365 / 2921, 2207 / 2690
    z = (second - first) / sqrt(first * (1 - first) / 2921 + second * (1 - second) / 2690)
    assert share.change is not None
    assert share.significance is not None
    assert (near(str(share.change)), near(str(share.significance.z))) == (1.0818, round(z, 4))
    assert not share.significance.is_significant, "a point more, which chance alone would make"
    mean = compare(Question("csat", may, variant="mean"), "year")
    assert mean.significance is not None
    assert (near(str(mean.earlier.value)), near(str(mean.answer.value))) == (4.0380, 4.0644)
    assert not mean.significance.is_significant
    # Nobody was asked in 2016 whether they recommend the airport.
    nps = compare(Question("nps", may), "year")
    assert (nps.earlier.figure.reason, nps.change, nps.significance) == ("no_responses", None, None)


def test_neutron_events_give_active_people(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "usage-neutron" / "usage_events_to_2016.csv.gz"
    counts, code = bring_in(tmp_path, file, "neutron-usage-events")
    assert (counts.created, counts.skipped, code) == (17_514, 602, 0)
    assert (Event.objects.count(), EndUser.objects.count(), Account.objects.count()) == (17_514, 822, 75)
    assert kpi("monthly_active_users", "2015-08-01", "2015-09-01")["value"] == "88"
    day = date(2015, 8, 31)
    for days, people in ((1, 7), (7, 36), (30, 88)):
        window = Event.objects.filter(
            happened_at__date__gt=day - timedelta(days=days), happened_at__date__lte=day
        )
        assert window.values("end_user_id").distinct().count() == people
    years = [
        kpi("user_retention_rate", f"{year}-01-01", f"{year + 1}-01-01", variant="total")
        for year in range(2011, 2017)
    ]
    assert [year["numerator"] for year in years] == ["27", "87", "212", "314", "320", "297"]
    # Those without an employer stand together as one account, which is none.
    in_2016 = Question("user_retention_rate", Period(date(2016, 1, 1), date(2017, 1, 1)), variant="accounts")
    kept, active = (
        sum(row["amount"] for row in rows(in_2016, part) if row["account"]["name"] != "(individual)")
        for part in ("numerator", "denominator")
    )
    assert (kept, active, round(float(100 * kept / active), 2)) == (34, 49, 69.39)
    sticky = kpi("stickiness", "2015-08-01", "2015-09-01")
    assert (sticky["numerator"], sticky["denominator"]) == ("210", "88")
    assert list(usage_differences()) == []
    again, _ = bring_in(tmp_path, file, "neutron-usage-events")
    assert (again.unchanged, again.skipped) == (17_514, 602)


def test_gcloud_reads_as_it_is_with_each_month_repaired_and_listed(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "gcloud-sales" / "G-Cloud-Total-Spend-13-12-13.raw.csv.gz"
    counts, code = bring_in(tmp_path, file, "gcloud-charges")
    assert (counts.created, counts.repaired, counts.rejected, code) == (4699, 4699, 0, 0)
    repaired = (tmp_path / f"{file.name}.repaired.csv").read_text().splitlines()
    assert len(repaired) == 4700
    assert repaired[1].startswith("2,day,“2012-10-01l” is read as “2012-10-01”.,")

    def total(**period: Any) -> Decimal:
        amount = Charge.objects.filter(**period).aggregate(total=Sum("amount"))["total"]
        return round(Decimal(amount), 2)

    assert total() == Decimal("77788989.55")
    assert total(day__year=2013) == Decimal("70705370.61")
    assert total(day__year=2012) == Decimal("7083618.94")
    assert total(day=date(2013, 11, 1)) == Decimal("10534140.84")
    assert Account.objects.count() == 336
    assert Charge.objects.annotate(lower=Lower("supplier")).values("lower").distinct().count() == 212
    again, _ = bring_in(tmp_path, file, "gcloud-charges")
    assert (again.unchanged, Charge.objects.count()) == (4699, 4699)


def first_lines_of_invoices(file: Path, copy: Path) -> Path:
    """Keep one line that was bought of each invoice, which says all that cohorts ask."""
    invoices = set()
    with gzip.open(file, "rt", encoding="utf-8", newline="") as lines, copy.open("w", newline="") as kept:
        reader = csv.DictReader(lines)
        writer = csv.DictWriter(kept, reader.fieldnames or ())
        writer.writeheader()
        for line in reader:
            if (
                line["InvoiceNo"] not in invoices
                and Decimal(line["Quantity"]) * Decimal(line["UnitPrice"]) > 0
            ):
                invoices.add(line["InvoiceNo"])
                writer.writerow(line)
    return copy


def test_online_retail_gives_the_cohort_of_december(real_data: Path, tmp_path: Path, settings: Any) -> None:
    settings.REPORTING_CURRENCY = "GBP"
    file = real_data / "online-retail" / "online_retail_2010-12_2011-06.csv.gz"
    lines = first_lines_of_invoices(file, tmp_path / "invoices.csv")
    counts, code = import_file("charges", lines, EXAMPLES / "retail-charges.json")
    assert (counts.rejected, code) == (0, 0)
    table = matrix(Period(date(2010, 12, 1), date(2011, 6, 1)), variant="buyers")
    assert [cell.counts["active"] for cell in table.cohorts[0].cells] == [885, 324, 286, 340, 321, 352]
    assert kpi("cohort_retention", "2010-12-01", "2011-01-01", variant="buyers")["denominator"] == "885"


def test_servicenow_updates_become_tickets(real_data: Path, tmp_path: Path) -> None:
    file = real_data / "incidents-servicenow" / "incident_event_log.csv.gz"
    counts, code = bring_in(tmp_path, file, "servicenow-ticket-events")
    assert (counts.rows, counts.rejected, code) == (141_712, 0, 0)
    assert latest().details["tickets"] == Ticket.objects.count() == 24_918
    assert Ticket.objects.filter(is_first_contact=True).count() == 13_487
    assert Ticket.objects.filter(reopen_count__gt=0).count() == 275

    reopened = TicketEvent.objects.filter(ticket=OuterRef("ticket"), kind="reopened").order_by("-happened_at")
    stated = TicketEvent.objects.filter(kind="resolved", is_estimated=False).annotate(
        last_reopened=Subquery(reopened.values("happened_at")[:1])
    )
    lasting = stated.filter(Q(last_reopened=None) | Q(happened_at__gte=F("last_reopened")))
    hours = sorted(
        (end - start).total_seconds() / 3600
        for start, end in lasting.values_list("ticket__opened_at", "happened_at")
    )
    assert (len(hours), round(statistics.median(hours), 2)) == (23_362, 22.10)
    assert round(hours[int(0.9 * len(hours))], 2) == 381.55

    whole = ("2016-02-01", "2017-03-01")
    rate = kpi("first_contact_resolution_rate", *whole)
    assert (rate["numerator"], rate["denominator"], near(rate["value"])) == ("13487", "24918", 54.1255)
    assert kpi("tickets_received", *whole)["value"] == "24918"
    typical, slow = (kpi("resolution_time", *whole, variant=variant) for variant in ("median", "p90"))
    assert (typical["numerator"], round(float(typical["value"]), 2)) == ("23362", 22.10)
    assert round(float(slow["value"]), 2) == 381.55
    back = kpi("reopen_rate", *whole)
    assert (back["numerator"], back["denominator"], near(back["value"])) == ("275", "24918", 1.1036)
    # Some of those that came back did so more than once; each was closed again.
    counts = kpi("ticket_backlog", *whole)["counts"]
    assert (counts["received"], counts["reopened"], counts["merged"]) == ("24918", "331", "0")
    assert kpi("tickets_closed", *whole)["value"] == counts["closed"] == str(24918 + 331)
    assert kpi("ticket_backlog", *whole)["value"] == "0"  # every ticket of the file is closed in the end
    backlog = 0
    steps = {"opened": 1, "reopened": 1, "resolved": -1}
    events = TicketEvent.objects.filter(kind__in=steps).order_by("happened_at", "pk")
    for kind in events.values_list("kind", flat=True):
        backlog += steps[kind]
    assert backlog == 0


def test_half_of_a_real_file_is_refused_and_stores_nothing(real_data: Path, tmp_path: Path) -> None:
    whole = (real_data / "telco-churn" / "Telco-Customer-Churn.csv.gz").read_bytes()
    half = tmp_path / "half.csv.gz"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Exception, match="incomplete"):
        import_file("accounts", half, EXAMPLES / "telco-accounts.json")
    assert Account.objects.count() == 0


def test_a_real_file_cut_in_a_row_rejects_that_row_and_resumes_whole(real_data: Path, tmp_path: Path) -> None:
    text = gzip.decompress((real_data / "telco-churn" / "Telco-Customer-Churn.csv.gz").read_bytes())
    cut = tmp_path / "cut.csv"
    cut.write_bytes(text[:20_000])
    counts, code = import_file("accounts", cut, EXAMPLES / "telco-accounts.json")
    assert (counts.rejected, code) == (1, 1)
    cut.write_bytes(text)
    whole, code = import_file("accounts", cut, EXAMPLES / "telco-accounts.json")
    assert (whole.unchanged, whole.created + whole.unchanged, code) == (counts.created, 7043, 0)

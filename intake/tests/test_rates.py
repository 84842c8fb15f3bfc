"""Exchange rates from a file."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from accounts.models import ExchangeRate
from intake.models import RowNote
from intake.tests.files import import_file, write
from team.models import Work

pytestmark = pytest.mark.django_db


def known() -> list[tuple[str, str, Decimal]]:
    rows = ExchangeRate.objects.in_order().values_list("currency", "starts_on", "rate")
    return [(currency, day.isoformat(), rate) for currency, day, rate in rows]


def test_a_corrected_file_adds_what_differs_and_keeps_what_stood_before(tmp_path: Path) -> None:
    head = "currency,month,rate\nUSD,2026-01-01,0.90\n"
    import_file("rates", write(tmp_path, f"{head}USD,2026-02-01,0.80\nGBP,2026-01-01,1.2\n"))
    second, _ = import_file("rates", write(tmp_path, f"{head}USD,2026-02-01,0.85\nCHF,2026-01-01,1\n"))
    assert (second.created, second.updated, second.unchanged) == (1, 1, 1)
    assert known() == [
        ("CHF", "2026-01-01", 1),
        ("GBP", "2026-01-01", Decimal("1.2")),
        ("USD", "2026-01-01", Decimal("0.9")),
        ("USD", "2026-02-01", Decimal("0.8")),
        ("USD", "2026-02-01", Decimal("0.85")),
    ]
    assert set(Work.objects.values_list("key", flat=True)) >= {"rate: CHF", "rate: GBP", "rate: USD"}


def test_rates_as_central_banks_quote_them_are_turned_round(tmp_path: Path) -> None:
    import_file("rates", write(tmp_path, "currency,month,units\nUSD,2026-01-01,1.25\nJPY,2026-01-01,160\n"))
    assert known() == [("JPY", "2026-01-01", Decimal("0.00625")), ("USD", "2026-01-01", Decimal("0.8"))]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("EUR,2026-01-01,1", "currency"),
        ("XXZ,2026-01-01,1", "currency"),
        ("USD,2026-02-30,1", "starts_on"),
        ("USD,1066-01-01,1", "starts_on"),
        ("USD,2026-01-01,0", "rate"),
        ("USD,2026-01-01,-1", "rate"),
        ("USD,2026-01-01,9999999999", "rate"),
        ("USD,2026-01-01,", "rate"),
        ("GBP,2026-01-01,1.3", "rate"),
    ],
)
def test_a_bad_row_is_refused_by_its_field_and_stops_no_other(tmp_path: Path, row: str, field: str) -> None:
    record, code = import_file("rates", write(tmp_path, f"currency,month,rate\nGBP,2026-01-01,1.2\n{row}\n"))
    assert (code, record.created, record.rejected) == (1, 1, 1)
    assert RowNote.objects.get().field == field

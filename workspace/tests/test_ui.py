"""The parts pages are made of: what they say, what they link to, what they refuse."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.core.paginator import Paginator
from django.template import TemplateSyntaxError, engines
from django.template.loader import get_template
from django.test import Client, RequestFactory
from django.urls import reverse

from team.models import User
from workspace.charts import Chart, HeatCell, HeatMap, Series
from workspace.navigation import items_for
from workspace.sparklines import area_path, line_path, line_points
from workspace.templatetags import ui


def render(source: str, path: str = "/portfolio/", **context: Any) -> str:
    request = RequestFactory().get(path)
    template = engines["django"].from_string("{% load ui show %}" + source)
    return " ".join(template.render(context, request).split())


# --- Sparklines -----------------------------------------------------------------------


def test_a_sparkline_goes_from_the_lowest_to_the_highest_value():
    assert line_points([1, 3, 2]) == [[(0.0, 45.0), (120.0, 3.0), (240.0, 24.0)]]


def test_a_missing_value_breaks_the_sparkline():
    assert [len(stroke) for stroke in line_points([1, None, 2, 2])] == [1, 2]


def test_equal_values_draw_a_line_through_the_middle():
    assert line_points([5, 5]) == [[(0.0, 24.0), (240.0, 24.0)]]


@pytest.mark.parametrize("values", [[], [4], [None, None]])
def test_too_few_values_draw_nothing(values):
    assert line_points(values) == []


def test_the_paths_of_a_sparkline_are_closed_only_for_the_area():
    points = [(0.0, 45.0), (240.0, 3.0)]
    assert line_path(points) == "M0.0 45.0L240.0 3.0"
    assert area_path(points) == "M0.0 45.0L240.0 3.0L240.0 48L0.0 48Z"


# --- Numbers --------------------------------------------------------------------------


def test_a_kpi_cards_value_links_to_its_explanation():
    html = render('{% kpi_card label="NPS" value=43 unit="points" href="/kpis/nps/" %}')
    assert '<a class="kpi-value" href="/kpis/nps/" title="How this number comes about">43</a>' in html


def test_a_kpi_card_without_a_value_says_why():
    html = render('{% kpi_card label="NPS" value=None href="/kpis/nps/" reason="no_responses" %}')
    assert "no data" in html
    assert "Nobody answered in this period." in html


def test_a_kpi_card_keeps_a_value_of_nought():
    assert ">0</span>" in render('{% kpi_card label="Churned" value=0 %}')


def test_a_kpi_card_marks_a_small_sample():
    assert "small sample" in render('{% kpi_card label="NPS" value=43 small_sample=True sample_size=4 %}')


@pytest.mark.parametrize(
    ("change", "better", "verdict"),
    [
        (2, "up", "is-better"),
        (-2, "up", "is-worse"),
        (-2, "down", "is-better"),
        (2, "down", "is-worse"),
        (0, "up", "is-flat"),
        (2, "neither", "is-flat"),
    ],
)
def test_whether_a_change_is_good_depends_on_the_numbers_direction(change, better, verdict):
    assert f'class="delta {verdict}"' in ui.delta(change, "count", better)


def test_a_change_says_better_or_worse_without_colour():
    assert '<span class="visually-hidden"> worse' in ui.delta(-2)


def test_a_band_has_a_word_beside_its_colour():
    html = ui.band("red")
    assert "At risk" in html
    assert "<svg" in html


def test_a_score_outside_its_range_does_not_burst_its_bar():
    assert 'class="score-fill" width="100"' in ui.score(Decimal("130"), "green")


def test_no_score_is_no_zero():
    html = ui.score(None, "")
    assert "no score" in html
    assert "0" not in html.replace("</span>", "")


@pytest.mark.parametrize(
    ("used", "total", "days", "text"),
    [
        (5, 6, 3, "5 of 6 signals · oldest 3 days"),
        (6, 6, 1, "6 of 6 signals · oldest 1 day"),
        (6, 6, 0, "6 of 6 signals · all from today"),
        (0, 6, None, "0 of 6 signals"),
    ],
)
def test_coverage_says_how_many_signals_and_how_old(used, total, days, text):
    assert text in ui.coverage(used, total, days)


# --- Text from outside ----------------------------------------------------------------


@pytest.mark.parametrize(
    "source",
    [
        "{% card title=evil %}{{ evil }}{% endcard %}",
        '{% empty title=evil icon="inbox" %}{{ evil }}{% endempty %}',
        "{% timeline_item title=evil who=evil %}{{ evil }}{% endtimeline_item %}",
        "{% alert title=evil %}{{ evil }}{% endalert %}",
        '{% dialog "key" evil %}{{ evil }}{% enddialog %}',
        '{% definition "key" evil %}{{ evil }}{% enddefinition %}',
        "{% avatar evil %}",
        "{% copy evil %}",
        "{% kpi_card label=evil value=1 note=evil %}",
        "{% breadcrumb evil evil evil %}",
        '{% progress 1 2 label=evil text="x" %}',
        "{% chart chart %}",
    ],
)
def test_text_from_outside_is_escaped_in_every_part(source):
    evil = '"><script>alert(1)</script>'
    chart = Chart(
        kind="line",
        key="k",
        summary=evil,
        categories=[evil, "b"],
        series=[Series(name=evil, values=[1, 2])],
    )
    assert "<script>alert" not in render(source, evil=evil, chart=chart)


def test_an_icon_nobody_fetched_is_an_error_that_says_what_to_do():
    with pytest.raises(TemplateSyntaxError, match=r"scripts/icons\.txt"):
        ui.icon("no-such-icon")


def test_an_icon_cannot_reach_outside_its_folder():
    with pytest.raises(TemplateSyntaxError):
        ui.icon("../../css/site")


# --- Lists ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "state", "href"),
    [
        ("/?band=red&page=4", "none", "?band=red&amp;sort=mrr"),
        ("/?sort=mrr", "ascending", "?sort=-mrr"),
        ("/?sort=-mrr", "descending", "?sort=mrr"),
    ],
)
def test_a_head_cell_sorts_keeps_the_filters_and_returns_to_the_first_page(path, state, href):
    html = render('{% th "mrr" "MRR" %}', path)
    assert f'aria-sort="{state}"' in html
    assert f'href="{href}"' in html


def test_pages_keep_the_filters():
    page = Paginator(range(120), 50).get_page(2)
    html = render("{% pagination page %}", "/?band=red&page=2", page=page)
    assert 'href="?band=red&amp;page=3"' in html
    assert "51–100 of 120" in html


class Filter(forms.Form):
    band = forms.MultipleChoiceField(label="Health", choices=[("red", "At risk"), ("green", "Healthy")])


def test_a_chip_takes_away_its_own_value_only():
    request = RequestFactory().get("/?band=red&band=green&sort=mrr&page=3")
    html = render("{% chips form %}", "/?band=red&band=green&sort=mrr&page=3", form=Filter(request.GET))
    assert 'href="?band=green&amp;sort=mrr" aria-label="Remove filter Health: At risk"' in html


def test_no_filter_in_force_shows_no_chips():
    assert render("{% chips form %}", "/?sort=mrr", form=Filter()) == ""


# --- Forms ----------------------------------------------------------------------------


class Note(forms.Form):
    seats = forms.IntegerField(min_value=1, help_text="As contracted.")


def test_a_fields_hint_and_error_are_tied_to_it():
    form = Note({"seats": "0"})
    html = render("{% field form.seats %}", form=form)
    assert 'aria-describedby="id_seats_hint id_seats_error"' in html
    assert 'id="id_seats_error"' in html
    assert 'aria-invalid="true"' in html


def test_the_list_of_errors_links_to_each_field():
    assert '<a href="#id_seats">Seats</a>' in render("{% form_errors form %}", form=Note({"seats": "0"}))


# --- Charts ---------------------------------------------------------------------------


def sample_chart(**changes: Any) -> Chart:
    fields: dict[str, Any] = {
        "kind": "line",
        "key": "nrr",
        "unit": "percent",
        "summary": "Rising.",
        "categories": ["Jan", "Feb"],
        "series": [Series(name="Net", values=[Decimal("104.2"), None], links=["/kpis/nrr/", None])],
    }
    return Chart(**{**fields, **changes})


def test_a_chart_brings_its_sentence_and_its_figures():
    html = render("{% chart chart %}", chart=sample_chart()).replace("\u00a0", " ")
    assert "Rising." in html
    assert '<a href="/kpis/nrr/">104.2 %</a>' in html
    assert "no data" in html


def test_a_chart_without_figures_says_so_and_draws_nothing():
    html = render("{% chart chart %}", chart=sample_chart(series=[Series(name="Net", values=[None, None])]))
    assert "No data to draw" in html
    assert "data-chart" not in html


def test_a_series_of_another_length_than_its_categories_is_refused():
    with pytest.raises(ValueError, match="2 categories"):
        sample_chart(series=[Series(name="Net", values=[1])])


def test_a_chart_of_money_carries_the_currencys_sign():
    assert ui.chart_data(sample_chart(unit="GBP"))["symbol"] == "£"


@pytest.mark.parametrize(("value", "step"), [(60, 0), (80, 5), (100, 10), (40, 0), (120, 10), (None, None)])
def test_a_heat_maps_colour_stays_on_its_scale(value, step):
    heat = HeatMap(caption="", corner="", columns=[], rows=[], low=60, high=100)
    assert heat.step(value) == step


def test_a_heat_maps_cells_lead_to_their_rows():
    heat = HeatMap(
        caption="Kept", corner="Joined", columns=["M0"], rows=[("Jan", [HeatCell(value=99, href="/x/")])]
    )
    assert '<a href="/x/">99</a>' in render("{% heatmap heat %}", heat=heat)


# --- The frame ------------------------------------------------------------------------


def test_only_admins_see_the_way_to_the_admin_pages():
    for role, sees in [("admin", True), ("manager", False), ("csm", False), ("viewer", False)]:
        paths = [item.path for item in items_for(User(role=role))]
        assert ("/admin/" in paths) is sees


def test_an_accounts_page_belongs_to_the_portfolio():
    current = [item.label for item in items_for(User(role="csm")) if item.is_current("/accounts/7/")]
    assert current == ["Portfolio"]


@pytest.mark.django_db
def test_the_page_of_parts_asks_for_a_login(client: Client):
    answer = client.get(reverse("workspace:design"))
    assert answer.status_code == 302
    assert answer["Location"].startswith("/auth/login/")


@pytest.mark.django_db
def test_the_page_of_parts_works_with_any_filters(client: Client):
    client.force_login(User.objects.create_user("ada@example.org", name="Ada"))
    answer = client.get(reverse("workspace:design"), {"band": "nonsense", "page": "x", "sort": "'"})
    assert answer.status_code == 200


@pytest.mark.django_db
def test_no_page_carries_inline_script_or_style(client: Client):
    client.force_login(User.objects.create_user("ada@example.org", name="Ada"))
    html = client.get(reverse("workspace:design")).content.decode()
    assert " style=" not in html
    assert "<style" not in html
    assert " onclick=" not in html
    scripts = html.split("<script")[1:]
    assert all(
        ' src="' in script.split(">")[0] or "application/json" in script.split(">")[0] for script in scripts
    )


@pytest.mark.django_db
def test_an_unknown_address_gets_our_own_page(client: Client):
    answer = client.get("/nothing-here/")
    assert answer.status_code == 404
    assert "There is nothing here" in answer.content.decode()


def test_the_page_for_a_broken_server_needs_no_context():
    html = get_template("500.html").render()
    assert "Something broke on our side" in html
    assert "{" not in html

"""The numbers: each defined once, for the API, the pages, the command, the documents and the tests.

    question = Question("customer_churn_rate", Period.month_of(day), group_by="plan", user=user)
    answer = ask(question)            # value, counts, groups; answer.as_dict() is the API's JSON
    series(question, "week")          # one answer a week
    rows(question, "denominator")     # the rows that were counted, a page at a time
    compare(question, "previous")     # with the period before: the change, and whether it is significant

`read_question` makes a question from the texts of a form, a query string or a command line.
Whatever cannot be asked raises KpiError with the field and a sentence.
"""

from metrics.kpis.aims import Aim, Aims
from metrics.kpis.asking import (
    Answer,
    Group,
    Question,
    Rows,
    ask,
    ask_many,
    ask_stored,
    late_facts,
    rows,
    series,
    spreads,
    step_labels,
)
from metrics.kpis.catalogue import KPIS
from metrics.kpis.comparing import EARLIER, Comparison, compare, earlier_question, significance
from metrics.kpis.counting import Filters
from metrics.kpis.definition import DIMENSIONS, STEPS, Grouping, Kpi, KpiError, Variant
from metrics.kpis.figures import Figure
from metrics.kpis.reading import default_period, month_so_far, read_question

__all__ = [
    "DIMENSIONS",
    "EARLIER",
    "KPIS",
    "STEPS",
    "Aim",
    "Aims",
    "Answer",
    "Comparison",
    "Figure",
    "Filters",
    "Group",
    "Grouping",
    "Kpi",
    "KpiError",
    "Question",
    "Rows",
    "Variant",
    "ask",
    "ask_many",
    "ask_stored",
    "compare",
    "default_period",
    "earlier_question",
    "late_facts",
    "month_so_far",
    "read_question",
    "rows",
    "series",
    "significance",
    "spreads",
    "step_labels",
]

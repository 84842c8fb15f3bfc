"""What playbooks add to the numbers: the tasks that were done."""

from __future__ import annotations

from typing import Any

from django.db.models import Case, F, Q, QuerySet, Value, When

from metrics.kpis import team
from metrics.kpis.counting import ONE, day_of_moment
from metrics.kpis.definition import Amount, Kpi, Part, Scope, Variant, within
from playbooks.models import Task


def _done(scope: Scope) -> QuerySet[Any]:
    period = scope.period
    return (
        Task.objects.done()
        .filter(done_at__gte=period.starts_at, done_at__lt=period.ends_at)
        .annotate(kpi_day=day_of_moment("done_at"))
        .annotate(
            kpi_on_time=Case(When(Q(kpi_day__lte=F("due_on")), then=ONE), default=Value(0)),
        )
    )


TASKS_COMPLETED = Kpi(
    slug="tasks_completed",
    label="Tasks completed",
    theme=team.THEME,
    unit="count",
    higher_is_better=True,
    kind="flow",
    definition=(
        "Tasks done in the period, and how many of them by the day they were due. By CSM it is who held the "
        "account that day; 'by' is whose task it was. A task that was opened again is not done."
    ),
    own_groups=(team.BY,),
    has_known_at=False,
    variants=(
        Variant(
            parts=(
                Part(
                    facts=_done,
                    amounts={"tasks": Amount(ONE), "on_time": Amount(F("kpi_on_time"))},
                    csm_on=F("kpi_day"),
                    columns={
                        "done_on": "kpi_day",
                        "task": "title",
                        "due_on": "due_on",
                        "by": "assignee__name",
                        "id": "pk",
                    },
                    groups={"by": "assignee"},
                    first_on=within,
                ),
            ),
            numerator="tasks",
            formula="tasks by the day they were done, counted",
            source="tasks",
        ),
    ),
)

KPIS = (TASKS_COMPLETED,)

"""What playbooks add to the company of metrics.tests.cast."""

from __future__ import annotations

from datetime import date

from accounts.models import Account
from metrics.tests.cast import Cast, at, february
from playbooks.models import Task
from team.models import User


def task(account: Account, assignee: User, due_on: date, done_on: date | None = None) -> Task:
    return Task.objects.create(
        account=account,
        assignee=assignee,
        title=f"Call {account}",
        due_on=due_on,
        state=Task.State.DONE if done_on else Task.State.OPEN,
        done_at=at(done_on) if done_on else None,
    )


def finish_tasks(company: Cast) -> None:
    """Ada is in time with one task and late with the other; Grace has one open."""
    task(company.acme, company.ada, february(12), february(11))
    task(company.globex, company.ada, february(10), february(13))
    task(company.globex, company.grace, february(20))

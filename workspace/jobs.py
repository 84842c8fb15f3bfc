"""What these pages leave to the queue: dashboards by mail."""

from __future__ import annotations

from django.utils import timezone

from team.mail import Letter, composes
from team.models import Mail
from team.work import Work, every, handles
from workspace import mailing


@every("dashboards whose time has come are mailed", seconds=60, kind="workspace.send_dashboards")
@handles("workspace.send_dashboards", atomic=False)
def send_dashboards(work: Work) -> None:
    mailing.send_due(timezone.now())


@composes(mailing.KIND)
def write_dashboard(mail: Mail) -> Letter:
    return mailing.write(mail)

"""How the installation feels: for probes in one word, for admins in sentences."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Min, Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from team import readiness
from team.models import ScheduledJob, User, Work

DEAD_SHOWN = 20


@require_safe
@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers. Nothing else is asked: a probe must not restart it for a broken database."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """The parts by name, and 503 if one has failed."""
    parts = {check.name: check.state for check in readiness.checks()}
    has_failed = "failed" in parts.values()
    return JsonResponse(
        {"status": "failed" if has_failed else "ok", "checks": parts}, status=503 if has_failed else 200
    )


@require_safe
@never_cache
@login_required
def status(request: HttpRequest) -> HttpResponse:
    """For admins: what is down, what still works, what waits and what was given up."""
    if not (isinstance(request.user, User) and request.user.is_admin):
        raise PermissionDenied
    now = timezone.now()
    queue = (
        Work.objects.exclude(state__in=[Work.State.DONE, Work.State.CANCELLED])
        .values("kind", "lane")
        .annotate(
            waiting=Count("pk", filter=Q(state=Work.State.QUEUED)),
            running=Count("pk", filter=Q(state=Work.State.CLAIMED)),
            dead=Count("pk", filter=Q(state=Work.State.DEAD)),
            oldest_due_at=Min("due_at", filter=Q(state=Work.State.QUEUED, due_at__lte=now)),
        )
        .order_by("kind")
    )
    dead = Work.objects.filter(state=Work.State.DEAD)
    return render(
        request,
        "team/status.html",
        {
            "checks": readiness.checks(now),
            "queue": queue,
            "dead": dead.order_by("-finished_at")[:DEAD_SHOWN],
            "dead_count": dead.count(),
            "schedule": ScheduledJob.objects.order_by("name"),
        },
    )

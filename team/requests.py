"""The requests that views behind a sign-in get."""

from __future__ import annotations

from django.http import HttpRequest

from team.models import User


class StaffRequest(HttpRequest):
    """A request of somebody signed in; `login_required` has seen to that."""

    user: User

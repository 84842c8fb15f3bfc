"""API keys: made once, shown once, kept as a hash, worth nothing from the moment they are revoked."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from team.models import ApiKey, User

PREFIX = "csp_"


def digest_of(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def new_token() -> str:
    """Return 256 random bits with a prefix that secret scanners can recognise."""
    return PREFIX + secrets.token_urlsafe(32)


def issue(*, name: str, owner: User, scope: str, expires_at: datetime | None = None) -> tuple[ApiKey, str]:
    """Make a key; the second value is the key itself, which nobody can read again."""
    token = new_token()
    key = ApiKey.objects.create(
        name=name, owner=owner, scope=scope, expires_at=expires_at, prefix=token[:10], digest=digest_of(token)
    )
    return key, token


def find(token: str, *, at: datetime) -> ApiKey | None:
    """Return the usable key that `token` is, noting its use once a minute at most."""
    key = ApiKey.objects.usable(at).select_related("owner").filter(digest=digest_of(token)).first()
    if key and (key.last_used_at is None or at - key.last_used_at > timedelta(minutes=1)):
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=at)
    return key


def revoke(key: ApiKey, *, at: datetime) -> None:
    ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=at)

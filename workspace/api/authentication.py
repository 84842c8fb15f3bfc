"""Who calls: a signed-in person's session, or a program with a key."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from intake.models import may_import
from team import keys
from team.models import ApiKey, User


class BearerKey(BaseAuthentication):
    """Reads `Authorization: Bearer csp_…`; the key acts as its owner."""

    def authenticate(self, request: Request) -> tuple[User, ApiKey] | None:
        words = get_authorization_header(request).split()
        if not words or words[0].lower() != b"bearer":
            return None
        if len(words) != 2:
            raise AuthenticationFailed("Write the header as: Authorization: Bearer csp_….")
        try:
            token = words[1].decode("ascii")
        except UnicodeDecodeError:
            raise AuthenticationFailed("This key is not valid.") from None
        key = keys.find(token, at=timezone.now())
        if key is None:
            raise AuthenticationFailed("This key is not valid: unknown, expired or revoked.")
        return key.owner, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class BearerKeySchema(OpenApiAuthenticationExtension):
    target_class = BearerKey
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "description": "An API key, beginning with csp_."}


def may_write_with(request: Request) -> bool:
    """Return whether the key that calls, if one does, is for writing."""
    return not (isinstance(request.auth, ApiKey) and request.auth.scope != ApiKey.Scope.WRITE)


class ReadOrAdminWrites(BasePermission):
    """Everybody signed in reads what they may see; admins, and their keys that may write, write."""

    message = "Writing through the API needs an admin, or a key of an admin with the scope “write”."

    def has_permission(self, request: Request, view: Any) -> bool:
        user = request.user
        if not user.is_authenticated or not user.is_active:
            return False
        if request.method in SAFE_METHODS:
            return True
        return user.is_admin and not (
            isinstance(request.auth, ApiKey) and request.auth.scope != ApiKey.Scope.WRITE
        )


class MayImport(BasePermission):
    """Admins and managers bring files in, and their keys that may write."""

    message = "Importing needs an admin or a manager, or a key of one with the scope “write”."

    def has_permission(self, request: Request, view: Any) -> bool:
        return may_import(request.user) and (request.method in SAFE_METHODS or may_write_with(request))

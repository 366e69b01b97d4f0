"""The keys of the test project, of both kinds, and their roles."""

import time
from typing import Any, Final

import jwt

SECRET: Final = "a-secret-of-at-least-thirty-two-characters"
ANOTHER_SECRET: Final = "another-secret-of-thirty-two-characters-or-so"

PUBLISHABLE: Final = "sb_publishable_0123456789abcdefghijkl_AbCdEfGh"
SECRET_KEY: Final = "sb_secret_0123456789abcdefghijklmn_AbCdEfGh"


def legacy_key(role: str, *, secret: str = SECRET, expires_in: float = 3_600) -> str:
    """Sign a legacy API key."""
    now = int(time.time())
    claims: dict[str, Any] = {"iss": "supabase", "role": role, "iat": now - 60, "exp": int(now + expires_in)}
    return jwt.encode(claims, secret, algorithm="HS256")


ANON: Final = legacy_key("anon")
SERVICE_ROLE: Final = legacy_key("service_role")

ROLES: Final = {PUBLISHABLE: "anon", SECRET_KEY: "service_role", ANON: "anon", SERVICE_ROLE: "service_role"}
"""The role of every key that the gateway accepts."""

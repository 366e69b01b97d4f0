"""Named access tokens with a role, and sessions of the dashboard.

The database stores hashes only. A token has 256 random bits, so that SHA-256 without a salt is enough: it cannot be
found by brute force, and a slow hash would slow down every request. Session cookies are created and stored likewise.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import uuid4

from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.access import AccessTokenRow, NewAccessTokenRow, RevokedTokenRow, WebSessionRow
from cogo_dagster.queue.rows.base import read_list
from cogo_dagster.queue.transports.base import Transport

Role = Literal["viewer", "operator", "admin"]

ROLES: Final[tuple[Role, ...]] = ("viewer", "operator", "admin")
"""In ascending order: a viewer reads, an operator also acts on jobs and alerts, an admin may do everything."""

_TOKEN: Final = re.compile(r"cogo_[A-Za-z0-9_-]{43}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Holder:
    """The holder of a token or session.

    Attributes:
        name: Name in the operations log.
        token_id: The named token; None for the admin token.
    """

    name: str
    role: Role
    token_id: str | None = None

    def may(self, role: Role) -> bool:
        """Whether the holder has at least this role."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class WebSession:
    """A live session.

    Attributes:
        session_hash: Known to the server only; signs URLs that are valid without the cookie.
        seal: HMAC of the cookie with the admin token; None for the session of a named token.
    """

    id: str
    session_hash: str = field(repr=False)
    holder: Holder
    seal: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Creates, lists, revokes and verifies tokens, and manages sessions. Every method raises QueueError."""

    transport: Transport = field(repr=False)

    def create(
        self, name: str, role: Role, *, expires_in_seconds: float | None = None, actor: str | None = None
    ) -> tuple[str, NewAccessTokenRow]:
        """Create a token; return the token, which is not stored, and its row.

        Raises:
            InvalidArgument: A live token has the name, or a value is out of range.
        """
        token = f"cogo_{secrets.token_urlsafe(32)}"
        row = self.transport.call(
            "create_access_token",
            {
                "token_id": str(uuid4()),
                "name": name,
                "role": role,
                "token_hash": hashed(token),
                "expires_in_seconds": expires_in_seconds,
                "actor": actor,
            },
        )
        return token, NewAccessTokenRow.model_validate(row)

    def rows(self, *, live_only: bool = False) -> list[AccessTokenRow]:
        """Return the rows of at most 1,000 tokens, live ones first, without the tokens."""
        return read_list(AccessTokenRow, self.transport.call("list_access_tokens", {"live_only": live_only}))

    def revoke(self, name: str, actor: str | None = None) -> RevokedTokenRow:
        """Revoke the live token of a name, and end its sessions."""
        return RevokedTokenRow.model_validate(
            self.transport.call("revoke_access_token", {"name": name, "actor": actor})
        )

    def holder_of(self, token: str) -> Holder | None:
        """Return the holder of a live token and record its use; None if the token is not valid."""
        if not _TOKEN.fullmatch(token):
            return None
        result = self.transport.call("use_access_token", {"token_hash": hashed(token)})
        if result is None:
            return None
        row = AccessTokenRow.model_validate(result)
        return Holder(row.name, row.role, str(row.id))

    def open_session(self, secret: str, holder: Holder, lifetime_seconds: float, seal: str | None) -> None:
        """Create a session for a cookie.

        Args:
            secret: Value of the cookie.
            holder: Holder of the token of the login.
            lifetime_seconds: Time until the session expires.
            seal: Seal of a session with the admin token; see `WebSession`.
        """
        self.transport.call(
            "open_web_session",
            {
                "session_hash": hashed(secret),
                "holder": holder.name,
                "lifetime_seconds": lifetime_seconds,
                "token_id": holder.token_id,
                "seal": None if holder.token_id else seal,
            },
        )

    def session_of(self, secret: str) -> WebSession | None:
        """Return the live session of a cookie."""
        if not _SECRET.fullmatch(secret):
            return None
        return _session(self.transport.call("use_web_session", {"session_hash": hashed(secret)}))

    def session_by_id(self, session_id: str) -> WebSession | None:
        """Return a live session by ID, as named in a signed URL."""
        return _session(self.transport.call("use_web_session", {"session_id": session_id}))

    def end_session(self, secret: str) -> None:
        """End a session on every server."""
        if _SECRET.fullmatch(secret):
            self.transport.call("end_web_session", {"session_hash": hashed(secret)})


def new_secret() -> str:
    """Return 256 random bits as 43 characters."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """Return the hash that the database stores of a token or cookie."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _session(document: Json) -> WebSession | None:
    if document is None:
        return None
    row = WebSessionRow.model_validate(document)
    holder = Holder(row.holder, row.role, str(row.token_id) if row.token_id else None)
    return WebSession(str(row.id), row.session_hash, holder, row.seal)

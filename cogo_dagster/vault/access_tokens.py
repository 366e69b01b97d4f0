"""Named tokens with a role, and the sessions that stand for a token in a browser.

The database keeps hashes only. A token is 256 random bits, so SHA-256 without a salt is enough: nobody finds it by
trying, and a slow hash would cost every request. A session's cookie is made and kept in the same way.
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
"""From the one that may least: a viewer reads, an operator acts on jobs and alerts too, an admin does everything."""

_TOKEN: Final = re.compile(r"cogo_[A-Za-z0-9_-]{43}")
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True)
class Holder:
    """Who shows a token or has a session.

    Attributes:
        name: As the operations log says it.
        token_id: The named token; None for the admin token.
    """

    name: str
    role: Role
    token_id: str | None = None

    def may(self, role: Role) -> bool:
        """Whether this role is that one or more."""
        return ROLES.index(self.role) >= ROLES.index(role)


@dataclass(frozen=True, slots=True)
class WebSession:
    """A live session.

    Attributes:
        session_hash: Known to the server alone; signs addresses that work without the cookie.
        seal: HMAC of the cookie's value with the admin token; None for the session of a named token.
    """

    id: str
    session_hash: str = field(repr=False)
    holder: Holder
    seal: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Creates, lists and revokes tokens, and finds who holds one. Every method raises QueueError."""

    transport: Transport = field(repr=False)

    def create(
        self, name: str, role: Role, *, expires_in_seconds: float | None = None, actor: str | None = None
    ) -> tuple[str, NewAccessTokenRow]:
        """Make a token; return it, which is kept nowhere, and its row.

        Raises:
            InvalidArgument: The name is taken by a live token, or a value is out of bounds.
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
        """Return the tokens there are, at most 1,000, live ones first; never the tokens themselves."""
        return read_list(AccessTokenRow, self.transport.call("list_access_tokens", {"live_only": live_only}))

    def revoke(self, name: str, actor: str | None = None) -> RevokedTokenRow:
        """End the live token of a name and its sessions."""
        return RevokedTokenRow.model_validate(
            self.transport.call("revoke_access_token", {"name": name, "actor": actor})
        )

    def holder_of(self, token: str) -> Holder | None:
        """Return who holds a token, and write down that it was used; None if it is none of ours or no longer live."""
        if not _TOKEN.fullmatch(token):
            return None
        answer = self.transport.call("use_access_token", {"token_hash": hashed(token)})
        if answer is None:
            return None
        row = AccessTokenRow.model_validate(answer)
        return Holder(row.name, row.role, str(row.id))

    def open_session(self, secret: str, holder: Holder, lifetime_seconds: float, seal: str | None) -> None:
        """Begin a session whose cookie has this value.

        Args:
            seal: For the holder of the admin token; see `WebSession`.
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
        """Return the live session of a cookie's value."""
        if not _SECRET.fullmatch(secret):
            return None
        return _session(self.transport.call("use_web_session", {"session_hash": hashed(secret)}))

    def session_by_id(self, session_id: str) -> WebSession | None:
        """Return a live session that a signed address names."""
        return _session(self.transport.call("use_web_session", {"session_id": session_id}))

    def end_session(self, secret: str) -> None:
        """End a session, on every server."""
        if _SECRET.fullmatch(secret):
            self.transport.call("end_web_session", {"session_hash": hashed(secret)})


def new_secret() -> str:
    """Return 256 random bits as 43 letters."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """Return what the database keeps of a token or a cookie's value."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _session(answer: Json) -> WebSession | None:
    if answer is None:
        return None
    row = WebSessionRow.model_validate(answer)
    holder = Holder(row.holder, row.role, str(row.token_id) if row.token_id else None)
    return WebSession(str(row.id), row.session_hash, holder, row.seal)

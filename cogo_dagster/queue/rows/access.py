"""Named tokens and sessions of the dashboard."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.queue.tolerant import MaybeTime, Time

Role = Literal["viewer", "operator", "admin"]


class AccessTokenRow(Row):
    """A named token, without its secret."""

    id: UUID
    name: str
    role: Role
    state: Literal["live", "expired", "revoked"]
    created_at: Time
    created_by: str | None
    expires_at: MaybeTime
    last_used_at: MaybeTime
    revoked_at: MaybeTime
    revoked_by: str | None


class NewAccessTokenRow(AccessTokenRow):
    """A created token; `created` is False for a repeated call."""

    created: bool


class RevokedTokenRow(Row):
    """The result of a revocation; `sessions` counts the sessions that ended with the token."""

    name: str
    changed: bool
    sessions: int


class WebSessionRow(Row):
    """A valid session."""

    id: UUID
    session_hash: str = Field(repr=False)
    token_id: UUID | None
    seal: str | None = Field(repr=False)
    holder: str
    role: Role
    created_at: Time
    expires_at: Time

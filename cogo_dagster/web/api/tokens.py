"""Access tokens: administrators create, list and revoke them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.dependencies import Admin, WebDep, require_admin_reader
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/tokens", tags=["access tokens"], responses=problems(401, 403, 422, 429))

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$"

Role = Literal["viewer", "operator", "admin"]


class NewToken(BaseModel):
    """Name, role and lifetime of a token to create."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=_NAME, description="Name of the holder in the operations log.")
    role: Role = Field(description="viewer: read. operator: also act on jobs and alerts. admin: everything.")
    expires_in_seconds: float | None = Field(
        None, strict=True, gt=0, le=315_360_000, description="Null: the token does not expire."
    )


class TokenRow(BaseModel):
    """An access token, without its secret."""

    id: UUID
    name: str
    role: Role
    state: Literal["live", "expired", "revoked"]
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Updated at most once a minute.")
    revoked_at: datetime | None
    revoked_by: str | None


class Tokens(BaseModel):
    """All tokens: live, expired and revoked."""

    tokens: list[TokenRow]


class MadeToken(TokenRow):
    """A new token, with its secret. The secret is not shown again."""

    token: str


class RevokedToken(BaseModel):
    """Result of a revocation."""

    name: str
    changed: bool = Field(description="False if no live token has the name.")
    sessions: int = Field(description="Number of dashboard sessions that were ended.")


@router.get("", dependencies=[Depends(require_admin_reader)])
def list_tokens(web: WebDep) -> Tokens:
    """Tokens, live ones first."""
    return Tokens(tokens=[TokenRow.model_validate(row.document) for row in web.access.tokens.rows()])


@router.post("", responses=problems(409))
def create_token(web: WebDep, actor: Admin, new_token: NewToken) -> MadeToken:
    """Create a token. Its secret is in this response only; the server stores a hash."""
    tokens = web.access.tokens
    try:
        token, row = tokens.create(
            new_token.name, new_token.role, expires_in_seconds=new_token.expires_in_seconds, actor=actor
        )
    except InvalidArgument as error:
        raise RequestDenied(409, str(error)) from None  # the name is in use: the model has checked everything else
    return MadeToken.model_validate({**row.document, "token": token})


@router.post("/{name}/revoke")
def revoke_token(
    web: WebDep, actor: Admin, name: Annotated[str, Path(pattern=_NAME, description="Name of the token.")]
) -> RevokedToken:
    """Revoke a token and end the sessions that were opened with it."""
    return RevokedToken.model_validate(web.access.tokens.revoke(name, actor).document)

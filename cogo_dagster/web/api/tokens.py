"""Named tokens: administrators make, list and revoke them."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, ConfigDict, Field

from cogo_dagster.queue.errors import InvalidArgument
from cogo_dagster.web.access import RequestDenied
from cogo_dagster.web.dependencies import Admin, WebPart, require_admin_reader
from cogo_dagster.web.problems import problems

router = APIRouter(prefix="/api/tokens", tags=["access tokens"], responses=problems(401, 403, 422, 429))

_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,79}$"

Role = Literal["viewer", "operator", "admin"]


class NewToken(BaseModel):
    """Whose token it is, and what it may."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=_NAME, description="As the operations log names its holder.")
    role: Role = Field(description="viewer: reads. operator: acts on jobs and alerts too. admin: everything.")
    expires_in_seconds: float | None = Field(
        None, strict=True, gt=0, le=315_360_000, description="Null: it does not expire."
    )


class TokenRow(BaseModel):
    """A named token, without the token."""

    id: UUID
    name: str
    role: Role
    state: Literal["live", "expired", "revoked"]
    created_at: datetime
    created_by: str | None
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="Written at most once a minute.")
    revoked_at: datetime | None
    revoked_by: str | None


class Tokens(BaseModel):
    """The tokens there are and were."""

    tokens: list[TokenRow]


class MadeToken(TokenRow):
    """A new token, said this once."""

    token: str


class RevokedToken(BaseModel):
    """What became of a revocation."""

    name: str
    changed: bool = Field(description="False where no live token has the name.")
    sessions: int = Field(description="Sessions of the dashboard that ended with it.")


@router.get("", dependencies=[Depends(require_admin_reader)])
def list_tokens(web: WebPart) -> Tokens:
    """Tokens, live ones first."""
    return Tokens(tokens=[TokenRow.model_validate(row.document) for row in web.access.tokens.rows()])


@router.post("", responses=problems(409))
def create_token(web: WebPart, actor: Admin, what: NewToken) -> MadeToken:
    """Make a token; it is said once and kept nowhere."""
    tokens = web.access.tokens
    try:
        token, row = tokens.create(what.name, what.role, expires_in_seconds=what.expires_in_seconds, actor=actor)
    except InvalidArgument as error:
        raise RequestDenied(409, str(error)) from None  # all but the name's being taken was checked before
    return MadeToken.model_validate({**row.document, "token": token})


@router.post("/{name}/revoke")
def revoke_token(
    web: WebPart, actor: Admin, name: Annotated[str, Path(pattern=_NAME, description="The token's name.")]
) -> RevokedToken:
    """End a token and the sessions that were opened with it."""
    return RevokedToken.model_validate(web.access.tokens.revoke(name, actor).document)

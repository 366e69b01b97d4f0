"""What the API answers when it cannot do what was asked, as the OpenAPI document describes it."""

from typing import Any

from pydantic import BaseModel


class Problem(BaseModel):
    """What went wrong: one sentence that says what to do."""

    error: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the answers beside the good one, for OpenAPI; every handler may find the database gone."""
    said = {
        401: "The token is absent or wrong, and there is no session.",
        403: "The token's role is too small, or there is no token at all on the server.",
        404: "There is no such thing.",
        409: "Its status does not allow this.",
        422: "A value cannot be taken.",
        429: "Too many wrong tokens.",
        502: "The artifact store failed.",
        503: "The database cannot be reached or used.",
    }
    return {status: {"model": Problem, "description": said[status]} for status in (*statuses, 503)}

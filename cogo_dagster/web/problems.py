"""Error responses of the API, as the OpenAPI document describes them."""

from typing import Any

from pydantic import BaseModel


class Problem(BaseModel):
    """An error response. The message says what to do."""

    error: str


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the error responses of a route for OpenAPI; every route may return 503."""
    descriptions = {
        401: "The token is missing or wrong, and there is no session.",
        403: "The role of the token does not suffice, or the server has no token.",
        404: "Not found.",
        409: "The state of the resource does not allow this.",
        422: "A value is invalid.",
        429: "Too many wrong tokens.",
        502: "The artifact store failed.",
        503: "The database cannot be reached or used.",
    }
    return {status: {"model": Problem, "description": descriptions[status]} for status in (*statuses, 503)}

"""Error responses of PostgREST: status by SQLSTATE, body and header."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

import psycopg

STATUSES: Final = {
    "23503": 409,
    "23505": 409,
    "25006": 405,
    "42883": 404,
    "42P01": 404,
    "42P17": 500,
    "P0001": 400,
    "53400": 500,
    "21000": 500,
    "57P01": 503,
}
CLASSES: Final = {
    "08": 503,
    "09": 500,
    "0L": 403,
    "0P": 403,
    "25": 500,
    "28": 403,
    "2D": 500,
    "38": 500,
    "39": 500,
    "3B": 500,
    "40": 500,
    "53": 503,
    "54": 500,
    "55": 500,
    "57": 500,
    "58": 500,
    "F0": 500,
    "HV": 500,
    "P0": 500,
    "XX": 500,
}


@dataclass(frozen=True)
class RawResponse:
    """A complete HTTP response."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class ErrorResponse(Exception):
    """An error response of PostgREST."""

    def __init__(
        self, status: int, code: str, message: str, *more: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        details, hint = (*more, None, None)[:2]
        super().__init__(message)
        document = {"code": code, "details": details, "hint": hint, "message": message}
        named = (("content-type", "application/json; charset=utf-8"), ("proxy-status", f"PostgREST; error={code}"))
        body = json.dumps(document, separators=(",", ":")).encode()
        self.answer = RawResponse(status, body, (*named, *(headers or {}).items()))


def raise_error_response(error: psycopg.Error, role: str) -> NoReturn:
    """Raise the response to an error of the database.

    Raises:
        ErrorResponse: Always.
    """
    diag, state = error.diag, error.sqlstate
    message = diag.message_primary or str(error)
    if state is None:
        raise ErrorResponse(
            503, "PGRST001", "Database client error. Retrying the connection.", headers={"retry-after": "0"}
        )
    if state == "PGRST":
        _raise_custom_response(message, diag.message_detail or "{}")
    retry_after = {"retry-after": "0"}
    if state.startswith("PT") and state[2:].isdigit():
        status = int(state[2:])
        raise ErrorResponse(
            status,
            state,
            message,
            diag.message_detail,
            diag.message_hint,
            headers=retry_after if status == 503 else None,
        )
    if state == "42501":
        status = 401 if role == "anon" else 403
    elif state == "22023" and message.startswith("role "):
        status = 401
    else:
        status = STATUSES.get(state) or CLASSES.get(state[:2], 400)
    raise ErrorResponse(
        status, state, message, diag.message_detail, diag.message_hint, headers=retry_after if status == 503 else None
    )


def _raise_custom_response(message: str, detail: str) -> NoReturn:
    body, how = json.loads(message), json.loads(detail)
    raise ErrorResponse(
        how["status"], body["code"], body["message"], body.get("details"), body.get("hint"), headers=how.get("headers")
    )

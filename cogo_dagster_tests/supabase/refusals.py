"""Error answers of PostgREST: its statuses by SQLSTATE, its body, its header."""

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
class Answer:
    """A whole HTTP answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Refused(Exception):
    """An error answer."""

    def __init__(
        self, status: int, code: str, message: str, *more: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        details, hint = (*more, None, None)[:2]
        super().__init__(message)
        document = {"code": code, "details": details, "hint": hint, "message": message}
        named = (("content-type", "application/json; charset=utf-8"), ("proxy-status", f"PostgREST; error={code}"))
        body = json.dumps(document, separators=(",", ":")).encode()
        self.answer = Answer(status, body, (*named, *(headers or {}).items()))


def refuse(error: psycopg.Error, role: str) -> NoReturn:
    """Answer what an error of the database becomes.

    Raises:
        Refused: Always.
    """
    diag, state = error.diag, error.sqlstate
    message = diag.message_primary or str(error)
    if state is None:
        raise Refused(503, "PGRST001", "Database client error. Retrying the connection.", headers={"retry-after": "0"})
    if state == "PGRST":
        _refuse_as_told(message, diag.message_detail or "{}")
    again = {"retry-after": "0"}
    if state.startswith("PT") and state[2:].isdigit():
        status = int(state[2:])
        raise Refused(
            status, state, message, diag.message_detail, diag.message_hint, headers=again if status == 503 else None
        )
    if state == "42501":
        status = 401 if role == "anon" else 403
    elif state == "22023" and message.startswith("role "):
        status = 401
    else:
        status = STATUSES.get(state) or CLASSES.get(state[:2], 400)
    raise Refused(
        status, state, message, diag.message_detail, diag.message_hint, headers=again if status == 503 else None
    )


def _refuse_as_told(message: str, detail: str) -> NoReturn:
    told, how = json.loads(message), json.loads(detail)
    raise Refused(
        how["status"], told["code"], told["message"], told.get("details"), told.get("hint"), headers=how.get("headers")
    )

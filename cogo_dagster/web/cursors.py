"""Pagination cursors: the last row of a page, encoded for URLs."""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Query

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.text import load_json
from cogo_dagster.web.access import RequestDenied

_MOMENT: Final = re.compile(r"-?infinity|[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}[+-][0-9:]{2,8}(?: BC)?")
"""A timestamp as PostgreSQL writes it, including those out of Python's range."""

CURSOR: Final = r"^[A-Za-z0-9_-]+$"

Before = Annotated[str | None, Query(max_length=200, pattern=CURSOR, description="`next` of the previous page.")]
PageSize = Annotated[int, Query(ge=1, le=200)]


def next_cursor(rows: Sequence[Row], size: int, time: str, id: str) -> str | None:
    """Return the cursor after a page; None if the page is not full, so that it is the last.

    Args:
        size: Maximum number of rows of the page.
        time: Column that the rows are sorted by, newest first.
        id: Column that breaks ties.
    """
    return cursor_of(*rows[-1].cursor(time, id).values()) if len(rows) >= size else None


def cursor_of(time: str, id: str) -> str:
    """Return the cursor after a row.

    Args:
        time: Value that the rows are sorted by.
        id: Value that breaks ties.
    """
    last = json.dumps([time, id], separators=(",", ":"))
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def following(*, before: str | None, **kept: str | None) -> str | None:
    """Return the address of the next page; None after the last.

    Args:
        kept: The other parameters of the page.
    """
    if before is None:
        return None
    return f"?{urlencode({name: value for name, value in (*kept.items(), ('before', before)) if value})}"


def read_cursor(cursor: str | None, time: str, id: str) -> dict[str, str] | None:
    """Decode a cursor of `next_cursor` to the argument of the SQL function.

    Raises:
        RequestDenied: 404 if the cursor is invalid.
    """
    if cursor is None:
        return None
    try:
        when, which = load_json(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not _MOMENT.fullmatch(when):
            datetime.fromisoformat(when)
        return {time: when, id: str(UUID(which))}
    except (binascii.Error, ValueError, TypeError, AttributeError):
        raise RequestDenied(404, "There is no such page. Pass `next` of the previous page unchanged.") from None

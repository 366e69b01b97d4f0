"""Cursors: the last row of a page, as a word that fits an address."""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import Query

from cogo_dagster.queue.rows.base import Row
from cogo_dagster.web.access import RequestDenied

_MOMENT: Final = re.compile(r"-?infinity|[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}[+-][0-9:]{2,8}(?: BC)?")
"""What PostgreSQL writes, also of a time outside of Python's range."""

CURSOR: Final = r"^[A-Za-z0-9_-]+$"

Before = Annotated[str | None, Query(max_length=200, pattern=CURSOR, description="`next` of the page before.")]
PageSize = Annotated[int, Query(ge=1, le=200)]


def next_cursor(rows: Sequence[Row], size: int, time: str, id: str) -> str | None:
    """Return the cursor after a page; None where the page is not full, so that nothing follows.

    Args:
        size: How many rows were asked for.
        time: The column that orders the rows, newest first.
        id: The column that decides between equal times.
    """
    if len(rows) < size:
        return None
    last = json.dumps(list(rows[-1].cursor(time, id).values()), separators=(",", ":"))
    return base64.urlsafe_b64encode(last.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None, time: str, id: str) -> dict[str, str] | None:
    """Return what `next_cursor` made, as the engine takes it.

    Raises:
        RequestDenied: It is none, so that there is no such page (404).
    """
    if cursor is None:
        return None
    try:
        when, which = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not _MOMENT.fullmatch(when):
            datetime.fromisoformat(when)
        return {time: when, id: str(UUID(which))}
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise RequestDenied(404, "There is no such page: take `next` of the page before as it is.") from None

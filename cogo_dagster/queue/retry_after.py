"""Parses the Retry-After header."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

WEEK_SECONDS = 7 * 86_400.0


def retry_after_seconds(
    headers: Mapping[str, str], now: datetime | None = None, max_seconds: float = WEEK_SECONDS
) -> float | None:
    """Return the delay in `retry-after` (lower-case name), given in seconds or as an HTTP date; None if missing.

    Args:
        now: The current time, with a time zone.
        max_seconds: Maximum returned.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), max_seconds)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    wait_seconds = (at.replace(tzinfo=at.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return min(max(wait_seconds, 0.0), max_seconds)

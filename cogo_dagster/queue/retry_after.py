"""The header Retry-After."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

WEEK_SECONDS = 7 * 86_400.0


def retry_after_seconds(
    headers: Mapping[str, str], now: datetime | None = None, most_seconds: float = WEEK_SECONDS
) -> float | None:
    """Read `retry-after` (lower-case name): seconds or an HTTP date; None where there is none.

    Args:
        now: With a time zone; the present by default.
        most_seconds: A longer wait is cut to this.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), most_seconds)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    wait_seconds = (at.replace(tzinfo=at.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return min(max(wait_seconds, 0.0), most_seconds)

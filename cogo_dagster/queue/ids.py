"""IDs that sort by creation time."""

import secrets
import time
from uuid import UUID


def new_request_id() -> UUID:
    """Return a version 7 UUID (RFC 9562, section 5.7).

    48 bits of Unix milliseconds, 12 bits of the fraction (method 3, so that jobs enqueued within one millisecond are
    sorted too), then 62 random bits.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = (nanoseconds << 12) // 1_000_000
    high = (milliseconds & (1 << 48) - 1) << 16 | 0x7 << 12 | fraction
    low = 0x2 << 62 | secrets.randbits(62)
    return UUID(int=high << 64 | low)


def uuid_of(text: str) -> UUID:
    """Return the uuid that the database wrote, in canonical form; faster than `UUID(text)`, which reads other forms.

    Raises:
        ValueError: The text is no uuid.
    """
    return UUID(int=int(text.replace("-", ""), 16))

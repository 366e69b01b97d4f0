"""Ids that sort by the time they were made."""

import secrets
import time
from uuid import UUID


def new_request_id() -> UUID:
    """Return a version 7 uuid (RFC 9562, section 5.7).

    48 bits of Unix milliseconds, 12 bits of the millisecond's fraction (method 3 of section 6.2, so that ids made one
    after another sort so), 62 random bits.
    """
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4_096 // 1_000_000
    return UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0x2 << 62 | secrets.randbits(62))

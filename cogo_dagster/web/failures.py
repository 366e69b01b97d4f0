"""Failed authentications, counted by client."""

import logging
import time
from collections import OrderedDict, deque
from threading import Lock
from typing import Final

logger = logging.getLogger(__name__)

_MAX_CLIENTS: Final = 10_000
"""Number of clients that are remembered; the least recently seen are evicted."""


class Failures:
    """Counts the wrong tokens of each client.

    Tokens are compared before failures are counted, so that a correct token is always accepted.

    Args:
        max_failures: Number of wrong tokens in `seconds` after which a client is rate-limited.
    """

    def __init__(self, max_failures: int, seconds: float) -> None:
        self._max_failures = max_failures
        self._seconds = seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def add(self, client: str) -> int | None:
        """Count a failure; return the seconds until the next attempt if the client is rate-limited, else None."""
        now = time.monotonic()
        with self._lock:
            times = self._times.setdefault(client, deque(maxlen=self._max_failures + 1))
            self._times.move_to_end(client)
            while times and now - times[0] > self._seconds:
                times.popleft()
            previous = len(times)
            times.append(now)
            if len(self._times) > _MAX_CLIENTS:
                self._times.popitem(last=False)
        if previous < self._max_failures:
            return None
        if previous == self._max_failures:
            logger.warning("%d wrong tokens in %d s came from %s.", self._max_failures, self._seconds, client)
        return int(self._seconds - (now - times[0])) + 1

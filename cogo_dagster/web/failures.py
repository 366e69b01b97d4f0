"""Failed authentications, counted by client."""

import logging
import time
from collections import OrderedDict, deque
from threading import Lock
from typing import Final

logger = logging.getLogger(__name__)

_MOST_CLIENTS: Final = 10_000
"""So many are remembered; those seen longest ago are forgotten."""


class Failures:
    """Counts the wrong tokens of each client.

    Tokens are compared before failures are counted, so that a right token is always accepted.

    Args:
        most: So many wrong tokens are answered 401 within `seconds`.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._times: OrderedDict[str, deque[float]] = OrderedDict()
        self._lock = Lock()

    def add(self, client: str) -> int | None:
        """Count one more; return in how many seconds to come back, None while there were few."""
        now = time.monotonic()
        with self._lock:
            times = self._times.setdefault(client, deque(maxlen=self._most + 1))
            self._times.move_to_end(client)
            while times and now - times[0] > self._seconds:
                times.popleft()
            was = len(times)
            times.append(now)
            if len(self._times) > _MOST_CLIENTS:
                self._times.popitem(last=False)
        if was < self._most:
            return None
        if was == self._most:
            logger.warning("%d wrong tokens in %d s came from %s.", self._most, self._seconds, client)
        return int(self._seconds - (now - times[0])) + 1

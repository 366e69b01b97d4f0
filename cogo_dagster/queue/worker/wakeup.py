"""Wake-up calls from the database: a LISTEN connection in a thread of its own. Polling stays the truth."""

import threading
from collections.abc import Callable
from typing import Protocol

import psycopg

_LONGEST_PAUSE_SECONDS = 10.0


class Wakeup(Protocol):
    """Something that can call the worker when jobs may be due."""

    def start(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Begin; both callbacks come from another thread."""
        ...

    def stop(self) -> None:
        """End; no callback comes after it."""
        ...


class ListenWakeup:
    """LISTEN on `cogo_jobs`, reconnecting with growing pauses.

    Args:
        dsn: A direct or session-mode connection; a transaction pooler cannot LISTEN.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        """Listen in a daemon thread."""
        self._thread = threading.Thread(target=self._listen, args=(woken, connected), name="cogo-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening within a second."""
        self._stopped.set()
        if self._thread is not None:
            self._thread.join(timeout=3)

    def _listen(self, woken: Callable[[], None], connected: Callable[[bool], None]) -> None:
        pause_seconds = 0.5
        while not self._stopped.is_set():
            try:
                with psycopg.connect(
                    self._dsn, autocommit=True, connect_timeout=5, application_name="cogo listen"
                ) as link:
                    link.execute("listen cogo_jobs")
                    connected(True)
                    woken()  # something may have become due while nobody listened
                    pause_seconds = 0.5
                    self._follow(link, woken)
            except psycopg.Error:
                connected(False)
                self._stopped.wait(pause_seconds)
                pause_seconds = min(pause_seconds * 2, _LONGEST_PAUSE_SECONDS)

    def _follow(self, link: psycopg.Connection, woken: Callable[[], None]) -> None:
        while not self._stopped.is_set():
            for _ in link.notifies(timeout=1.0, stop_after=1):
                woken()

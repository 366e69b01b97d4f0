"""Log of a worker: one line per event on standard error, as text or JSON."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.cli.command import one_json_line
from cogo_dagster.formatting.values import one_line
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.worker import WorkerEvent
from cogo_dagster.redaction import redact_handler, redactor_of

_STANDARD_ERROR: Final = 2
_MAX_LINES: Final = 1_000


class WorkerLog(logging.Handler):
    """Writes complete lines. Safe in a signal handler; never raises, as a closed terminal must not stop a worker."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._output = _STANDARD_ERROR
        # Reentrant: a signal handler may log while the thread that it interrupts holds it.
        self._lock = threading.RLock()
        self._lines: list[str] = []
        self._milliseconds = 0
        self._time_text = ""

    def attach(self, secrets: Iterable[str] = ()) -> None:
        """Handle log records of this project, and warnings of all other loggers.

        Lines are written to a duplicate of standard error, because Dagster redirects file descriptor 2 while it runs a
        step in this process.

        Args:
            secrets: Values to redact in all lines.
        """
        self.close()
        with contextlib.suppress(OSError):  # standard error is closed
            self._output = os.dup(_STANDARD_ERROR)
        redact_handler(self, redactor_of(tuple(secrets)))
        logging.basicConfig(handlers=[self], level=logging.WARNING)
        logging.getLogger("cogo_dagster").setLevel(logging.INFO)

    def close(self) -> None:
        """Write the buffered lines, and close the duplicate."""
        self.flush()
        if self._output != _STANDARD_ERROR:
            os.close(self._output)
            self._output = _STANDARD_ERROR
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record."""
        self.line(record.levelname.lower(), record.getMessage())

    def event(self, event: WorkerEvent) -> None:
        """Write an event of a worker; the observer to pass to it.

        Events of one step of the event loop are written together: a write for each costs more than the job itself.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # another thread, or no loop
            loop = None
        with self._lock:
            self._lines.append(self._format_event(event))
            if loop is None or len(self._lines) >= _MAX_LINES:
                self._write()
            elif len(self._lines) == 1:
                loop.call_soon(self.flush)

    def line(self, kind: str, message: str, fields: Mapping[str, Json] | None = None) -> None:
        """Write one line; the fields are written as JSON only."""
        with self._lock:
            self._lines.append(self._format(kind, message, fields or {}))
            self._write()

    def flush(self) -> None:
        """Write the buffered lines."""
        with self._lock:
            self._write()

    def _format_event(self, event: WorkerEvent) -> str:
        if not self._as_json:
            return self._format(event.kind, event.message, {})
        job = {"job_id": str(event.job.id), "type": event.job.type, "attempt": event.job.attempts} if event.job else {}
        return self._format(event.kind, event.message, {"stage": event.stage, **job, **event.data})

    def _format(self, kind: str, message: str, fields: Mapping[str, Json]) -> str:
        at = self._time()
        if self._as_json:
            return one_json_line({"at": at, "kind": kind, "message": message, **fields})
        return f"{at} {kind:<14} {one_line(message)}"

    def _time(self) -> str:
        milliseconds = time.time_ns() // 1_000_000
        if milliseconds != self._milliseconds:
            self._milliseconds = milliseconds
            at = datetime.fromtimestamp(milliseconds / 1_000, UTC)
            self._time_text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return self._time_text

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        text = "".join(f"{line}\n" for line in lines)
        with contextlib.suppress(OSError):
            os.write(self._output, text.encode(errors="replace"))

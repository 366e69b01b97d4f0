"""Log of a worker: one line per event on standard error, as text or JSON."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.cli.command import one_json_line
from cogo_dagster.formatting.values import one_line
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.worker import EventKind, WorkerEvent
from cogo_dagster.redaction import redact_handler, redactor_of

_STANDARD_ERROR: Final = 2
_MAX_EVENTS: Final = 1_000
_MAX_PLAIN_CHARS: Final = 2_000
_PADDED: Final = {kind: f"{kind:<14}" for kind in EventKind}


class WorkerLog(logging.Handler):
    """Writes complete lines. Safe in a signal handler; never raises, as a closed terminal must not stop a worker."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._output = _STANDARD_ERROR
        # Reentrant: a signal handler may log while the thread that it interrupts holds it.
        self._lock = threading.RLock()
        self._events: list[tuple[int, WorkerEvent]] = []
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

        Events of one step of the event loop are formatted and written together: doing it for each would cost more than
        the job itself.
        """
        at = time.time_ns()
        with self._lock:
            self._events.append((at, event))
            if len(self._events) == 1:
                try:
                    asyncio.get_running_loop().call_soon(self.flush)
                except RuntimeError:  # another thread, or no loop
                    self._write_events()
            elif len(self._events) >= _MAX_EVENTS:
                self._write_events()

    def line(self, kind: str, message: str, fields: Mapping[str, Json] | None = None) -> None:
        """Write one line; the fields are written as JSON only."""
        with self._lock:
            self._write_events()
            at = self._time(time.time_ns())
            if self._as_json:
                self._write([one_json_line({"at": at, "kind": kind, "message": message, **(fields or {})})])
            else:
                self._write([f"{at} {kind:<14} {one_line(message)}"])

    def flush(self) -> None:
        """Write the buffered events."""
        with self._lock:
            self._write_events()

    def _write_events(self) -> None:
        events, self._events = self._events, []
        if not events:
            return
        try:
            self._write(self._lines(events))
        except Exception:  # noqa: BLE001 - an event that cannot be formatted must not lose the others
            for at, event in events:
                try:
                    self._write(self._lines([(at, event)]))
                except Exception as error:  # noqa: BLE001 - as above
                    self._write([self._unformatted(at, event, error)])

    def _lines(self, events: Sequence[tuple[int, WorkerEvent]]) -> list[str]:
        if self._as_json:
            return [one_json_line(_document(self._time(at), event)) for at, event in events]
        messages = _lines_of([event.message for _, event in events])
        return [
            f"{self._time(at)} {_PADDED[event.kind]} {message}"
            for (at, event), message in zip(events, messages, strict=True)
        ]

    def _unformatted(self, at: int, event: WorkerEvent, error: Exception) -> str:
        message = f"The event could not be formatted ({type(error).__name__})."
        if self._as_json:
            return one_json_line({"at": self._time(at), "kind": event.kind, "message": message})
        return f"{self._time(at)} {_PADDED[event.kind]} {message}"

    def _time(self, nanoseconds: int) -> str:
        milliseconds = nanoseconds // 1_000_000
        if milliseconds != self._milliseconds:
            self._milliseconds = milliseconds
            at = datetime.fromtimestamp(milliseconds / 1_000, UTC)
            self._time_text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return self._time_text

    def _write(self, lines: list[str]) -> None:
        text = "\n".join(lines) + "\n"
        with contextlib.suppress(OSError):
            os.write(self._output, text.encode(errors="replace"))


def _document(at: str, event: WorkerEvent) -> dict[str, Json]:
    job = {"job_id": str(event.job.id), "type": event.job.type, "attempt": event.job.attempts} if event.job else {}
    return {"at": at, "kind": event.kind, "message": event.message, "stage": event.stage, **job, **event.data}


def _lines_of(messages: list[str]) -> list[str]:
    """Return messages as lines that are safe to print; usually all of them are already, which one check finds."""
    together = f" {' '.join(messages)} "
    plain = together.isascii() and together.isprintable() and "  " not in together
    if plain and max(map(len, messages)) <= _MAX_PLAIN_CHARS:
        return messages
    return [one_line(message) for message in messages]

"""Log of a worker: one line per event on standard error, as text or JSON."""

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from cogo_dagster.cli.worker_lines import JsonLines, TextLines
from cogo_dagster.queue.model import Job, Json, Settlement
from cogo_dagster.queue.worker import EventKind, Observer, WorkerEvent
from cogo_dagster.queue.worker.events import SettledAttempt
from cogo_dagster.redaction import redact_handler, redactor_of

_STANDARD_ERROR: Final = 2
_MAX_BUFFERED: Final = 1_000


class WorkerLog(logging.Handler, Observer):
    """Writes complete lines. Safe in a signal handler; never raises, as a closed terminal must not stop a worker.

    The events of one step of the event loop are formatted and written together, and those of one millisecond under one
    time: doing it for each would cost more than the job itself.
    """

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._lines = JsonLines() if as_json else TextLines()
        self._output = _STANDARD_ERROR
        # Reentrant: a signal handler may log while the thread that it interrupts holds it.
        self._lock = threading.RLock()
        self._buffer: list[_Buffered] = []
        self._executed: list[Settlement] = []
        self._executed_at = 0

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
        """Write an event of a worker."""
        self._add(event.kind, self._lines.events, [event])

    def claimed(self, jobs: Sequence[Job[Any]]) -> None:
        """Write the jobs of a claim."""
        self._add(EventKind.CLAIMED, self._lines.claimed, jobs)

    def executed(self, settlement: Settlement) -> None:
        """Write an ended attempt."""
        at = _now()
        with self._lock:
            # No call between this check and the append: a signal handler could write the buffer there.
            if self._buffer and self._buffer[-1].items is self._executed and at == self._executed_at:
                self._executed.append(settlement)
            else:
                self._executed, self._executed_at = [settlement], at
                self._add(EventKind.EXECUTED, self._lines.executed, self._executed, at)

    def settled(self, attempts: Sequence[SettledAttempt]) -> None:
        """Write settled attempts."""
        self._add(EventKind.SETTLED, self._lines.settled, attempts)

    def line(self, kind: str, message: str, fields: Mapping[str, Json] | None = None) -> None:
        """Write one line; the fields are written as JSON only."""
        with self._lock:
            self._write_buffer()
            self._write([self._lines.line(_text_of(_now()), kind, message, fields or {})])

    def flush(self) -> None:
        """Write the buffered events."""
        with self._lock:
            self._write_buffer()

    def _add(self, kind: EventKind, lines_of: "_LinesOf", items: Sequence[Any], at: int | None = None) -> None:
        with self._lock:
            self._buffer.append(_Buffered(_now() if at is None else at, kind, lines_of, items))
            if len(self._buffer) == 1:
                try:
                    asyncio.get_running_loop().call_soon(self.flush)
                except RuntimeError:  # another thread, or no loop
                    self._write_buffer()
            elif len(self._buffer) >= _MAX_BUFFERED:
                self._write_buffer()

    def _write_buffer(self) -> None:
        buffer, self._buffer = self._buffer, []
        if not buffer:
            return
        lines: list[str] = []
        for buffered in buffer:
            at = _text_of(buffered.at)
            try:
                lines += buffered.lines_of(at, buffered.items)
            except Exception:  # noqa: BLE001 - an event that cannot be formatted must not lose the others
                lines += self._one_by_one(at, buffered)
        self._write(lines)

    def _one_by_one(self, at: str, buffered: "_Buffered") -> Iterable[str]:
        for item in buffered.items:
            try:
                yield from buffered.lines_of(at, [item])
            except Exception as error:  # noqa: BLE001 - as above
                message = f"The event could not be formatted ({type(error).__name__})."
                yield self._lines.line(at, buffered.kind, message, {})

    def _write(self, lines: Sequence[str]) -> None:
        text = "\n".join(lines) + "\n"
        with contextlib.suppress(OSError):
            os.write(self._output, text.encode(errors="replace"))


_LinesOf = Callable[[str, Sequence[Any]], list[str]]


class _Buffered:
    """Events of one kind and millisecond."""

    __slots__ = ("at", "items", "kind", "lines_of")

    def __init__(self, at: int, kind: EventKind, lines_of: _LinesOf, items: Sequence[Any]) -> None:
        self.at = at
        self.kind = kind
        self.lines_of = lines_of
        self.items = items


def _now() -> int:
    return time.time_ns() // 1_000_000


def _text_of(milliseconds: int) -> str:
    at = datetime.fromtimestamp(milliseconds / 1_000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Log of a worker: one line per event on standard error, as text or JSON."""

import contextlib
import logging
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

from cogo_dagster.cli.command import one_json_line
from cogo_dagster.formatting.values import one_line
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.worker import WorkerEvent
from cogo_dagster.redaction import redact_handler, redactor_of

_STANDARD_ERROR: Final = 2


class WorkerLog(logging.Handler):
    """Writes complete lines. Safe in a signal handler; never raises, as a closed terminal must not stop a worker."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._output = _STANDARD_ERROR

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
        """Close the duplicate."""
        if self._output != _STANDARD_ERROR:
            os.close(self._output)
            self._output = _STANDARD_ERROR
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record."""
        self.line(record.levelname.lower(), record.getMessage())

    def event(self, event: WorkerEvent) -> None:
        """Write an event of a worker; the observer to pass to it."""
        job = {"job_id": str(event.job.id), "type": event.job.type, "attempt": event.job.attempts} if event.job else {}
        self.line(event.kind.value, event.message, {"stage": event.stage.value, **job, **event.data})

    def line(self, kind: str, message: str, fields: Mapping[str, Json] | None = None) -> None:
        """Write one line; the fields are written as JSON only."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            document = {"at": at, "kind": kind, "message": message} | dict(fields or {})
            text = one_json_line(document)
        else:
            text = f"{at} {kind:<14} {one_line(message)}"
        with contextlib.suppress(OSError):
            os.write(self._output, f"{text}\n".encode(errors="replace"))

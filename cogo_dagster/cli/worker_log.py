"""What a worker tells the terminal: one line per event on standard error, for people or as JSON."""

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
from cogo_dagster.redaction import hide_in, redactor_of

_STANDARD_ERROR: Final = 2


class WorkerLog(logging.Handler):
    """Writes whole lines. Safe in a signal handler, and never raises: a closed terminal must not end a worker."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json
        self._output = _STANDARD_ERROR

    def attach(self, secrets: Iterable[str] = ()) -> None:
        """Take what the project's modules log as well, and warnings of all others.

        From now on lines go to a duplicate of standard error: Dagster takes the number 2 for a step's log while it
        runs one in this process.

        Args:
            secrets: Values to hide in these lines, whoever logs them.
        """
        self.close()
        with contextlib.suppress(OSError):  # it is closed
            self._output = os.dup(_STANDARD_ERROR)
        hide_in(self, redactor_of(tuple(secrets)))
        logging.basicConfig(handlers=[self], level=logging.WARNING)
        logging.getLogger("cogo_dagster").setLevel(logging.INFO)

    def close(self) -> None:
        """Give the duplicate back."""
        if self._output != _STANDARD_ERROR:
            os.close(self._output)
            self._output = _STANDARD_ERROR
        super().close()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a log record."""
        self.line(record.levelname.lower(), record.getMessage())

    def event(self, event: WorkerEvent) -> None:
        """Write a worker's event; this is the worker's observer."""
        job = {"job_id": str(event.job.id), "type": event.job.type, "attempt": event.job.attempts} if event.job else {}
        self.line(event.kind.value, event.message, {"stage": event.stage.value, **job, **event.data})

    def line(self, kind: str, message: str, fields: Mapping[str, Json] | None = None) -> None:
        """Write one line; the fields are for JSON only."""
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            document = {"at": at, "kind": kind, "message": message} | dict(fields or {})
            text = one_json_line(document)
        else:
            text = f"{at} {kind:<14} {one_line(message)}"
        with contextlib.suppress(OSError):
            os.write(self._output, f"{text}\n".encode(errors="replace"))

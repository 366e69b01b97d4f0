"""The lines of a worker's log: text, or JSON with one object per line."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from cogo_dagster.cli.command import one_json_line
from cogo_dagster.formatting.values import one_line
from cogo_dagster.queue.model import Job, Json, Settlement
from cogo_dagster.queue.worker.events import (
    EventKind,
    SettledAttempt,
    WorkerEvent,
    claimed_event,
    claimed_message,
    executed_event,
    executed_message,
    settled_event,
    settled_message,
)

_MAX_PLAIN_CHARS: Final = 2_000
_PLAIN: Final = re.compile(r"[a-zA-Z0-9_.]{1,200}")


class TextLines:
    """Formats lines with time, kind and message."""

    def line(self, at: str, kind: str, message: str, fields: Mapping[str, Json]) -> str:  # noqa: ARG002 - for JSON only
        """Return one line."""
        return f"{at} {kind:<14} {one_line(message)}"

    def events(self, at: str, events: Sequence[WorkerEvent]) -> list[str]:
        """Return a line for each event."""
        return [self.line(at, event.kind, event.message, {}) for event in events]

    def claimed(self, at: str, jobs: Sequence[Job[Any]]) -> list[str]:
        """Return a line for each claimed job."""
        return _with_prefix(at, EventKind.CLAIMED, [claimed_message(job) for job in jobs])

    def executed(self, at: str, settlements: Sequence[Settlement]) -> list[str]:
        """Return a line for each ended attempt."""
        return _with_prefix(at, EventKind.EXECUTED, [executed_message(settlement) for settlement in settlements])

    def settled(self, at: str, attempts: Sequence[SettledAttempt]) -> list[str]:
        """Return a line for each settled attempt."""
        return _with_prefix(at, EventKind.SETTLED, [settled_message(*attempt) for attempt in attempts])


class JsonLines:
    """Formats lines as JSON objects.

    Those of successful attempts are not encoded as objects, which would take three times as long.
    """

    def line(self, at: str, kind: str, message: str, fields: Mapping[str, Json]) -> str:
        """Return one line."""
        return one_json_line({"at": at, "kind": kind, "message": message, **fields})

    def events(self, at: str, events: Sequence[WorkerEvent]) -> list[str]:
        """Return a line for each event."""
        return [self.line(at, event.kind, event.message, _fields(event)) for event in events]

    def claimed(self, at: str, jobs: Sequence[Job[Any]]) -> list[str]:
        """Return a line for each claimed job."""
        start = f'{{"at": "{at}", "kind": "claimed", "message": "'
        return [
            f'{start}{claimed_message(job)}", "stage": "claim", {_job_fields(job)}}}'
            if _is_plain(job.type)
            else self.events(at, [claimed_event(job)])[0]
            for job in jobs
        ]

    def executed(self, at: str, settlements: Sequence[Settlement]) -> list[str]:
        """Return a line for each ended attempt."""
        start = f'{{"at": "{at}", "kind": "executed", "message": "'
        return [
            f'{start}{executed_message(settlement)}", "stage": "execute", {_job_fields(settlement.job)}, '
            f'"outcome": "{settlement.outcome.value}", "run_seconds": {settlement.run_seconds or 0.0}, "error": null}}'
            if settlement.error is None and _is_plain(settlement.job.type)
            else self.events(at, [executed_event(settlement)])[0]
            for settlement in settlements
        ]

    def settled(self, at: str, attempts: Sequence[SettledAttempt]) -> list[str]:
        """Return a line for each settled attempt."""
        start = f'{{"at": "{at}", "kind": "settled", "message": "'
        return [
            f'{start}{settled_message(settlement, job_status)}", "stage": "upload", {_job_fields(settlement.job)}, '
            f'"outcome": "{settlement.outcome.value}", "job_status": "{job_status}", '
            f'"run_seconds": {settlement.run_seconds}, "error": null}}'
            if job_status and settlement.run_seconds and settlement.error is None and _is_plain(settlement.job.type)
            else self.events(at, [settled_event(settlement, job_status)])[0]
            for settlement, job_status in attempts
        ]


def _with_prefix(at: str, kind: EventKind, messages: list[str]) -> list[str]:
    start = f"{at} {kind.value:<14} "
    return [start + message for message in _printable(messages)]


def _printable(messages: list[str]) -> list[str]:
    """Return messages as lines that are safe to print; usually all of them are already, which one check finds."""
    together = f" {' '.join(messages)} "
    plain = together.isascii() and together.isprintable() and "  " not in together
    if plain and max(map(len, messages)) <= _MAX_PLAIN_CHARS:
        return messages
    return [one_line(message) for message in messages]


def _job_fields(job: Job[Any]) -> str:
    return f'"job_id": "{job.id!s}", "type": "{job.type}", "attempt": {job.attempts}'


@lru_cache(maxsize=1_000)
def _is_plain(type: str) -> bool:
    """Whether a type is the same text in JSON."""
    return _PLAIN.fullmatch(type) is not None


def _fields(event: WorkerEvent) -> dict[str, Json]:
    job = {"job_id": str(event.job.id), "type": event.job.type, "attempt": event.job.attempts} if event.job else {}
    return {"stage": event.stage, **job, **event.data}

"""Enqueues the jobs of a file with one JSON object per line."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from cogo_dagster.cli.command import BadInput, Report
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.progress import progress_bar
from cogo_dagster.executors.registry import PayloadValidator
from cogo_dagster.formatting.values import counted
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import Enqueued, Json, NewJob, family_of
from cogo_dagster.settings import Settings
from cogo_dagster.text import parse_json, storable_json

_BATCH: Final = 1_000
_SHOWN: Final = 5
_FIELDS: Final = frozenset(field.name for field in fields(NewJob))
_NUMBERS: Final = {
    "priority": (0, 9),
    "max_attempts": (1, 100),
    "run_in_seconds": (0, 3.2e8),
    "timeout_seconds": (1, 86_400),
}

JobsFile = Annotated[
    str | None,
    typer.Argument(
        metavar="[@FILE]",
        help="A file with one payload per line, as JSON, or @- for standard input; a line may also be a job: an object "
        "with payload, and optionally type, priority, executor_id, idempotency_key and others.",
    ),
]


@dataclass(frozen=True, slots=True)
class Line:
    """A job, and the number of its line."""

    number: int
    job: NewJob


def enqueue_file(
    settings: Settings,
    file: str,
    template: NewJob,
    *,
    family: str | None,
    quiet: bool,
    type_of: Callable[[Json], str] | None = None,
) -> Report:
    """Enqueue the jobs of a file; nothing is enqueued if a line is invalid.

    Args:
        file: `@` and a file name, or `@-`.
        template: The values of jobs whose line does not have them; its type may be empty.
        family: The family of all jobs; None for any.
        quiet: Show no progress.
        type_of: Returns the type of a payload whose line has no type; by default it is that of the template.

    Raises:
        BadInput: The file cannot be read, or lines are invalid.
    """
    lines = _read(settings, _text_lines(file), template, family, type_of)
    enqueued: list[Enqueued] = []
    with (
        opened(settings) as application,
        progress_bar("jobs", lambda: len(lines), quiet=quiet) as advance,
    ):
        for done in _batches(application.queue, lines):
            enqueued += done
            advance(len(enqueued))
    created = sum(one.created for one in enqueued)
    document = {
        "enqueued": len(enqueued),
        "created": created,
        "job_ids": [str(one.job_id) for one in enqueued],
    }
    existing = len(enqueued) - created
    known = f"; {counted(existing, 'job')} with the same idempotency key existed" if existing else ""
    return Report(document, f"Enqueued {counted(created, 'job')}{known}.")


def _batches(queue: Queue, lines: Sequence[Line]) -> Iterator[list[Enqueued]]:
    done = 0
    try:
        for first in range(0, len(lines), _BATCH):
            batch = lines[first : first + _BATCH]
            enqueued = queue.enqueue([line.job for line in batch])
            done += len(batch)
            yield enqueued
    except BaseException:
        if done < len(lines):
            typer.echo(
                f"{done:,} of {len(lines):,} jobs were enqueued: continue with line {lines[done].number}.", err=True
            )
        raise


def _text_lines(file: str) -> list[str]:
    if not file.startswith("@"):
        option = " (and a URL after --url)" if "://" in file else ""
        raise BadInput(f"{file!r} is not a file of jobs: write @ in front of its name, such as @jobs.jsonl{option}.")
    if file == "@-":
        return sys.stdin.read().splitlines()
    try:
        return Path(file[1:]).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BadInput(f"{file[1:]} cannot be read ({reason}): use a file with one JSON object per line.") from None


def _read(
    settings: Settings,
    texts: Sequence[str],
    template: NewJob,
    family: str | None,
    type_of: Callable[[Json], str] | None,
) -> list[Line]:
    lines, problems = [], []
    validator = PayloadValidator(settings)
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            job = _job(text, template, family, type_of)
            lines.append(Line(number, replace(job, payload=validator.validated(job.type, job.payload))))
        except (BadInput, InvalidPayload) as error:
            problems.append(f"line {number}: {error}")
    if problems:
        more = f" And {len(problems) - _SHOWN:,} more." if len(problems) > _SHOWN else ""
        raise BadInput(f"No job was enqueued, because lines are invalid: {' '.join(problems[:_SHOWN])}{more}")
    if not lines:
        raise BadInput("The file has no jobs: write one JSON object per line.")
    return lines


def _job(text: str, template: NewJob, family: str | None, type_of: Callable[[Json], str] | None) -> NewJob:
    try:
        document = parse_json(text)
    except ValueError as error:
        raise BadInput(f"it is not JSON ({error}).") from None
    if not isinstance(document, dict) or storable_json(document)[1]:
        raise BadInput(f"it is not a JSON object that can be stored: {json.dumps(document)[:60]}.")
    given: Mapping[str, Json] = document if isinstance(document.get("payload"), dict) else {"payload": document}
    if unknown := sorted(given.keys() - _FIELDS):
        raise BadInput(f"unknown fields of a job: {', '.join(unknown)}.")
    _check(given)
    job = replace(template, **given)
    if type_of is not None and "type" not in given:
        job = replace(job, type=type_of(job.payload))
    if not job.type:
        raise BadInput('it has no type: write {"type": "browser", "payload": {…}}.')
    if family is not None and family_of(job.type) != family:
        raise BadInput(f"its type is {job.type}, and the command adds jobs of the family {family}.")
    return job


def _check(given: Mapping[str, Json]) -> None:
    """Check the types of a job's fields."""
    for name, value in given.items():
        if name in _NUMBERS:
            least, most = _NUMBERS[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
                raise BadInput(f"{name} must be a number from {least:g} to {most:g}.")
            if name in ("priority", "max_attempts") and value != int(value):
                raise BadInput(f"{name} must be a whole number.")
        elif name != "payload" and not isinstance(value, str):
            raise BadInput(f"{name} must be a text.")

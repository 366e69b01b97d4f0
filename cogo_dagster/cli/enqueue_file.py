"""Enqueues the jobs of a file with one JSON object per line."""

import gc
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.command import BadInput, Report
from cogo_dagster.cli.enqueue_batches import Line, calls_at_once, enqueued_batches, prepare_calls
from cogo_dagster.cli.opened import OpenedAhead
from cogo_dagster.cli.progress import progress_bar
from cogo_dagster.executors.registry import PayloadValidator
from cogo_dagster.formatting.values import counted
from cogo_dagster.queue.executor import InvalidPayload
from cogo_dagster.queue.model import NEW_JOB_DEFAULTS, Json, NewJob, family_of
from cogo_dagster.settings import Settings
from cogo_dagster.text import parse_storable_json

_SHOWN: Final = 5
_MANY_LINES: Final = 1_000
_SWITCH_SECONDS: Final = 0.0005

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
    with _no_garbage_collection(), _short_turns(), OpenedAhead(settings) as ahead:
        texts = _text_lines(file)
        if len(texts) > _MANY_LINES:
            ahead.start(_prepare)
        lines = _read(settings, texts, template, family, type_of)
        at_once = calls_at_once(lines, settings.pool_size)
        return _enqueued(ahead.application(), lines, at_once, quiet=quiet)


def _prepare(application: Application) -> None:
    prepare_calls(application.queue.prepare_enqueue, application.settings.pool_size)


def _enqueued(application: Application, lines: Sequence[Line], at_once: int, *, quiet: bool) -> Report:
    job_ids: list[str] = []
    created = 0
    report_left = partial(typer.echo, err=True)
    with progress_bar("jobs", lambda: len(lines), quiet=quiet) as advance:
        for done in enqueued_batches(application.queue.enqueue, lines, at_once, report_left):
            job_ids += done.ids
            created += done.created
            advance(len(job_ids))
    document = {"enqueued": len(job_ids), "created": created, "job_ids": job_ids}
    existing = len(job_ids) - created
    known = f"; {counted(existing, 'job')} with the same idempotency key existed" if existing else ""
    return Report(document, f"Enqueued {counted(created, 'job')}{known}.")


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Do not search for cycles, which jobs and their IDs do not form: it would take as long as the reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def _short_turns() -> Iterator[None]:
    """Let other threads continue after 0.5 ms: with the default of 5 ms, opening takes longer than reading the file."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _text_lines(file: str) -> list[str]:
    """Read the lines, which end with a line feed only: JSON texts may contain other line separators, such as U+2028."""
    if not file.startswith("@"):
        option = " (and a URL after --url)" if "://" in file else ""
        raise BadInput(f"{file!r} is not a file of jobs: write @ in front of its name, such as @jobs.jsonl{option}.")
    if file == "@-":
        return sys.stdin.read().split("\n")
    try:
        return Path(file[1:]).read_text(encoding="utf-8").split("\n")
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
    lines: list[Line] = []
    problems: list[str] = []
    reader = _Reader(settings, template, family, type_of)
    for number, text in enumerate(texts, 1):
        try:
            if (job := reader.job(text)) is not None:
                lines.append((number, job))
        except (BadInput, InvalidPayload) as error:
            problems.append(f"line {number}: {error}")
    if problems:
        more = f" And {len(problems) - _SHOWN:,} more." if len(problems) > _SHOWN else ""
        raise BadInput(f"No job was enqueued, because lines are invalid: {' '.join(problems[:_SHOWN])}{more}")
    if not lines:
        raise BadInput("The file has no jobs: write one JSON object per line.")
    return lines


class _Reader:
    """Makes a job of each line; the arguments are those of `enqueue_file`."""

    def __init__(
        self, settings: Settings, template: NewJob, family: str | None, type_of: Callable[[Json], str] | None
    ) -> None:
        self._template = template
        self._defaults = tuple(getattr(template, name) for name, _ in NEW_JOB_DEFAULTS)
        self._family = family
        self._type_of = type_of
        self._checks: dict[str, Callable[[Json], dict[str, Json]]] = {}
        self._validator = PayloadValidator(settings)

    def job(self, text: str) -> NewJob | None:
        """Return the job of a line; None if the line is empty.

        Raises:
            BadInput: The line is not a job or a payload.
            InvalidPayload: The payload is invalid.
        """
        if not text or text.isspace():
            return None
        document = _document(text)
        if "payload" in document and isinstance(document["payload"], dict):
            return self._of_fields(document)
        job_type = self._template.type if self._type_of is None else self._type_of(document)
        check = self._checks.get(job_type) or self._check_of(job_type)
        # All values by position: `replace` takes as long as everything else together.
        return NewJob(job_type, check(document), *self._defaults)

    def _of_fields(self, given: Mapping[str, Json]) -> NewJob:
        if not given.keys() <= _FIELDS:
            raise BadInput(f"unknown fields of a job: {', '.join(sorted(given.keys() - _FIELDS))}.")
        _check(given)
        job = replace(self._template, **given)
        if self._type_of is not None and "type" not in given:
            job.type = self._type_of(job.payload)
        check = self._checks.get(job.type) or self._check_of(job.type)
        job.payload = check(job.payload)
        return job

    def _check_of(self, job_type: str) -> Callable[[Json], dict[str, Json]]:
        if not job_type:
            raise BadInput('it has no type: write {"type": "browser", "payload": {…}}.')
        if self._family is not None and family_of(job_type) != self._family:
            raise BadInput(f"its type is {job_type}, and the command adds jobs of the family {self._family}.")
        check = self._checks[job_type] = self._validator.check_of(job_type)
        return check


def _document(text: str) -> dict[str, Json]:
    try:
        document, is_storable = parse_storable_json(text)
    except ValueError as error:
        raise BadInput(f"it is not JSON ({error}).") from None
    if not is_storable or not isinstance(document, dict):
        raise BadInput(f"it is not a JSON object that can be stored: {json.dumps(document)[:60]}.")
    return document


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

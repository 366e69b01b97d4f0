"""`cogo watch` and `cogo open`: follow one job until it has finished, and show its page."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Final
from urllib.parse import urlsplit
from uuid import UUID

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.artifact_list import print_artifacts
from cogo_dagster.cli.command import BadInput, ExitCode, JsonFlag, Report, command
from cogo_dagster.cli.options import JobId, seconds_of
from cogo_dagster.cli.tables import status_style
from cogo_dagster.formatting.explanation import why
from cogo_dagster.formatting.values import error_line, one_line, run_time
from cogo_dagster.links import job_page
from cogo_dagster.queue.errors import DatabaseUnavailable, JobNotFound
from cogo_dagster.queue.model import Json
from cogo_dagster.queue.rows.jobs import WholeJob
from cogo_dagster.settings import Settings

_FINISHED: Final = ("succeeded", "failed", "cancelled")
_LOCAL_DASHBOARD: Final = "http://127.0.0.1:8780"
"""The default address of `cogo dev`."""


@command()
def watch(
    application: Application,
    job_id: JobId,
    *,
    interval_seconds: Annotated[
        float, typer.Option("--interval", parser=seconds_of, metavar="DURATION", help="Delay between reads.")
    ] = 1,
    timeout_seconds: Annotated[
        float | None,
        typer.Option("--timeout", parser=seconds_of, metavar="DURATION", help="Exit with 1 after this time."),
    ] = None,
    as_json: JsonFlag = False,
) -> Report:
    """Follow a job until it has finished; exit with 1 unless it succeeded."""
    found_id = application.queue.find_id(job_id)
    deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    last = None
    for job, reason in _states(application, found_id, max(interval_seconds, 0.05), deadline):
        last = job
        if not as_json:
            _print_line(job, reason)
    if last is None or last.status not in _FINISHED:
        document = last.document if last else {"id": str(found_id)}
        message = f"Job {found_id} did not finish within {run_time(timeout_seconds)}."
        return Report(document, "", ExitCode.FAILED, message)
    artifacts = [(row, application.address_of(row)) for row in last.artifacts]
    code = ExitCode.OK if last.status == "succeeded" else ExitCode.FAILED
    documents = [row.document | {"address": address} for row, address in artifacts]
    text = partial(print_artifacts, found_id, artifacts) if artifacts else ""
    return Report(last.document | {"artifacts": documents, "subject": last.subject}, text, code)


@command(name="open")
def open_(
    application: Application,
    job_id: JobId,
    *,
    only_print: Annotated[bool, typer.Option("--print", help="Print the address without opening a browser.")] = False,
    as_json: JsonFlag = False,
) -> Report:
    """Open the page of a job in a browser, and print its address."""
    found_id = application.queue.find_id(job_id)
    url = job_page(_with_dashboard(application.settings), found_id)
    if url is None:
        raise BadInput("The address of the dashboard is unknown: set METRICS_BASE, or start `cogo dev`.")
    opened = not only_print and not as_json and typer.launch(url) == 0
    return Report({"url": url, "opened": opened}, url)


def _with_dashboard(settings: Settings) -> Settings:
    """Return the settings with METRICS_BASE; by default that of `cogo dev`, if it is running."""
    if settings.metrics_base:
        return settings
    parts = urlsplit(_LOCAL_DASHBOARD)
    with suppress(OSError), socket.create_connection((str(parts.hostname), int(parts.port or 80)), timeout=1):
        return settings.model_copy(update={"metrics_base": _LOCAL_DASHBOARD})
    return settings


def _states(
    application: Application, job_id: UUID, interval_seconds: float, deadline: float | None
) -> Iterator[tuple[WholeJob, str | None]]:
    """Yield the job and the reason for its status, each time that they change, until it has finished.

    An unreachable database is reported once and read again.
    """
    seen: object = None
    unreachable = False
    while True:
        try:
            job, reason = _read(application, job_id)
        except DatabaseUnavailable as error:
            if not unreachable:
                typer.echo(f"{one_line(error)} Trying again.", err=True)
            unreachable = True
        else:
            unreachable = False
            state = (job.status, job.attempts, job.error is not None, None if job.status == "queued" else reason)
            if state != seen:
                yield job, reason
            seen = state
            if job.status in _FINISHED:
                return
        if deadline is not None and time.monotonic() + interval_seconds > deadline:
            return
        time.sleep(interval_seconds)


def _read(application: Application, job_id: UUID) -> tuple[WholeJob, str | None]:
    jobs = application.queue.get_jobs([job_id])
    if not jobs:
        raise JobNotFound(f"Job {job_id} not found: it was purged.")
    reasons = application.queue.explain([job_id], count_ahead=False)
    return jobs[0], why(reasons[0], datetime.now(UTC)) if reasons else None


def _print_line(job: WholeJob, reason: str | None) -> None:
    now = datetime.now(UTC).astimezone()
    details: list[Json] = [f"attempt {job.attempts}/{job.max_attempts}" if job.attempts else None, reason]
    if job.status in _FINISHED:
        details = [run_time(job.run_seconds) if job.run_seconds is not None else None]
    if job.error is not None and job.status != "succeeded":
        details.append(error_line(job.error))
    about = f"{job.type} {job.subject}" if job.subject else job.type
    text = "; ".join(one_line(part) for part in details if part)
    status = typer.style(f"{job.status!s:<9}", fg=_color(str(job.status)))
    typer.echo(f"{now:%H:%M:%S} {status} {one_line(about)}{f': {text}' if text else ''}")


def _color(status: str) -> str | None:
    style = status_style(status)
    return style if style in ("green", "red", "cyan", "yellow") else None

"""`cogo enqueue`: add jobs, validated by their executors."""

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from cogo_dagster.cli import completion
from cogo_dagster.cli.command import BadInput, JsonFlag, Report, command, group
from cogo_dagster.cli.enqueue_file import JobsFile, enqueue_file
from cogo_dagster.cli.opened import opened
from cogo_dagster.cli.options import read_settings, seconds_of
from cogo_dagster.executors.registry import validate_payload
from cogo_dagster.queue.client import content_key
from cogo_dagster.queue.model import Json, NewJob, family_of
from cogo_dagster.settings import Settings
from cogo_dagster.text import parse_json, storable_json

app = group("Add jobs.")

Url = Annotated[
    str | None, typer.Option("--url", envvar="BROWSER_TEST_URL", help="Page to open; required unless in --payload.")
]
Payload = Annotated[
    str | None,
    typer.Option("--payload", metavar="JSON|@FILE", help="The payload; @FILE reads a file, @- standard input."),
]
Priority = Annotated[int, typer.Option("--priority", min=0, max=9, help="Priority; 0 runs first.")]
MaxAttempts = Annotated[
    int, typer.Option("--max-attempts", min=1, max=100, help="Attempts before the job is dead-lettered.")
]
RunIn = Annotated[
    float,
    typer.Option("--run-in", parser=seconds_of, metavar="DURATION", help="Delay before the first attempt: 30m, 2h …"),
]
Address = Annotated[
    str | None, typer.Option("--executor-id", help="Address the job to this executor ID; any worker by default.")
]
Key = Annotated[
    str | None, typer.Option("--idempotency-key", help="Idempotency key: at most one job per type and key.")
]

_FIGMA_EXAMPLE: Final = {"file_key": "AbC", "node_ids": ["1:2"]}


class Format(StrEnum):
    """Image format of rendered nodes."""

    PNG = "png"
    JPG = "jpg"
    SVG = "svg"
    PDF = "pdf"


@command(app)
def jobs(
    file: Annotated[
        str,
        typer.Argument(
            metavar="@FILE",
            help='A file with one job per line, {"type": "browser", "payload": {"url": "https://example.com"}}. '
            "@- is standard input.",
        ),
    ],
    *,
    as_json: JsonFlag = False,
) -> Report:
    """Add the jobs of a file, of any type; none if a line is invalid."""
    return enqueue_file(read_settings(), file, NewJob(""), family=None, quiet=as_json)


@command(app)
def figma(
    file: JobsFile = None,
    *,
    file_key: Annotated[
        str | None,
        typer.Option(envvar="FIGMA_FILE_KEY", help="Key or URL of the file; required unless in --payload."),
    ] = None,
    node_ids: Annotated[
        list[str] | None,
        typer.Option(
            "--node-id", envvar="FIGMA_NODE_IDS", help="Node ID, such as 1:2 or 1-2; repeatable or comma-separated."
        ),
    ] = None,
    image_format: Annotated[
        Format | None, typer.Option("--format", envvar="FIGMA_FORMAT", help="Image format of rendered nodes.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(envvar="FIGMA_SCALE", help="Scale of rendered nodes, 0.01 to 4.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Version ID of the file; the current version by default.")] = None,
    depth: Annotated[int | None, typer.Option(help="Depth of the document tree, 1 to 100.")] = None,
    payload: Payload = None,
    job_type: Annotated[
        str | None,
        typer.Option(
            "--type",
            help="figma (the file), figma.nodes or figma.images; by default figma.images with --format or --scale, "
            "figma.nodes with --node-id, otherwise figma.",
        ),
    ] = None,
    executor_id: Address = None,
    idempotency_key: Key = None,
    priority: Priority = 5,
    max_attempts: MaxAttempts = 5,
    run_in_seconds: RunIn = 0,
    as_json: JsonFlag = False,
) -> Report:
    """Export a Figma file, nodes of it, or rendered nodes; with @FILE, one job per line."""
    if file is not None:
        _check_no_single_job(payload, idempotency_key)
        template = NewJob(job_type or "", {}, executor_id, priority, max_attempts, run_in_seconds=run_in_seconds)
        type_of = None if job_type else _figma_type
        return enqueue_file(read_settings(), file, template, family="figma", quiet=as_json, type_of=type_of)
    if file_key is None and payload is None:
        raise BadInput("No file to export: use --file-key or --payload, or set FIGMA_FILE_KEY.")
    options = {
        "file_key": file_key,
        "node_ids": [node for part in node_ids or () for node in part.split(",") if node] or None,
        "format": image_format.value if image_format else None,
        "scale": scale,
        "version": version,
        "depth": depth,
    }
    given_payload = _read_payload(payload, options, example=_FIGMA_EXAMPLE)
    chosen = _of_family("figma", job_type or _figma_type(given_payload), "figma, figma.nodes or figma.images")
    return _validate_and_enqueue(
        NewJob(
            chosen,
            given_payload,
            executor_id=executor_id,
            priority=priority,
            max_attempts=max_attempts,
            idempotency_key=idempotency_key,
            run_in_seconds=run_in_seconds,
        )
    )


@command(app)
def browser(
    file: JobsFile = None,
    *,
    url: Url = None,
    payload: Payload = None,
    job_type: Annotated[str, typer.Option("--type", help="browser, or browser.pdf to store a PDF too.")] = "browser",
    executor_id: Address = None,
    idempotency_key: Key = None,
    priority: Priority = 5,
    max_attempts: MaxAttempts = 5,
    run_in_seconds: RunIn = 0,
    as_json: JsonFlag = False,
) -> Report:
    """Open a web page in a browser and store a screenshot and its content; with @FILE, one job per line."""
    if file is not None:
        _check_no_single_job(payload, idempotency_key)
        template = NewJob(job_type, {}, executor_id, priority, max_attempts, run_in_seconds=run_in_seconds)
        return enqueue_file(read_settings(), file, template, family="browser", quiet=as_json)
    chosen = _of_family("browser", job_type, "browser or browser.pdf")
    given_payload = _page_payload(payload, url)
    return _validate_and_enqueue(
        NewJob(
            chosen,
            given_payload,
            executor_id=executor_id,
            priority=priority,
            max_attempts=max_attempts,
            idempotency_key=idempotency_key,
            run_in_seconds=run_in_seconds,
        )
    )


@command(app)
def idempotent(
    *,
    job_type: Annotated[
        str, typer.Option("--type", envvar="JOB_TYPE", autocompletion=completion.types, help="Type of the job.")
    ] = "browser",
    url: Url = None,
    payload: Payload = None,
    executor_id: Annotated[
        str | None, typer.Option(envvar="EXECUTOR_ID", help="Address the job to this executor ID.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option(
            envvar="IDEMPOTENCY_KEY", help="Idempotency key; by default the SHA-256 of type, executor ID and payload."
        ),
    ] = None,
) -> Report:
    """Add a job unless the same job exists already."""
    settings = read_settings()
    checked = validate_payload(job_type, _page_payload(payload, url), settings)
    key = idempotency_key or content_key(job_type, executor_id, checked)
    return _enqueue(settings, NewJob(job_type, checked, executor_id=executor_id, idempotency_key=key))


def _check_no_single_job(payload: str | None, idempotency_key: str | None) -> None:
    """Reject options that a file has in its lines."""
    if payload is not None or idempotency_key is not None:
        raise BadInput("--payload and --idempotency-key are for one job: write them in the lines of the file.")


def _of_family(family: str, job_type: str, types: str) -> str:
    if family_of(job_type) != family:
        raise BadInput(f"`cogo enqueue {family}` adds jobs of type {types}, not {job_type!r}.")
    return job_type


def _validate_and_enqueue(job: NewJob) -> Report:
    settings = read_settings()
    return _enqueue(settings, replace(job, payload=validate_payload(job.type, job.payload, settings)))


def _enqueue(settings: Settings, job: NewJob) -> Report:
    with opened(settings) as application:
        [enqueued] = application.queue.enqueue([job])
    document = {"job_id": str(enqueued.job_id), "created": enqueued.created}
    if enqueued.created:
        return Report(document, f"Enqueued {job.type} job {enqueued.job_id}.")
    message = f"Not enqueued: {job.type} job {enqueued.job_id} has this idempotency key."
    return Report(document, message)


def _page_payload(text: str | None, url: str | None) -> Json:
    """Return the payload, with the URL from the option if it has none."""
    if text is None and url is None:
        raise BadInput("No page to open: use --url or --payload, or set BROWSER_TEST_URL.")
    return _read_payload(text, {"url": url}, example={"url": "https://example.com"})


def _figma_type(payload: Json) -> str:
    """Return the job type that a payload implies."""
    if not isinstance(payload, dict):
        return "figma"
    if "format" in payload or "scale" in payload:
        return "figma.images"
    return "figma.nodes" if "node_ids" in payload or "node-id=" in str(payload.get("file_key")) else "figma"


def _read_payload(text: str | None, options: Mapping[str, Json], *, example: Json) -> Json:
    """Return the payload, completed by options for the keys that it does not have.

    Args:
        text: JSON, `@` and a file name, or `@-`; None is an empty payload.
        options: Values by payload key; None means not given.
        example: A payload for error messages.
    """
    values = {name: value for name, value in options.items() if value is not None}
    payload = {} if text is None else _parsed(_text_of(text), example)
    return values | payload if isinstance(payload, dict) else payload


def _text_of(argument: str) -> str:
    if not argument.startswith("@"):
        return argument
    if argument == "@-":
        return sys.stdin.read()
    try:
        return Path(argument[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise BadInput(
            f"--payload cannot be read from {argument[1:]} ({reason}): use the path of a JSON file."
        ) from None


def _parsed(text: str, example: Json) -> Json:
    try:
        payload = parse_json(text)
    except ValueError as error:
        raise BadInput(f"--payload is not JSON ({error}): write it as '{json.dumps(example)}'.") from None
    if storable_json(payload)[1]:
        raise BadInput(
            "--payload contains a value that cannot be stored (U+0000, a lone surrogate such as \\ud83d, a number of "
            "more than 300 digits, or more than 200 levels of nesting): remove it."
        )
    return payload

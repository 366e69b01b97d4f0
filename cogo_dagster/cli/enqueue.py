"""`cogo enqueue`: add one job, checked by the executor that will run it."""

import json
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.words import BadInput, seconds_of
from cogo_dagster.executors.registry import validate_payload
from cogo_dagster.queue.client import content_key
from cogo_dagster.queue.model import Json, NewJob, family_of
from cogo_dagster.settings import Settings

app = group("Add one job.")

Url = Annotated[
    str | None, typer.Option("--url", envvar="BROWSER_TEST_URL", help="The page to open; needed unless in --payload.")
]
Payload = Annotated[
    str | None, typer.Option("--payload", metavar="JSON|@FILE", help="The whole payload; @- reads standard input.")
]
Priority = Annotated[int, typer.Option("--priority", min=0, max=9, help="0 runs first.")]
MaxAttempts = Annotated[int, typer.Option("--max-attempts", min=1, max=100, help="Then it goes to the dead letters.")]
RunIn = Annotated[
    float, typer.Option("--run-in", parser=seconds_of, metavar="DURATION", help="Wait before the first run: 30m, 2h …")
]


@app.command()
def browser(
    *,
    url: Url = None,
    payload: Payload = None,
    type: Annotated[str, typer.Option("--type", help="browser, or browser.pdf to keep a PDF too.")] = "browser",
    executor_id: Annotated[str | None, typer.Option(help="Address it to one executor; else any takes it.")] = None,
    idempotency_key: Annotated[str | None, typer.Option(help="A key of your own: one job per type and key.")] = None,
    priority: Priority = 5,
    max_attempts: MaxAttempts = 5,
    run_in_seconds: RunIn = 0,
    as_json: JsonFlag = False,
) -> None:
    """Open a web page in a browser and keep what it shows."""
    if family_of(type) != "browser":
        raise BadInput(f"`cogo enqueue browser` makes jobs of type browser or browser.pdf, not {type!r}.")
    settings = read_settings()
    job = NewJob(
        type,
        validate_payload(type, _payload(payload, url), settings),
        executor_id=executor_id,
        priority=priority,
        max_attempts=max_attempts,
        idempotency_key=idempotency_key,
        run_in_seconds=run_in_seconds,
    )
    _enqueue(settings, job, as_json)


@app.command()
def idempotent(
    *,
    type: Annotated[str, typer.Option("--type", envvar="JOB_TYPE", help="What to run.")] = "browser",
    url: Url = None,
    payload: Payload = None,
    executor_id: Annotated[str | None, typer.Option(envvar="EXECUTOR_ID", help="Address it to one executor.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(envvar="IDEMPOTENCY_KEY", help="Instead of the SHA-256 of type, executor and payload.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Add a job unless the same one is there already."""
    settings = read_settings()
    checked = validate_payload(type, _payload(payload, url), settings)
    key = idempotency_key or content_key(type, executor_id, checked)
    _enqueue(settings, NewJob(type, checked, executor_id=executor_id, idempotency_key=key), as_json)


def _enqueue(settings: Settings, job: NewJob, as_json: bool) -> None:
    with open_application(settings) as application:
        [enqueued] = application.queue.enqueue([job])
    if as_json:
        print_json({"job_id": str(enqueued.job_id), "created": enqueued.created})
    elif enqueued.created:
        typer.echo(f"Enqueued {job.type} job {enqueued.job_id}.")
    else:
        typer.echo(f"There already is {job.type} job {enqueued.job_id} with this idempotency key: nothing was added.")


def _payload(text: str | None, url: str | None) -> Json:
    """Return the payload as given; the address fills its place where it has none."""
    if text is None:
        if url is None:
            raise BadInput("There is no page to open: give --url, --payload, or set BROWSER_TEST_URL.")
        return {"url": url}
    payload = _parsed(_text_of(text))
    return {"url": url} | payload if url is not None and isinstance(payload, dict) else payload


def _text_of(given: str) -> str:
    if not given.startswith("@"):
        return given
    if given == "@-":
        return sys.stdin.read()
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise BadInput(f"--payload cannot be read from {given[1:]} ({reason}): name a JSON file.") from None


def _parsed(text: str) -> Json:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError as error:
        raise BadInput(f'--payload is not JSON ({error}): write it as \'{{"url": "https://example.com"}}\'.') from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")

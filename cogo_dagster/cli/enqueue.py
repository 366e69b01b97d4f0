"""`cogo enqueue`: add one job, checked by the executor that will run it."""

from typing import Annotated

import typer

from cogo_dagster.cli.enqueue_figma import figma
from cogo_dagster.cli.enqueue_options import (
    Address,
    Key,
    MaxAttempts,
    Payload,
    Priority,
    RunIn,
    enqueue_one,
    read_payload,
)
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag
from cogo_dagster.cli.words import BadInput
from cogo_dagster.executors.registry import validate_payload
from cogo_dagster.queue.client import content_key
from cogo_dagster.queue.model import Json, NewJob, family_of

app = group("Add one job.")

Url = Annotated[
    str | None, typer.Option("--url", envvar="BROWSER_TEST_URL", help="The page to open; needed unless in --payload.")
]

app.command()(figma)


@app.command()
def browser(
    *,
    url: Url = None,
    payload: Payload = None,
    type: Annotated[str, typer.Option("--type", help="browser, or browser.pdf to keep a PDF too.")] = "browser",
    executor_id: Address = None,
    idempotency_key: Key = None,
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
    enqueue_one(settings, job, as_json=as_json)


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
    enqueue_one(settings, NewJob(type, checked, executor_id=executor_id, idempotency_key=key), as_json=as_json)


def _payload(text: str | None, url: str | None) -> Json:
    """Return the payload as given; the address fills its place where it has none."""
    if text is None and url is None:
        raise BadInput("There is no page to open: give --url, --payload, or set BROWSER_TEST_URL.")
    return read_payload(text, {"url": url}, example={"url": "https://example.com"})

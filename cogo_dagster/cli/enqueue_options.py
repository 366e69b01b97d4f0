"""What the commands that add a job have in common."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.output import print_json
from cogo_dagster.cli.words import BadInput, seconds_of
from cogo_dagster.queue.model import Json, NewJob
from cogo_dagster.settings import Settings
from cogo_dagster.text import storable_json

Payload = Annotated[
    str | None, typer.Option("--payload", metavar="JSON|@FILE", help="The whole payload; @- reads standard input.")
]
Priority = Annotated[int, typer.Option("--priority", min=0, max=9, help="0 runs first.")]
MaxAttempts = Annotated[int, typer.Option("--max-attempts", min=1, max=100, help="Then it goes to the dead letters.")]
RunIn = Annotated[
    float, typer.Option("--run-in", parser=seconds_of, metavar="DURATION", help="Wait before the first run: 30m, 2h …")
]
Address = Annotated[str | None, typer.Option("--executor-id", help="Address it to one executor; else any takes it.")]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="A key of your own: one job per type and key.")]


def enqueue_one(settings: Settings, job: NewJob, *, as_json: bool) -> None:
    """Add the job, and say so."""
    with open_application(settings) as application:
        [enqueued] = application.queue.enqueue([job])
    if as_json:
        print_json({"job_id": str(enqueued.job_id), "created": enqueued.created})
    elif enqueued.created:
        typer.echo(f"Enqueued {job.type} job {enqueued.job_id}.")
    else:
        typer.echo(f"There already is {job.type} job {enqueued.job_id} with this idempotency key: nothing was added.")


def read_payload(text: str | None, options: Mapping[str, Json], *, example: Json) -> Json:
    """Return the payload as given; options that are given fill their places where it has none.

    Args:
        text: JSON, `@` and a file, or `@-`; None is an empty payload.
        options: By their names in the payload; None is not given.
        example: Of a payload, for the sentence of an error.
    """
    given = {name: value for name, value in options.items() if value is not None}
    payload = {} if text is None else _parsed(_text_of(text), example)
    return given | payload if isinstance(payload, dict) else payload


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


def _parsed(text: str, example: Json) -> Json:
    try:
        payload = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"--payload is not JSON ({error}): write it as '{json.dumps(example)}'.") from None
    if storable_json(payload)[1]:
        raise BadInput(
            "--payload holds what cannot be stored (U+0000, half of a surrogate pair such as \\ud83d alone, a number "
            "of more than 300 digits, or more than 200 levels): take it out."
        )
    return payload


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")

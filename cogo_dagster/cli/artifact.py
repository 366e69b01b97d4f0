"""`cogo artifact`: fetch artifacts from their store, or sign a URL of one."""

import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli import completion
from cogo_dagster.cli.command import BadInput, JsonFlag, Report, command, group
from cogo_dagster.cli.options import part_of_id, seconds_of
from cogo_dagster.formatting.values import run_time, size
from cogo_dagster.queue.errors import JobNotFound
from cogo_dagster.queue.rows.artifacts import ArtifactRow

app = group("Fetch artifacts, or sign their URLs.")

_MAX_SECONDS: Final = 604_800.0
_MAX_ARTIFACTS: Final = 1_000

Id = Annotated[
    str,
    typer.Argument(
        parser=part_of_id,
        metavar="ID",
        autocompletion=completion.job_ids,
        help="ID of a job, of which 8 first or last digits suffice, or of an artifact.",
    ),
]
Name = Annotated[str | None, typer.Argument(help="Name of the artifact; all artifacts of the job by default.")]


@command(app)
def fetch(
    application: Application,
    id: Id,
    name: Name = None,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", help="A folder, the file of a single artifact, or - for standard output.")
    ] = ".",
    as_json: JsonFlag = False,
) -> Report:
    """Copy artifacts from their store to this machine; existing files are replaced."""
    rows = _chosen(application, id, name)
    if output == "-":
        if len(rows) > 1 or as_json:
            raise BadInput(f"Only one artifact can be written to standard output: name one of {_names(rows)}.")
        _copy_to_output(application, rows[0])
        return Report(None, "")
    files = _targets(rows, output)
    for row, file in zip(rows, files, strict=True):
        _copy(application, row, file)
    fetched = [{**row.document, "file": str(file)} for row, file in zip(rows, files, strict=True)]
    lines = [f"{file} ({size(row.size_bytes)})" for row, file in zip(rows, files, strict=True)]
    return Report(fetched, "\n".join(lines))


@command(app)
def sign(
    application: Application,
    id: Id,
    name: Name = None,
    *,
    valid_seconds: Annotated[
        float, typer.Option("--for", parser=seconds_of, metavar="DURATION", help="How long the URL is valid, up to 1w.")
    ] = 3_600,
    download: Annotated[
        bool, typer.Option("--download", help="The URL downloads the file instead of showing it.")
    ] = False,
) -> Report:
    """Print URLs with which anyone can read artifacts for a limited time; of files on this machine, their paths."""
    if not 1 <= valid_seconds <= _MAX_SECONDS:
        raise BadInput("--for must be between 1s and 1w.")
    rows = _chosen(application, id, name)
    signed = []
    for row in rows:
        url = application.store.signed_url(_key(row), int(valid_seconds), row.name if download else None)
        signed.append(
            {
                **row.document,
                "url": url or application.address_of(row),
                "expires_seconds": int(valid_seconds) if url else None,
            }
        )
    note = f"Valid for {run_time(valid_seconds)}." if any(row["expires_seconds"] for row in signed) else None
    return Report(signed, "\n".join(str(row["url"]) for row in signed), error=note)


def _chosen(application: Application, given: str, name: str | None) -> list[ArtifactRow]:
    """Return the ready artifacts of a job, or one artifact by its ID.

    Raises:
        JobNotFound: There is no such job or artifact, or it has no artifact of this name.
    """
    rows: list[ArtifactRow] = []
    with suppress(ValueError):
        rows = application.queue.get_artifacts([UUID(given)])
    if not rows:
        rows = _artifact_of_part(application, given)
    if not rows:
        job_id = application.queue.find_id(given)
        rows = application.queue.list_artifacts(job_id=job_id, status="ready", max_artifacts=_MAX_ARTIFACTS)
    ready = [row for row in rows if row.status == "ready" and row.storage_key]
    ready.sort(key=lambda row: (row.attempt or 0, row.name or ""))
    if not ready:
        raise JobNotFound(f"{given} has no artifacts in the store: `cogo job show {given}` shows the job.")
    found = [row for row in ready if name in (None, row.name)]
    if not found:
        raise JobNotFound(f"{given} has no artifact {name!r}: use one of {_names(ready)}.")
    return found


def _names(rows: Sequence[ArtifactRow]) -> str:
    return ", ".join(dict.fromkeys(row.name or str(row.id) for row in rows))


def _targets(rows: Sequence[ArtifactRow], output: str) -> list[Path]:
    """Return the file of each artifact; those of several attempts with one name get the number of the attempt."""
    folder = Path(output)
    if len(rows) == 1 and not output.endswith("/") and not folder.is_dir():
        return [folder]
    names = [row.name for row in rows]
    return [
        folder / (f"attempt-{row.attempt}-{_base(row)}" if names.count(row.name) > 1 else _base(row)) for row in rows
    ]


def _base(row: ArtifactRow) -> str:
    """Return the last part of a name, which an executor chose: it must not lead out of the folder."""
    base = Path((row.name or "").replace("\\", "/")).name
    return base if base not in ("", ".", "..") else str(row.id)


def _copy(application: Application, row: ArtifactRow, file: Path) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{file.name}.part")
        with application.store.open(_key(row)) as source, part.open("wb") as target:
            shutil.copyfileobj(source, target)
        part.replace(file)
    except OSError as error:
        raise BadInput(f"{file} cannot be written ({error.strerror}): choose another place with --output.") from None


def _copy_to_output(application: Application, row: ArtifactRow) -> None:
    with application.store.open(_key(row)) as source:
        shutil.copyfileobj(source, sys.stdout.buffer)
    sys.stdout.flush()


def _key(row: ArtifactRow) -> str:
    return row.storage_key or ""


def _artifact_of_part(application: Application, given: str) -> list[ArtifactRow]:
    """Return the artifact whose ID has these digits, if it is the only one and no job has them."""
    with suppress(JobNotFound):
        application.queue.find_id(given)
        return []
    with suppress(JobNotFound):
        return application.queue.get_artifacts([application.queue.find_any("artifact", given)])
    return []

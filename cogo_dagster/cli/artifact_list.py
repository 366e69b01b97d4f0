"""The artifacts of one job, as text."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

import typer

from cogo_dagster.cli.tables import column, print_table, terminal_width
from cogo_dagster.formatting.values import one_line, size
from cogo_dagster.queue.rows.artifacts import ArtifactRow

_COLUMNS: Final = (
    column("attempt", whole=True),
    column("name"),
    column("size", "size_bytes", size, whole=True),
    column("artifact", "id", is_id=True),
)
_INDENT: Final = "  "


def print_artifacts(job_id: UUID, artifacts: Sequence[tuple[ArtifactRow, str | None]]) -> None:
    """Print artifacts with their addresses; with their IDs on a terminal that is too narrow for the addresses.

    Args:
        job_id: The job of all artifacts.
        artifacts: Each with its path or URL.
    """
    ordered = sorted(artifacts, key=lambda pair: (pair[0].attempt or 0, str(pair[0].name)))
    width, longest = terminal_width(), max(len(one_line(address)) for _, address in ordered)
    if width is not None and longest + len(_INDENT) > width:
        print_table([artifact for artifact, _ in ordered], _COLUMNS, when_empty="")
        typer.echo(f"Copy them with `cogo artifact fetch {str(job_id)[-8:]}`, or one with its ID.")
        return
    for artifact, address in ordered:
        typer.echo(f"{one_line(artifact.name)} ({size(artifact.size_bytes)}, attempt {artifact.attempt or 1})")
        typer.echo(f"{_INDENT}{one_line(address)}")

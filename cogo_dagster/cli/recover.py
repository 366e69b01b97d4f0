"""`cogo recover`: take back what lost workers left."""

from typing import Final

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.bulk import Mode, Words, run
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import DryRun, read_settings
from cogo_dagster.cli.output import JsonFlag
from cogo_dagster.cli.tables import Column, column
from cogo_dagster.cli.words import distance
from cogo_dagster.queue.bulk import Operation

app = group("Take back what lost workers left.")

_WORDS: Final = Words(
    "expired lease",
    "taken back",
    (
        column("job", "id", whole=True),
        column("type"),
        Column("attempt", lambda row: f"{row['attempts']}/{row['max_attempts']}", whole=True),
        column("worker", "worker_id"),
        Column("expired", lambda row: distance(row["lease_expires_at"]), whole=True),
    ),
)


@app.command()
def leases(context: typer.Context, dry_run: DryRun = None, as_json: JsonFlag = False) -> None:
    """Requeue jobs whose lease expired; those out of attempts go to the dead letters."""
    mode = Mode.of(context, dry_run, None, None, None, cautious=False)
    with open_application(read_settings()) as application:
        totals = run(application, Operation("recover_leases"), mode, _WORDS, as_json=as_json)
    if totals.changed and not as_json:
        typer.echo(
            "Their jobs: " + ", ".join(f"{count} {name}" for name, count in totals.counts.items() if count) + "."
        )

"""`cogo recover`: take back what lost workers left."""

from dataclasses import asdict
from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.queue.client import Recovered

app = group("Take back what lost workers left.")


@app.command()
def leases(
    dry_run: Annotated[bool, typer.Option("--dry-run", envvar="DRY_RUN", help="Only count them.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Requeue jobs whose lease expired; those out of attempts go to the dead letters."""
    with open_application(read_settings()) as application:
        matched = application.queue.stats()["expired_leases"] if dry_run else None
        done = Recovered(0, 0) if dry_run else application.queue.recover()
    if as_json:
        print_json(
            {"matched": done.changed if matched is None else matched, "changed": done.changed, "dry_run": dry_run}
            | asdict(done)
        )
    elif dry_run:
        typer.echo(f"Leases expired: {matched}; without --dry-run their jobs would be taken back.")
    else:
        counts = ", ".join(f"{count} {name}" for name, count in asdict(done).items() if count)
        typer.echo(f"Leases expired: {done.changed}{'; jobs ' if counts else ''}{counts}.")

"""`cogo recover`: take back what lost workers left."""

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
        expired = application.queue.stats()["expired_leases"] if dry_run else None
        done = Recovered(0, 0) if dry_run else application.queue.recover()
    changed = done.requeued + done.failed
    matched = changed if expired is None else expired
    if as_json:
        numbers = {"matched": matched, "changed": changed, "dry_run": dry_run}
        print_json(numbers | {"requeued": done.requeued, "failed": done.failed})
    elif dry_run:
        typer.echo(f"{matched} leases have expired; without --dry-run their jobs would be taken back.")
    else:
        typer.echo(f"{matched} leases had expired: {done.requeued} jobs requeued, {done.failed} ended.")

"""`cogo drill`: cause failures on a scratch database and check the guarantees of the queue."""

from dataclasses import asdict
from typing import Annotated

import typer

from cogo_dagster.bootstrap import without_password
from cogo_dagster.cli.command import BadInput, ExitCode, Report, command
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import column, print_table
from cogo_dagster.drill import drill as run_drill
from cogo_dagster.drill import scratch
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import Settings

_COLUMNS = (
    column("guarantee", "promise", whole=True),
    column("held", show=lambda held: "yes" if held else "NO", whole=True),
    column("observation", "sentence"),
)


@command()
def drill(
    embedded: Annotated[
        bool, typer.Option("--embedded", help="Start a separate embedded server, even if the settings name one.")
    ] = False,
) -> Report:
    """Kill a worker, expire a lease, replay a job twice and lose replies, on a scratch database."""
    own = None if embedded else _own_server(read_settings())
    with scratch(own) as place:
        database, address = "own" if own else "embedded", without_password(place.dsn)
        where = "a separate server, started for the drill" if own is None else "the server of COGO_DATABASE_URL"
        typer.echo(f"The drill runs on {where}: {address}, with artifacts in a temporary folder.", err=True)
        transport = PostgresTransport(place.dsn)
        try:
            observations = run_drill(Queue(transport), place, lambda message: typer.echo(message, err=True))
        finally:
            transport.close()
    rows = [asdict(observation) for observation in observations]
    held = all(observation.held for observation in observations)
    return Report(
        {"held": held, "database": database, "address": address, "promises": rows},
        lambda: print_table(rows, _COLUMNS, when_empty=""),
        ExitCode.OK if held else ExitCode.FAILED,
    )


def _own_server(settings: Settings) -> str | None:
    if settings.uses_embedded_database:
        return None
    if settings.uses_rest or settings.database_url is None:
        raise BadInput(
            "SUPABASE_URL alone does not give a connection to create a scratch database: set COGO_DATABASE_URL to run "
            "the drill on that server, or use --embedded to run it on a separate one."
        )
    return settings.database_url.get_secret_value()

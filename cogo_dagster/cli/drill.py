"""`cogo drill`: see for yourself that nothing is lost."""

from dataclasses import asdict
from typing import Annotated

import typer

from cogo_dagster.bootstrap import without_password
from cogo_dagster.cli.command import BadInput, ExitCode, Report, command
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.tables import column, print_table
from cogo_dagster.drill import drill as hold
from cogo_dagster.drill import scratch
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport
from cogo_dagster.settings import Settings

_COLUMNS = (
    column("promise", whole=True),
    column("held", show=lambda held: "yes" if held else "NO", whole=True),
    column("seen", "sentence"),
)


@command()
def drill(
    embedded: Annotated[
        bool, typer.Option("--embedded", help="On a server of its own, whatever the settings name.")
    ] = False,
) -> Report:
    """Kill a worker, expire a lease, replay a dead letter twice and lose replies, on a scratch database."""
    own = None if embedded else _own_server(read_settings())
    with scratch(own) as place:
        database, address = "own" if own else "embedded", without_password(place.dsn)
        where = "a server of its own, started for the drill" if own is None else "the server of COGO_DATABASE_URL"
        typer.echo(f"The drill is held on {where}: {address}, with artifacts in a folder of its own.", err=True)
        transport = PostgresTransport(place.dsn)
        try:
            seen = hold(Queue(transport), place, lambda sentence: typer.echo(sentence, err=True))
        finally:
            transport.close()
    rows = [asdict(observation) for observation in seen]
    held = all(observation.held for observation in seen)
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
            "SUPABASE_URL alone gives no connection to make a scratch database over, and this project's database would "
            "not be drilled: set COGO_DATABASE_URL to drill on its server, or drill another one with --embedded."
        )
    return settings.database_url.get_secret_value()

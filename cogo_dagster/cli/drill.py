"""`cogo drill`: see for yourself that nothing is lost."""

from dataclasses import asdict
from typing import Annotated

import typer

from cogo_dagster.bootstrap import uses_embedded_database
from cogo_dagster.cli.exit_codes import ExitCode
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import Column, column, print_table
from cogo_dagster.drill import drill as hold
from cogo_dagster.drill import scratch
from cogo_dagster.queue.client import Queue
from cogo_dagster.queue.transports.postgres import PostgresTransport

_COLUMNS = (
    column("promise", whole=True),
    Column("held", lambda row: "yes" if row["held"] else "NO", whole=True),
    column("seen", "sentence"),
)


def drill(
    embedded: Annotated[
        bool, typer.Option("--embedded", help="On a server of its own, whatever the settings name.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Kill a worker, expire a lease and replay a dead letter twice, on a scratch database."""
    settings = read_settings()
    own = None if embedded or uses_embedded_database(settings) else settings.database_url
    with scratch(own.get_secret_value() if own else None) as place:
        transport = PostgresTransport(place.dsn)
        try:
            seen = hold(Queue(transport), place, lambda sentence: typer.echo(sentence, err=True))
        finally:
            transport.close()
    rows = [asdict(observation) for observation in seen]
    held = all(observation.held for observation in seen)
    if as_json:
        print_json({"held": held, "promises": rows})
    else:
        print_table(rows, _COLUMNS, when_empty="")
    if not held:
        raise typer.Exit(ExitCode.FAILED)

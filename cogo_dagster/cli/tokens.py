"""`cogo tokens`: who may use the dashboard and its API, and what they may do."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.exit_codes import ExitCode
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import Column, column, print_table
from cogo_dagster.cli.words import BadInput, distance, seconds_of
from cogo_dagster.vault.access_tokens import ROLES, AccessTokens, Role

app = group("Give people and programs a token of their own for the dashboard and its API.")

Name = Annotated[str, typer.Argument(help="Whose it is: anna, ci, prometheus. The operations log names its holder so.")]

_COLUMNS = (
    column("name", whole=True),
    column("role", whole=True),
    column("state", whole=True),
    Column("made", lambda row: distance(row["created_at"]), whole=True),
    Column("expires", lambda row: distance(row["expires_at"]) if row["expires_at"] else "never", whole=True),
    Column("last used", lambda row: distance(row["last_used_at"]) if row["last_used_at"] else "never", whole=True),
    column("made by", "created_by"),
)


@app.command()
def create(
    *,
    name: Name,
    role: Annotated[
        str, typer.Option(help="viewer reads; operator acts on jobs and alerts too; admin does everything.")
    ] = "viewer",
    expires_in: Annotated[
        float | None,
        typer.Option("--expires-in", parser=seconds_of, metavar="DURATION", help="12h, 90d …; without it, never."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a token and print it, this once: only its hash is kept."""
    if role not in ROLES:
        raise BadInput(f"{role!r} is no role: choose viewer, operator or admin.")
    chosen: Role = next(one for one in ROLES if one == role)
    with open_application(read_settings()) as application:
        token, row = _tokens(application).create(name, chosen, expires_in_seconds=expires_in, actor=actor())
    if as_json:
        print_json({**row, "token": token})
        return
    typer.echo(token)
    typer.echo(f"{name} has the role {row['role']} with it. Keep it now: it is not shown again.", err=True)


@app.command("list")
def list_(
    *,
    live_only: Annotated[bool, typer.Option("--live", help="Neither revoked nor expired.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show which tokens there are, when they were last used, and never the tokens themselves."""
    with open_application(read_settings()) as application:
        rows = _tokens(application).rows(live_only=live_only)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, _COLUMNS, when_empty="There are no named tokens: make one with `cogo tokens create`.")


@app.command()
def revoke(name: Name, as_json: JsonFlag = False) -> None:
    """End a token, and every session of the dashboard that was opened with it."""
    with open_application(read_settings()) as application:
        done = _tokens(application).revoke(name, actor())
    if as_json:
        print_json(done)
    elif done["changed"]:
        typer.echo(f"The token of {name} is revoked; {done['sessions']} sessions ended with it.")
    else:
        typer.echo(f"There is no live token named {name}: see `cogo tokens list`.", err=True)
    if not done["changed"]:
        raise typer.Exit(ExitCode.FAILED)


def _tokens(application: Application) -> AccessTokens:
    return AccessTokens(application.transport)

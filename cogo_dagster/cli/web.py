"""`cogo web`: serve the metrics API and the dashboard. `cogo tokens`: manage access tokens for them."""

from datetime import datetime
from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import Application, open_application
from cogo_dagster.cli.bulk import actor
from cogo_dagster.cli.command import ExitCode, JsonFlag, Report, command, group, print_json
from cogo_dagster.cli.options import read_settings, seconds_of
from cogo_dagster.cli.tables import Row, column, lists
from cogo_dagster.formatting.values import counted, distance
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.settings import Settings, SettingsError
from cogo_dagster.vault.access_tokens import ROLES, AccessTokens, Role
from cogo_dagster.vault.admin_token import admin_token
from cogo_dagster.vault.vault_errors import VaultError

tokens = group("Manage access tokens for the dashboard and its API.")

Name = Annotated[str, typer.Argument(help="Name of the holder, shown in the operations log: anna, ci, prometheus.")]

_ADVICE: Final = "create one with `cogo tokens create NAME --role admin`, or set QUALITY_NOTIFY_ADMIN_TOKEN"


def web(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 selects a free one.")] = 8780,
    host: Annotated[
        str, typer.Option(help="Address to listen on; a token is required unless it is a loopback address.")
    ] = ("127.0.0.1"),
    as_json: JsonFlag = False,
) -> None:
    """Serve the metrics API and the dashboard until Ctrl-C, and deliver alerts if WEBHOOK_TYPE is set."""
    # Slow to import; only this command uses it.
    from cogo_dagster.web.app import create_app  # noqa: PLC0415
    from cogo_dagster.web.serve import (  # noqa: PLC0415
        address,
        alerting,
        is_loopback,
        listening,
        log_without_secrets,
        serve,
    )

    settings = read_settings()
    exposed = not is_loopback(host)
    if exposed and _has_no_token(settings):
        raise SettingsError(f"The dashboard does not listen on {host} without a token: {_ADVICE}, or omit --host.")
    log_without_secrets(settings)
    with listening(host, port) as listener:
        url = address(listener)
        if as_json:
            print_json({"url": url, "dashboard_url": f"{url}/dashboard/local", "exposed": exposed})
        else:
            typer.echo(f"Dashboard    {url}/dashboard/local")
            typer.echo(f"Prometheus   {url}/metrics")
            typer.echo(f"OpenAPI      {url}/api/openapi.json")
            if settings.admin_token is None:
                typer.echo(f"A token is required to log in: {_ADVICE}.", err=True)
            typer.echo("Press Ctrl-C to stop.", err=True)
        app = create_app(settings, bound_to=host)
        with alerting(settings, app, lambda message: typer.echo(message, err=True)):
            serve(app, listener)


def _has_no_token(settings: Settings) -> bool:
    """Whether no token exists; False if the database, which may store one, is unreachable."""
    if settings.admin_token is not None:
        return False
    try:
        with open_application(settings) as application:
            named = AccessTokens(application.transport).rows(live_only=True)
            return not named and admin_token(settings, application.transport) is None
    except (QueueError, VaultError):
        return False


def _or_never(time: datetime | Unreadable | None) -> str:
    return distance(time) if time else "never"


_TOKENS: Final = (
    column("name"),
    column("role", whole=True),
    column("state", whole=True),
    column("created", "created_at", distance, whole=True, min_width=90),
    column("expires", "expires_at", _or_never, whole=True),
    column("last used", "last_used_at", _or_never, whole=True),
    column("created by", "created_by"),
)


def _role(name: str) -> Role:
    for role in ROLES:
        if role == name:
            return role
    raise typer.BadParameter(f"{name!r} is not a role: choose viewer, operator or admin")


@command(tokens)
def create(
    application: Application,
    *,
    name: Name,
    role: Annotated[
        Role,
        typer.Option(
            parser=_role,
            metavar="[viewer|operator|admin]",
            help="viewer: read only; operator: also acts on jobs and alerts; admin: everything.",
        ),
    ] = "viewer",
    expires_in: Annotated[
        float | None,
        typer.Option(
            "--expires-in", parser=seconds_of, metavar="DURATION", help="Lifetime: 12h, 90d …; unlimited by default."
        ),
    ] = None,
) -> Report:
    """Create a token and print it once; only its hash is stored."""
    token, row = AccessTokens(application.transport).create(name, role, expires_in_seconds=expires_in, actor=actor())

    def show() -> None:
        typer.echo(token)
        typer.echo(f"Token of {name} with the role {row.role}. Copy it now: it is not shown again.", err=True)

    return Report({**row.document, "token": token}, show)


@lists(tokens, _TOKENS, "No named tokens. Create one with `cogo tokens create`.", name="list")
def list_tokens(
    application: Application,
    *,
    live_only: Annotated[bool, typer.Option("--live", help="Only tokens that are not revoked or expired.")] = False,
) -> list[Row]:
    """Show tokens with role, state and last use, without the tokens themselves."""
    return [*AccessTokens(application.transport).rows(live_only=live_only)]


@command(tokens)
def revoke(application: Application, name: Name) -> Report:
    """Revoke a token, and end all dashboard sessions opened with it."""
    done = AccessTokens(application.transport).revoke(name, actor())
    if done.changed:
        return Report(done, f"Revoked the token of {name}; ended {counted(done.sessions, 'session')}.")
    missing = f"No live token named {name}: see `cogo tokens list`."
    return Report(done, lambda: typer.echo(missing, err=True), ExitCode.FAILED)

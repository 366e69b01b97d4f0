"""`cogo web`: the metrics API and the dashboard."""

from typing import Annotated, Final

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.queue.errors import QueueError
from cogo_dagster.settings import Settings, SettingsError
from cogo_dagster.vault.access_tokens import AccessTokens
from cogo_dagster.vault.admin_token import admin_token
from cogo_dagster.vault.vault_errors import VaultError

_HOW: Final = "make one with `cogo tokens create NAME --role admin`, or set QUALITY_NOTIFY_ADMIN_TOKEN"


def web(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any that is free.")] = 8780,
    host: Annotated[
        str, typer.Option(help="Address to listen on; for others than this machine's there must be a token.")
    ] = ("127.0.0.1"),
    as_json: JsonFlag = False,
) -> None:
    """Serve the metrics API and the dashboard until Ctrl-C; deliver alerts too, if WEBHOOK_TYPE is set."""
    # Slow to import, and no other command needs them.
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
        raise SettingsError(f"The dashboard does not listen on {host} without a token: {_HOW}, or leave --host out.")
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
                typer.echo(f"To log in you need a token: {_HOW}.", err=True)
            typer.echo("Ctrl-C stops it.", err=True)
        app = create_app(settings, bound_to=host)
        with alerting(settings, app, lambda sentence: typer.echo(sentence, err=True)):
            serve(app, listener)


def _has_no_token(settings: Settings) -> bool:
    """Whether nobody could log in; a database that is away may have a token."""
    if settings.admin_token is not None:
        return False
    try:
        with open_application(settings) as application:
            named = AccessTokens(application.transport).rows(live_only=True)
            return not named and admin_token(settings, application.transport) is None
    except (QueueError, VaultError):
        return False

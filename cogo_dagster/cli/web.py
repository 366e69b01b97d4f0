"""`cogo web`: the metrics API and the dashboard."""

from typing import Annotated

import typer

from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.settings import Settings, SettingsError


def web(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any that is free.")] = 8780,
    host: Annotated[str, typer.Option(help="Address to listen on; others than this machine's need an admin token.")] = (
        "127.0.0.1"
    ),
    as_json: JsonFlag = False,
) -> None:
    """Serve the metrics API and the dashboard until Ctrl-C; deliver alerts too, if WEBHOOK_TYPE is set."""
    # Slow to import, and no other command needs them.
    from cogo_dagster.web.app import create_app  # noqa: PLC0415
    from cogo_dagster.web.serve import address, alerting, is_loopback, listening, serve  # noqa: PLC0415

    settings = read_settings()
    exposed = not is_loopback(host)
    if exposed:
        _require_token(settings, host)
    with listening(host, port) as listener:
        url = address(listener)
        if as_json:
            print_json({"url": url, "dashboard_url": f"{url}/dashboard/local", "exposed": exposed})
        else:
            typer.echo(f"Dashboard    {url}/dashboard/local")
            typer.echo(f"Prometheus   {url}/metrics")
            typer.echo(f"OpenAPI      {url}/api/openapi.json")
            typer.echo("Ctrl-C stops it.", err=True)
        app = create_app(settings, bound_to=host, exposed=exposed)
        with alerting(settings, app, lambda sentence: typer.echo(sentence, err=True)):
            serve(app, listener)


def _require_token(settings: Settings, host: str) -> None:
    if settings.admin_token is None:
        raise SettingsError(
            f"The dashboard does not listen on {host} without a token: set QUALITY_NOTIFY_ADMIN_TOKEN "
            "(`openssl rand -hex 32`), or leave --host out."
        )

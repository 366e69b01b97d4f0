"""`cogo dev`: run all services on this machine until Ctrl-C."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Final

import httpx
import typer
from fastapi import FastAPI

from cogo_dagster.bootstrap import embedded_server, open_application
from cogo_dagster.bootstrap.dagster_home import dagster_files, dagster_home
from cogo_dagster.cli.child import Child, port_is_free
from cogo_dagster.cli.command import ExitCode, JsonFlag, print_json
from cogo_dagster.cli.options import read_settings, typed
from cogo_dagster.formatting.values import run_time
from cogo_dagster.settings import Settings, SettingsError, is_root
from cogo_dagster.web.access import LINK_SECONDS
from cogo_dagster.web.app import create_app
from cogo_dagster.web.dependencies import web_of_app
from cogo_dagster.web.serve import address, listening, serving

_GRAPHQL_SECONDS: Final = 60.0

_START_SENSOR: Final = "mutation ($selector: SensorSelector!) { startSensor(sensorSelector: $selector) { __typename } }"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Addresses of the dashboard.

    Attributes:
        login_url: Creates a login link, valid once and for a short time.
    """

    url: str
    login_url: Callable[[], str]


def dev(
    *,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Dagster UI.")] = 3000,
    web_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the dashboard; 0 selects a free one.")
    ] = 8780,
    as_json: JsonFlag = False,
) -> None:
    """Run the database, the Dagster UI and daemon, and the dashboard until Ctrl-C."""
    settings = read_settings()
    if not port_is_free(port):
        raise SettingsError(
            f"Port {port} is in use: stop the process that listens on it, or choose another with --port."
        )
    # Dagster's storage is on the embedded server even if the queue's database is not.
    with (
        listening("127.0.0.1", web_port) as listener,
        embedded_server(settings).running(),
        open_application(settings) as application,
    ):
        local = _with_local_links(settings, f"http://127.0.0.1:{port}", address(listener))
        app = create_app(local, opener=lambda: nullcontext(application), open_here=True)
        with serving(app, listener) as web_url:
            dashboard = Dashboard(f"{web_url}/dashboard/local", lambda: _login_url(app, web_url))
            _serve(local, port, application.public_dsn, dashboard, as_json)


def _with_local_links(settings: Settings, dagster_url: str, web_url: str) -> Settings:
    """Return the settings with links to the services on this machine; METRICS_BASE stays if it is set."""
    own = {"dagster_url": dagster_url, "metrics_base": settings.metrics_base or web_url}
    return settings.model_copy(update=own)


def _login_url(app: FastAPI, web_url: str) -> str:
    return f"{web_url}/dashboard/login?ticket={web_of_app(app).access.new_login_link()}"


def _serve(settings: Settings, port: int, database_url: str, dashboard: Dashboard, as_json: bool) -> None:
    log_file = settings.home / "dagster" / "dev.log"
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "cogo_dagster.dagster_support.dev_services", "127.0.0.1", str(port)]
    if not as_json:
        # Printed before Dagster starts, which takes several seconds.
        typer.echo(f"Dashboard    {dashboard.url}")
        typer.echo(f"Log in       {dashboard.login_url()}")
        typer.echo(f"             (valid once, for {LINK_SECONDS // 60} minutes; read access needs no login here)")
    typer.echo(f"Starting Dagster (log: {log_file}) …", err=True)
    with Child("Dagster", command, dagster_files(settings), _environment(settings), log_file) as child:
        child.wait_until_ready(f"{url}/server_info", _report_waiting)
        if not child.interrupted:
            _start_replay_sensor(url)
            links = {
                "dagster_url": url,
                "dashboard_url": dashboard.url,
                "login_url": dashboard.login_url(),
                "database_url": database_url,
                "log_file": str(log_file),
            }
            print_json(links) if as_json else _print_links(url, database_url)
        child.wait()
    if child.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)


def _report_waiting(seconds: float) -> None:
    typer.echo(f"Dagster has not responded for {run_time(seconds)}; Ctrl-C stops all services.", err=True)


def _environment(settings: Settings) -> Mapping[str, str]:
    sandbox = {"NO_SANDBOX": "true"} if is_root() and "NO_SANDBOX" not in os.environ else {}
    links = {"METRICS_BASE": settings.metrics_base or "", "COGO_DAGSTER_URL": settings.dagster_url}
    return {
        **os.environ,
        **sandbox,
        **links,
        "DAGSTER_HOME": str(dagster_home(settings)),
        "COGO_HOME": str(settings.home),
    }


def _start_replay_sensor(url: str) -> None:
    """Start the sensor dlq_replay, stopped by default, so that jobs are replayed automatically in development."""
    selector = {"repositoryLocationName": "cogo", "repositoryName": "__repository__", "sensorName": "dlq_replay"}
    request = {"query": _START_SENSOR, "variables": {"selector": selector}}
    try:
        response = httpx.post(f"{url}/graphql", json=request, timeout=_GRAPHQL_SECONDS, trust_env=False)
        started = response.json()["data"]["startSensor"]["__typename"] == "Sensor"
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        started = False
    if not started:
        typer.echo("The sensor dlq_replay could not be started: start it in the Dagster UI.", err=True)


def _print_links(url: str, database_url: str) -> None:
    typer.echo(f"Dagster UI   {url}")
    typer.echo(f"Runs         {url}/runs")
    typer.echo(f"Sensors      {url}/locations/cogo/sensors/ready_jobs")
    typer.echo(f"Database     {database_url}")
    typer.echo(f"\nIn another terminal: {typed('enqueue browser --url https://example.com')}")
    typer.echo("Press Ctrl-C to stop all services.")

"""`cogo router`: which provider to use."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cogo_dagster.bootstrap import open_application
from cogo_dagster.cli.exit_codes import ExitCode
from cogo_dagster.cli.groups import group
from cogo_dagster.cli.options import read_settings
from cogo_dagster.cli.output import JsonFlag, print_json
from cogo_dagster.cli.tables import Column, Row, column, print_facts, print_table
from cogo_dagster.cli.words import NOTHING, distance, seconds_of

app = group("Choose a provider by capability, health and cost.")

Provider = Annotated[str, typer.Argument(help="Its name: openai.")]
Capabilities = Annotated[
    list[str] | None, typer.Option("--capability", help="What it must be able to do; once for each.")
]

_ALL: tuple[None] = (None,)


def _health(row: Row) -> str:
    if row["healthy"] is None:
        return "not probed"
    return "healthy" if row["healthy"] else "failing"


_COLUMNS = (
    column("provider", whole=True),
    column("capability", whole=True),
    column("cost", whole=True),
    Column("health", lambda row: _health(row) if row.get("enabled", True) else "off", whole=True),
    Column("latency", lambda row: NOTHING if row["latency_ms"] is None else f"{row['latency_ms']:.0f} ms", whole=True),
    Column("checked", lambda row: distance(row["checked_at"]), whole=True),
    column("error"),
)


@app.command()
def select(
    capabilities: Capabilities = None,
    max_age_seconds: Annotated[
        float, typer.Option("--max-age", parser=seconds_of, metavar="DURATION", help="An older probe says nothing.")
    ] = 900,
    as_json: JsonFlag = False,
) -> None:
    """Choose a provider that has all these capabilities: healthy before unknown, then the cheapest."""
    with open_application(read_settings()) as application:
        answer = application.router.select(_some(capabilities), max_age_seconds)
    if as_json:
        print_json(answer)
    else:
        print_facts({name: answer[name] for name in ("provider", "reason", "cost", "latency_ms", "checked_at")})
    if answer["provider"] is None:
        typer.echo(answer["reason"], err=True)
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def add(
    provider: Provider,
    *,
    capabilities: Capabilities = None,
    url: Annotated[str | None, typer.Option(help="What health probes fetch.")] = None,
    cost: Annotated[
        float | None, typer.Option(min=0, help="In a unit all providers of the capability share; 0 for a new one.")
    ] = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Whether it may be chosen.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Register a provider, or change what is given of one."""
    with open_application(read_settings()) as application:
        rows = [
            application.router.add(provider, one, probe_url=url, cost=cost, enabled=enabled)
            for one in _some(capabilities)
        ]
    if as_json:
        print_json({"provider": provider, "changed": len(rows), "capabilities": rows})
    else:
        typer.echo(f"{provider} is registered for {', '.join(row['capability'] for row in rows)}.")


@app.command()
def remove(provider: Provider, capabilities: Capabilities = None, as_json: JsonFlag = False) -> None:
    """Forget a provider: for these capabilities, or for all."""
    with open_application(read_settings()) as application:
        changed = sum(application.router.remove(provider, one) for one in capabilities or _ALL)
    if as_json:
        print_json({"provider": provider, "changed": changed})
    else:
        typer.echo(f"{provider} is forgotten." if changed else f"{provider} was not registered for that.")


@app.command("list")
def list_(
    capability: Annotated[str | None, typer.Option(help="Only for this.")] = None, as_json: JsonFlag = False
) -> None:
    """Show what the router chooses from, with the last probe of each."""
    with open_application(read_settings()) as application:
        rows = application.router.providers(capability)
    _show(rows, as_json, "No providers: register one with `cogo router add`.")


@app.command()
def probe(as_json: JsonFlag = False) -> None:
    """Ask all providers now whether they are there, and keep what they say."""
    with open_application(read_settings()) as application:
        results = application.probe_providers()
        rows = application.health.providers() if results else []
    if as_json:
        healthy = sum(result.healthy for result in results)
        print_json({"probed": len(results), "healthy": healthy, "results": [result.to_json() for result in results]})
    else:
        _show(rows, as_json, "Nothing to probe: give providers a --url with `cogo router add`.")


def _some(capabilities: list[str] | None) -> list[str]:
    if not capabilities:
        raise typer.BadParameter("name at least one, as --capability chat", param_hint="--capability")
    return capabilities


def _show(rows: Sequence[Row], as_json: bool, when_empty: str) -> None:
    if as_json:
        print_json(rows)
    else:
        print_table([{"cost": None} | dict(row) for row in rows], _COLUMNS, when_empty=when_empty)

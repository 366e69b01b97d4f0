"""`cogo router`: register, probe and select providers."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.command import ExitCode, Report, command, group
from cogo_dagster.cli.options import seconds_of
from cogo_dagster.cli.tables import Column, Row, column, lists, print_facts, print_table
from cogo_dagster.formatting.values import NOTHING, distance
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.providers import ProbedProvider, ProviderHealthRow

app = group("Select a provider by capability, health and cost.")

Provider = Annotated[str, typer.Argument(help="Name of the provider: openai.")]
Capabilities = Annotated[list[str] | None, typer.Option("--capability", help="Capability; repeatable.")]

_ALL_CAPABILITIES: tuple[None] = (None,)


def _health(row: ProbedProvider | ProviderHealthRow) -> str:
    if isinstance(row, ProbedProvider) and not row.enabled:
        return "off"
    if row.healthy is None:
        return "not probed"
    return "healthy" if row.healthy else "failing"


def _cost(row: ProbedProvider | ProviderHealthRow) -> str:
    return f"{row.cost}" if isinstance(row, ProbedProvider) else NOTHING


def _milliseconds(latency: float | Unreadable | None) -> str:
    return f"{latency:.0f} ms" if isinstance(latency, int | float) else str(latency or NOTHING)


_COLUMNS = (
    column("provider"),
    column("capability"),
    Column("cost", _cost, whole=True),
    Column("health", _health, whole=True),
    column("latency", "latency_ms", _milliseconds, whole=True),
    column("checked", "checked_at", distance, whole=True),
    column("error"),
)


@command(app)
def select(
    application: Application,
    capabilities: Capabilities = None,
    max_age_seconds: Annotated[
        float,
        typer.Option(
            "--max-age",
            parser=seconds_of,
            metavar="DURATION",
            help="Maximum age of a probe; older probes are ignored.",
        ),
    ] = 900,
) -> Report:
    """Select a provider with all these capabilities: healthy before unknown, then the cheapest."""
    selection = application.router.select(_required(capabilities), max_age_seconds)
    facts = {name: selection.document.get(name) for name in ("provider", "reason", "cost", "latency_ms", "checked_at")}
    if selection.provider is None:
        return Report(selection, lambda: print_facts(facts), ExitCode.FAILED, selection.reason)
    return Report(selection, lambda: print_facts(facts))


@command(app)
def add(
    application: Application,
    provider: Provider,
    *,
    capabilities: Capabilities = None,
    url: Annotated[str | None, typer.Option(help="URL that health probes fetch.")] = None,
    cost: Annotated[
        float | None,
        typer.Option(min=0, help="Cost, in a unit common to all providers of the capability; 0 for a new one."),
    ] = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Whether the provider can be selected.")] = None,
) -> Report:
    """Register a provider, or change the given values of a registered one."""
    rows = [
        application.router.add(provider, capability, probe_url=url, cost=cost, enabled=enabled)
        for capability in _required(capabilities)
    ]
    return Report(
        {"provider": provider, "changed": len(rows), "capabilities": rows},
        f"Registered {provider} for {', '.join(row.capability for row in rows)}.",
    )


@command(app)
def remove(application: Application, provider: Provider, capabilities: Capabilities = None) -> Report:
    """Remove a provider, for these capabilities or for all."""
    changed = sum(application.router.remove(provider, name) for name in capabilities or _ALL_CAPABILITIES)
    message = (
        f"Removed {provider}." if changed else f"{provider} was not registered: `cogo router list` shows the providers."
    )
    return Report({"provider": provider, "changed": changed}, message)


@lists(app, _COLUMNS, "No providers. Register one with `cogo router add`.", name="list")
def list_(
    application: Application, capability: Annotated[str | None, typer.Option(help="Only this capability.")] = None
) -> list[Row]:
    """Show providers with their last probe."""
    return [*application.router.providers(capability)]


@command(app)
def probe(application: Application) -> Report:
    """Probe all providers now and store the results."""
    results = application.probe_providers()
    rows = application.health.providers() if results else []
    healthy = sum(result.healthy for result in results)
    empty = "No provider has a URL to probe: set one with `cogo router add --url`."
    return Report(
        {"probed": len(results), "healthy": healthy, "results": [result.to_json() for result in results]},
        lambda: print_table(rows, _COLUMNS, when_empty=empty),
    )


def _required(capabilities: list[str] | None) -> list[str]:
    if not capabilities:
        raise typer.BadParameter("at least one is required, for example --capability chat", param_hint="--capability")
    return capabilities

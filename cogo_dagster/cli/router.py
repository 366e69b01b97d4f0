"""`cogo router`: which provider to use."""

from typing import Annotated

import typer

from cogo_dagster.bootstrap import Application
from cogo_dagster.cli.command import ExitCode, Report, command, group
from cogo_dagster.cli.options import seconds_of
from cogo_dagster.cli.tables import Column, Row, column, lists, print_facts, print_table
from cogo_dagster.formatting.values import NOTHING, distance
from cogo_dagster.queue.decoding import Unreadable
from cogo_dagster.queue.rows.providers import ProbedProvider, ProviderHealthRow

app = group("Choose a provider by capability, health and cost.")

Provider = Annotated[str, typer.Argument(help="Its name: openai.")]
Capabilities = Annotated[
    list[str] | None, typer.Option("--capability", help="What it must be able to do; once for each.")
]

_ALL: tuple[None] = (None,)


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
    column("provider", whole=True),
    column("capability", whole=True),
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
        float, typer.Option("--max-age", parser=seconds_of, metavar="DURATION", help="An older probe says nothing.")
    ] = 900,
) -> Report:
    """Choose a provider that has all these capabilities: healthy before unknown, then the cheapest."""
    answer = application.router.select(_some(capabilities), max_age_seconds)
    facts = {name: answer.document.get(name) for name in ("provider", "reason", "cost", "latency_ms", "checked_at")}
    if answer.provider is None:
        return Report(answer, lambda: print_facts(facts), ExitCode.FAILED, answer.reason)
    return Report(answer, lambda: print_facts(facts))


@command(app)
def add(
    application: Application,
    provider: Provider,
    *,
    capabilities: Capabilities = None,
    url: Annotated[str | None, typer.Option(help="What health probes fetch.")] = None,
    cost: Annotated[
        float | None, typer.Option(min=0, help="In a unit all providers of the capability share; 0 for a new one.")
    ] = None,
    enabled: Annotated[bool | None, typer.Option("--on/--off", help="Whether it may be chosen.")] = None,
) -> Report:
    """Register a provider, or change what is given of one."""
    rows = [
        application.router.add(provider, one, probe_url=url, cost=cost, enabled=enabled) for one in _some(capabilities)
    ]
    return Report(
        {"provider": provider, "changed": len(rows), "capabilities": rows},
        f"{provider} is registered for {', '.join(row.capability for row in rows)}.",
    )


@command(app)
def remove(application: Application, provider: Provider, capabilities: Capabilities = None) -> Report:
    """Forget a provider: for these capabilities, or for all."""
    changed = sum(application.router.remove(provider, one) for one in capabilities or _ALL)
    sentence = f"{provider} is forgotten." if changed else f"{provider} was not registered for that."
    return Report({"provider": provider, "changed": changed}, sentence)


@lists(app, _COLUMNS, "No providers: register one with `cogo router add`.", name="list")
def list_(
    application: Application, capability: Annotated[str | None, typer.Option(help="Only for this.")] = None
) -> list[Row]:
    """Show what the router chooses from, with the last probe of each."""
    return [*application.router.providers(capability)]


@command(app)
def probe(application: Application) -> Report:
    """Ask all providers now whether they are there, and keep what they say."""
    results = application.probe_providers()
    rows = application.health.providers() if results else []
    healthy = sum(result.healthy for result in results)
    empty = "Nothing to probe: give providers a --url with `cogo router add`."
    return Report(
        {"probed": len(results), "healthy": healthy, "results": [result.to_json() for result in results]},
        lambda: print_table(rows, _COLUMNS, when_empty=empty),
    )


def _some(capabilities: list[str] | None) -> list[str]:
    if not capabilities:
        raise typer.BadParameter("name at least one, as --capability chat", param_hint="--capability")
    return capabilities
